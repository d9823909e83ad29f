"""The published model, ready to predict: verified, its signature enforced. Imports no Ray, and no pandas of itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.bundle.deviations import ColumnDeviation, DeviationCounts, Deviations, Ranges
from raysweep.bundle.inputs import Data, Inputs
from raysweep.bundle.locate import read_manifest
from raysweep.bundle.model_files import fetch_model
from raysweep.config import TaskKind
from raysweep.errors import BundleRefused, DataUnsuitable, RequestInvalid
from raysweep.records.manifest import ModelRecord, Signature
from raysweep.storage.store import Store
from raysweep.training.families import ENTRY_POINTS, families
from raysweep.training.learner import FitSetting, Floats
from raysweep.training.metrics import predicted_codes
from raysweep.training.pipeline import Pipeline, load_pipeline
from raysweep.training.preparation import PREPARE_FILE


@dataclass(frozen=True, slots=True)
class Model:
    """A published model.

    Attributes:
        url: of its bundle.
        signature: what it takes and gives.
        verdict: of the final check on validation rows.
    """

    url: str
    signature: Signature
    verdict: str
    _pipeline: Pipeline
    _inputs: Inputs = field(init=False, repr=False, compare=False)
    _ranges: Ranges = field(init=False, repr=False, compare=False)
    _counts: DeviationCounts = field(init=False, repr=False, compare=False, default_factory=DeviationCounts)

    def __post_init__(self) -> None:
        """Read the signature once, not with every prediction."""
        object.__setattr__(self, "_inputs", Inputs(self.signature))
        object.__setattr__(self, "_ranges", Ranges(self.signature))

    def predict(self, data: Data) -> np.ndarray[Any, Any]:
        """Class labels, or numbers.

        Args:
            data: a pandas DataFrame, an Arrow table or batch, a row as a dict or a pandas Series, or a list of such
                dicts, with the columns of the signature as they were in the source, in any order; other columns are
                ignored.

        Returns:
            Array of shape (rows,).

        Raises:
            RequestInvalid: a column is missing, its values are of another kind, or cannot be prepared as declared.
        """
        raw = self._counted(self._inputs.of(data))
        if self.signature.task is TaskKind.REGRESSION:
            return raw
        return self.labels(raw)

    def labels(self, probabilities: Floats) -> np.ndarray[Any, Any]:
        """The classes that probabilities of shape (rows, classes) stand for."""
        return np.asarray(self.signature.classes)[predicted_codes(probabilities)]

    def predict_proba(self, data: Data) -> Floats:
        """Probabilities of shape (rows, classes), in the order of `signature.classes`.

        Raises:
            RequestInvalid: it is a regression model, or as for `predict`.
        """
        if self.signature.task is TaskKind.REGRESSION:
            raise RequestInvalid("predict_proba: a regression model has no probabilities; use predict")
        return self._counted(self._inputs.of(data))

    @property
    def deviations(self) -> Deviations:
        """What all rows that were predicted so far had and the rows that the model was fitted on had not."""
        return self._counts.total()

    def count_deviations(self, data: Data) -> Deviations:
        """The same of these rows, without a prediction; `deviations` and warnings stay as they are.

        Raises:
            RequestInvalid: as for `predict`.
        """
        features = self._inputs.of(data)
        with _said_of_the_request():
            return self._deviations(features, self._pipeline.unseen(features))

    def unseen_categories(self, data: Data) -> dict[str, int]:
        """For each text column with values that the model has never seen: how many rows hold one.

        Values are looked at as the model gets them: a new one that is grouped with the rare ones is not unseen.
        """
        with _said_of_the_request():
            return self._pipeline.unseen(self._inputs.of(data))

    def raw_predictions(self, features: pa.Table) -> Floats:
        """Probabilities or numbers for the columns of the signature in canonical types; nothing is counted."""
        with _said_of_the_request():
            return self._pipeline.predict(features)

    def _counted(self, features: pa.Table) -> Floats:
        with _said_of_the_request():
            raw, unseen = self._pipeline.predict_counting(features)
        self._counts.add(self._deviations(features, unseen))
        return raw

    def _deviations(self, features: pa.Table, unseen: dict[str, int]) -> Deviations:
        outside = self._ranges.outside(features)
        names = dict.fromkeys((*unseen, *outside))
        columns = {name: ColumnDeviation(unseen.get(name, 0), outside.get(name, 0)) for name in names}
        return Deviations(features.num_rows, columns)

    def __repr__(self) -> str:
        task = self.signature.task.value
        return f"<Model {self._pipeline.family}, {task} of {self.signature.target!r}, {self.verdict}, {self.url}>"


def open_model(store: Store, *, threads: int | None = None) -> Model:
    """Load the model of a bundle.

    Args:
        store: of the bundle.
        threads: with which it predicts; one a core when absent.

    Raises:
        NotFound: there is no bundle.
        BundleRefused: it holds no model, or a file is changed, missing or not to be trusted.
    """
    manifest = read_manifest(store)
    if manifest.model is None or manifest.signature is None:
        why = manifest.without_model or f"the sweep ended with {manifest.outcome!r}"
        raise BundleRefused(f"{store.address()} holds no model: {why}")
    _refuse_unknown_family(manifest.model)
    metric = manifest.final_check.metric if manifest.final_check else ""
    with tempfile.TemporaryDirectory(prefix="raysweep-model-") as folder:
        fetch_model(store, manifest.model.files, manifest.artifacts, Path(folder))
        pipeline = load_files(Path(folder), manifest.model, manifest.signature, metric, threads)
    verdict = manifest.final_check.verdict if manifest.final_check else "not checked"
    return Model(store.address(), manifest.signature, verdict, pipeline)


def load_files(
    folder: Path, model: ModelRecord, signature: Signature, metric: str, threads: int | None = None
) -> Pipeline:
    """The pipeline in a folder whose files have been checked.

    Raises:
        BundleRefused: they hold what is not to be trusted, or another preparation than the record says.
    """
    _refuse_unknown_family(model)
    setting = FitSetting(
        task=signature.task,
        classes=len(signature.classes),
        seed=model.seed,
        threads=threads or os.cpu_count() or 1,
        rounds=model.rounds or 1,
        metric=metric,
    )
    pipeline = load_pipeline(folder, model.family, setting)
    if pipeline.preparation.digest != model.prepare_sha256:
        raise BundleRefused(f"{PREPARE_FILE} does not hold the preparation that the manifest says")
    return pipeline


def _refuse_unknown_family(model: ModelRecord) -> None:
    """Code that a bundle names is never imported because it does: this process has to know the family already."""
    if model.family in families() or model.estimator is None:
        return
    raise BundleRefused(
        f"the model is of the family {model.family!r}, an estimator of somebody's own that this process does not know: "
        f"{model.estimator} ({model.package or 'in no installed package'}). Import it and call "
        "raysweep.register_family as the sweep did, or install a package that has it as an entry point in "
        f"{ENTRY_POINTS}"
    )


@contextmanager
def _said_of_the_request() -> Iterator[None]:
    """What the rules of the model cannot prepare is the fault of the rows that were handed in."""
    try:
        yield
    except DataUnsuitable as error:
        raise RequestInvalid(str(error), problems=[str(error)]) from error
