"""The published model, ready to predict: verified, its signature enforced. Imports no Ray."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from raysweep.bundle.locate import read_manifest
from raysweep.config import TaskKind
from raysweep.documents import shorten, suggest
from raysweep.errors import BundleRefused, DataUnsuitable, RequestInvalid
from raysweep.records.manifest import MODEL_FOLDER, Manifest, ModelRecord, Signature
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import arrow_type_of, canonical_array
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

    def predict(self, data: pd.DataFrame | pa.Table) -> np.ndarray[Any, Any]:
        """Class labels, or numbers.

        Args:
            data: with the columns of the signature as they were in the source, in any order; other columns are ignored.

        Returns:
            Array of shape (rows,).

        Raises:
            RequestInvalid: a column is missing, its values are of another kind, or cannot be prepared as declared.
        """
        raw = self.raw_predictions(self._features(data))
        if self.signature.task is TaskKind.REGRESSION:
            return raw
        return np.asarray(self.signature.classes)[predicted_codes(raw)]

    def predict_proba(self, data: pd.DataFrame | pa.Table) -> Floats:
        """Probabilities of shape (rows, classes), in the order of `signature.classes`.

        Raises:
            RequestInvalid: it is a regression model, or as for `predict`.
        """
        if self.signature.task is TaskKind.REGRESSION:
            raise RequestInvalid("predict_proba: a regression model has no probabilities; use predict")
        return self.raw_predictions(self._features(data))

    def unseen_categories(self, data: pd.DataFrame | pa.Table) -> dict[str, int]:
        """For each text column with values that the model has never seen: how many rows hold one.

        Values are looked at as the model gets them: a new one that is grouped with the rare ones is not unseen.
        """
        with _said_of_the_request():
            return self._pipeline.unseen(self._features(data))

    def raw_predictions(self, features: pa.Table) -> Floats:
        """Probabilities or numbers for the columns of the signature in canonical types."""
        with _said_of_the_request():
            return self._pipeline.predict(features)

    def _features(self, data: pd.DataFrame | pa.Table) -> pa.Table:
        return features_of(data, self.signature)

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
    with tempfile.TemporaryDirectory(prefix="raysweep-model-") as folder:
        _fetch(store, manifest, Path(folder))
        setting = FitSetting(
            task=manifest.signature.task,
            classes=len(manifest.signature.classes),
            seed=manifest.model.seed,
            threads=threads or os.cpu_count() or 1,
            rounds=manifest.model.rounds or 1,
            metric=manifest.final_check.metric if manifest.final_check else "",
        )
        pipeline = load_pipeline(Path(folder), manifest.model.family, setting)
        if pipeline.preparation.digest != manifest.model.prepare_sha256:
            raise BundleRefused(
                f"{store.address()}: {PREPARE_FILE} does not hold the preparation that the manifest says"
            )
    verdict = manifest.final_check.verdict if manifest.final_check else "not checked"
    return Model(store.address(), manifest.signature, verdict, pipeline)


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


def features_of(data: pd.DataFrame | pa.Table, signature: Signature) -> pa.Table:
    """The columns of the signature in canonical types, numbers as float64.

    Raises:
        RequestInvalid: a column is missing, or holds values of another kind.
    """
    names = [str(name) for name in (data.columns if isinstance(data, pd.DataFrame) else data.column_names)]
    missing = [one.name for one in signature.inputs if one.name not in names]
    if missing:
        listed = ", ".join(repr(shorten(name)) for name in missing[:5])
        raise RequestInvalid(
            f"the data lack {len(missing)} of the model's {len(signature.inputs)} columns: {listed}"
            f"{suggest(missing[0], names)}"
        )
    arrays, fields = [], []
    for one in signature.inputs:
        column = Column(one.name, one.kind, "double" if one.kind is ColumnKind.NUMBER else one.type)
        arrays.append(_convert(data, names, column))
        fields.append((one.name, arrow_type_of(column)))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _convert(data: pd.DataFrame | pa.Table, names: Sequence[str], column: Column) -> pa.ChunkedArray:
    position = names.index(column.name)
    try:
        if isinstance(data, pd.DataFrame):
            values = pa.chunked_array([pa.Array.from_pandas(data.iloc[:, position])])
        else:
            values = data.column(position)
        if pa.types.is_null(values.type):
            return pa.chunked_array([pa.nulls(len(values), arrow_type_of(column))])
        return canonical_array(values, arrow_type_of(column))
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise RequestInvalid(
            f"the column {shorten(column.name)!r} must hold values of kind {column.kind.value}: "
            f"{shorten(str(error), 160)}"
        ) from error


def _fetch(store: Store, manifest: Manifest, folder: Path) -> None:
    """The model's files in a folder of ours, each with the hash that the manifest says."""
    if manifest.model is None:
        return
    hashes = {artifact.path: artifact.sha256 for artifact in manifest.artifacts}
    for key in manifest.model.files:
        name = key.removeprefix(f"{MODEL_FOLDER}/")
        if key not in hashes or "/" in name or name in {"", ".", ".."}:
            raise BundleRefused(f"{store.address()}: the manifest names a model file {key!r} that it does not describe")
        store.download(key, folder / name)
        with (folder / name).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != hashes[key]:
            raise BundleRefused(f"{store.address(key)} was changed: its sha256 is not the manifest's", problems=[key])
