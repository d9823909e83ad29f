"""A fitted candidate that takes a table: preparation, preprocessing and learner, written and read without pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

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
        if not features.num_rows:  # which many libraries refuse: shape and type are those of a row of nulls
            return self.predict(pa.table([pa.nulls(1, one.type) for one in features.schema], features.schema))[:0]
        return self.learner.predict(self.matrix(features))

    def matrix(self, features: pa.Table) -> Matrix:
        """The rows as the learner takes them."""
        values = self.preprocessor.transform(self.preparation.apply(features))
        return Matrix(values, np.zeros(features.num_rows), None, self.preprocessor.categorical, {})

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
    learner = families()[family].load_learner().load(folder, setting)
    return Pipeline(family, FittedPreparation.load(folder), preprocessor, learner)
