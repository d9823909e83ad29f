"""A fitted candidate that takes a table: preparation, preprocessing and learner, written and read without pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from raysweep.documents import shorten
from raysweep.errors import BundleRefused
from raysweep.records.trial import FittedModel
from raysweep.training.families import families
from raysweep.training.learner import FitSetting, Floats, Learner, Matrix
from raysweep.training.preparation import FittedPreparation
from raysweep.training.preprocess import Preprocessor
from raysweep.training.trusted import load_trusted, write_skops

PREPROCESS_FILE: Final = "preprocess.skops"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Preparation, preprocessing and learner of one fitted candidate."""

    family: str
    preparation: FittedPreparation
    preprocessor: Preprocessor
    learner: Learner

    def predict(self, features: pa.Table) -> Floats:
        """Numbers of shape (rows,), or class probabilities of shape (rows, classes).

        Args:
            features: the task's inputs in canonical types, before any preparation.

        Raises:
            DataUnsuitable: a value cannot be prepared as the rules say.
        """
        return self.predict_counting(features)[0]

    def predict_counting(self, features: pa.Table) -> tuple[Floats, dict[str, int]]:
        """What `predict` gives, and what `unseen` gives, for little more than the one."""
        if not features.num_rows:  # which many libraries refuse: shape and type are those of a row of nulls
            empty = pa.table([pa.nulls(1, one.type) for one in features.schema], features.schema)
            return self.predict_counting(empty)[0][:0], {}
        values, unseen = self.preprocessor.transform_counting(self.preparation.apply(features))
        return self.learner.predict(self._as_matrix(values, features.num_rows)), unseen

    def matrix(self, features: pa.Table) -> Matrix:
        """The rows as the learner takes them."""
        return self._as_matrix(self.preprocessor.transform(self.preparation.apply(features)), features.num_rows)

    def _as_matrix(self, values: Any, rows: int) -> Matrix:
        return Matrix(values, np.zeros(rows), None, self.preprocessor.categorical, {})

    def unseen(self, features: pa.Table) -> dict[str, int]:
        """For each text column with values that training did not have, after preparation: how many rows."""
        return self.preprocessor.unseen(self.preparation.apply(features))

    def save(self, folder: Path) -> list[str]:
        """Write it into an existing folder; returns the names of the files."""
        write_skops(self.preprocessor, folder / PREPROCESS_FILE)
        return [*self.preparation.save(folder), PREPROCESS_FILE, *self.learner.save(folder)]


def pipeline_of(model: FittedModel) -> Pipeline:
    """The pipeline of a fitted model, typed."""
    if not isinstance(model.learner, Pipeline):
        raise TypeError(f"a {type(model.learner).__name__} is no Pipeline")
    return model.learner


def load_pipeline(folder: Path, family: str, setting: FitSetting) -> Pipeline:
    """The pipeline that `save` wrote.

    Raises:
        BundleRefused: a file is missing, broken, or holds types that are not trusted; or the family is not installed.
    """
    if family not in families():
        raise BundleRefused(f"the model is of the family {family!r}, which no installed package provides")
    preprocessor = load_trusted(folder / PREPROCESS_FILE)
    if not isinstance(preprocessor, Preprocessor):
        raise BundleRefused(f"{PREPROCESS_FILE} holds a {type(preprocessor).__name__}, not the preprocessing")
    try:
        learner = families()[family].load_learner().load(folder, setting)
    except BundleRefused:
        raise
    except Exception as error:  # what a broken file makes a library raise is of many types
        raise BundleRefused(f"the model cannot be read: {type(error).__name__}: {shorten(str(error), 300)}") from error
    return Pipeline(family, FittedPreparation.load(folder), preprocessor, learner)
