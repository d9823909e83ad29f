"""The `loader_module` of the MLflow folder: it checks the files as `load_model` does, and imports no MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from raysweep.bundle.load import Model, load_files
from raysweep.bundle.model_files import check_content, check_size
from raysweep.bundle.prediction_names import probability_name
from raysweep.config import TaskKind
from raysweep.documents import shorten
from raysweep.errors import BundleRefused
from raysweep.records.served_model import SERVED_FILE, ServedModel

_MAX_DOCUMENT_BYTES = 64 * 1024 * 1024


class PyfuncModel:
    """A model as `mlflow.pyfunc` uses it.

    Attributes:
        model: as `raysweep.load_model` gives it.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The column `prediction`, and for classes a `probability_<class>` of each."""
        del params  # the model has none
        if self.model.signature.task is TaskKind.REGRESSION:
            return pd.DataFrame({"prediction": self.model.predict(data)})
        raw = self.model.predict_proba(data)
        labels = self.model.labels(raw)
        named = {probability_name(label): raw[:, place] for place, label in enumerate(self.model.signature.classes)}
        return pd.DataFrame({"prediction": labels, **named})


def _load_pyfunc(data_path: str) -> PyfuncModel:
    """The model in this folder; MLflow calls it by this name.

    Raises:
        BundleRefused: a file is changed, missing, a link, or not to be trusted.
    """
    folder = Path(data_path)
    served = _read(folder / SERVED_FILE)
    for artifact in served.files:
        path = folder / artifact.path
        if Path(artifact.path).name != artifact.path or path.is_symlink():
            raise BundleRefused(f"{path} is no file of the model's own folder")
        check_size(artifact, path.stat().st_size if path.is_file() else None, str(path))
        check_content(artifact, path, str(path))
    pipeline = load_files(folder, served.model, served.signature, served.metric)
    return PyfuncModel(Model(served.bundle, served.signature, served.verdict, pipeline))


def _read(path: Path) -> ServedModel:
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _MAX_DOCUMENT_BYTES:
        raise BundleRefused(f"{path} is missing, a link, or too large: this is no model that raysweep has written")
    try:
        return ServedModel.model_validate_json(path.read_bytes(), strict=True)
    except ValueError as error:
        raise BundleRefused(f"{path} cannot be read: {shorten(str(error), 300)}") from error
