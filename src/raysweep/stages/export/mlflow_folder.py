"""The folder `mlflow/` of a bundle, which `mlflow.pyfunc` loads: written and scored in the parity gate's process."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import mlflow.pyfunc
import numpy as np
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType

from raysweep.bundle.prediction_names import probability_name
from raysweep.config import TaskKind
from raysweep.records.manifest import Signature
from raysweep.records.served_model import SERVED_FILE, ServedModel
from raysweep.training.learner import Floats

_LABELS: Final = {bool: "boolean", int: "long", float: "double", str: "string"}


def write_folder(folder: Path, model: Path, served: str, requirements: Sequence[str]) -> None:
    """Write the folder.

    The model's files stand in it once more, with a document of their hashes: it can be copied away from the bundle.

    Args:
        folder: must not exist.
        model: the folder of the native form.
        served: a `ServedModel` as JSON.
        requirements: lines that pip takes.
    """
    document = ServedModel.model_validate_json(served, strict=True)
    with tempfile.TemporaryDirectory(prefix="raysweep-mlflow-") as work:
        data = Path(work) / "model"
        data.mkdir()
        for artifact in document.files:
            shutil.copyfile(model / artifact.path, data / artifact.path)
        (data / SERVED_FILE).write_text(served, encoding="utf-8")
        mlflow.pyfunc.save_model(
            folder,
            loader_module="raysweep.bundle.mlflow_flavor",
            data_path=str(data),
            signature=_signature(document.signature),
            pip_requirements=list(requirements),
            metadata={"raysweep.kinds": {one.name: one.kind.value for one in document.signature.inputs}},
        )


def score_folder(folder: Path, features: pa.Table) -> Floats:
    """Probabilities of shape (rows, classes), or numbers of shape (rows, 1), by `mlflow.pyfunc` alone."""
    predicted = mlflow.pyfunc.load_model(str(folder)).predict(features.to_pandas())
    chosen = [name for name in predicted.columns if name != "prediction"] or ["prediction"]
    return np.asarray(predicted[chosen].to_numpy(), dtype=np.float64)


def _signature(signature: Signature) -> ModelSignature:
    """Inputs of any type: raysweep itself looks at what comes, and takes more than the types of MLflow let through.

    MLflow refuses whole numbers for a float column, categories for a text, dates with a zone or as texts, and makes a
    boolean of a gap.
    """
    inputs = Schema([ColSpec(AnyType(), one.name, required=True) for one in signature.inputs])
    if signature.task is TaskKind.REGRESSION:
        return ModelSignature(inputs, Schema([ColSpec("double", "prediction")]))
    label = _LABELS.get(type(signature.classes[0]), "string")
    probabilities = [ColSpec("double", probability_name(one)) for one in signature.classes]
    return ModelSignature(inputs, Schema([ColSpec(label, "prediction"), *probabilities]))
