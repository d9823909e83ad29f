"""The families from scikit-learn: histogram gradient boosting, forests, linear models, nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from raysweep.config import TaskKind
from raysweep.space import ParamValue
from raysweep.training.learner import FitSetting, Floats, Matrix
from raysweep.training.rounds import PATIENCE_ROUNDS, best_rounds, has_stalled
from raysweep.training.trusted import load_trusted, write_skops

MODEL_FILE: Final = "estimator.skops"
MIN_ROWS: Final = 500
CHUNK_ROUNDS: Final = PATIENCE_ROUNDS  # each chunk bins the rows anew, and fewer rounds cannot stall
CHUNK_GROWTH: Final = 1.6
SMALLEST: Final = float(np.finfo(np.float64).eps)


@contextmanager
def _adding_in_order(model: Any) -> Iterator[None]:
    """One thread for a forest: several add its trees up as they come, and the last bit changes from call to call."""
    threads = getattr(model, "n_jobs", None)
    if threads in {None, 1} or not hasattr(model, "estimators_"):
        yield
        return
    model.n_jobs = 1
    try:
        yield
    finally:
        model.n_jobs = threads


class SklearnLearner:
    """One fit of a scikit-learn estimator; see `raysweep.training.learner.Learner`.

    Attributes:
        classifier, regressor: the estimator classes; None where the family cannot learn that.
        growing: the estimator's parameter that counts rounds, which `warm_start` adds to; empty where there is none,
            and then a smaller effort is a fit on fewer rows.
        trusted: the types that its file may hold beside those of raysweep's list.
    """

    classifier: ClassVar[type[Any] | None] = None
    regressor: ClassVar[type[Any] | None] = None
    growing: ClassVar[str] = ""
    fixed: ClassVar[Mapping[str, Any]] = {}
    seeded: ClassVar[bool] = True
    threaded: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    trusted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Mapping[str, ParamValue], setting: FitSetting) -> None:
        self.rounds: int | None = 0 if self.growing else None
        self.curve: list[float] = []
        self.look_every = 1
        self.finished = False
        self._grown = 0
        self._setting = setting
        self._params = {name: value for name, value in params.items() if name != "encoding"}
        self._model: Any = None

    def grow(self, training: Matrix, share: float, watched: Matrix | None = None) -> None:  # noqa: ARG002 - Learner
        """Fit with more rounds, or on more rows."""
        if self.growing:
            self._add_rounds(training, max(1, round(self._setting.rounds * share)))
        else:
            self._fit_share(training, share)
        self.finished = self.finished or share >= 1

    def predict(self, matrix: Matrix) -> Floats:
        """Numbers, or probabilities with a column for every class of the task."""
        return self._predict_with(self._model, matrix)

    def _predict_with(self, model: Any, matrix: Matrix) -> Floats:
        with _adding_in_order(model):
            if self._setting.task is TaskKind.REGRESSION:
                return np.asarray(model.predict(matrix.values), dtype=np.float64)
            return self._for_all_classes(model.predict_proba(matrix.values))

    def _for_all_classes(self, known: Any) -> Floats:
        """Probabilities with a column also for classes that the fitted rows lacked."""
        codes = self._model.classes_.astype(int)
        if len(codes) == self._setting.classes:
            return np.asarray(known, dtype=np.float64)
        full = np.zeros((known.shape[0], self._setting.classes))
        full[:, codes] = known
        return full

    def save(self, folder: Path) -> list[str]:
        """Write the estimator in skops format: no pickle, exact."""
        write_skops(self.fitted, folder / MODEL_FILE)
        return [MODEL_FILE]

    @classmethod
    def load(cls, folder: Path, setting: FitSetting) -> SklearnLearner:
        """Read an estimator that `save` wrote; refuses types that are not on raysweep's list."""
        learner = cls({}, setting)
        learner._model = load_trusted(folder / MODEL_FILE, cls.trusted)
        if hasattr(learner._model, "n_jobs"):
            # Of a forest as in `_adding_in_order`, once for all: several threads of a program may predict.
            learner._model.n_jobs = 1 if hasattr(learner._model, "estimators_") else setting.threads
        learner.finished = True
        return learner

    @property
    def fitted(self) -> Any:
        """The estimator, as `save` writes it."""
        return self._model

    @property
    def kind(self) -> type[Any]:
        """The estimator class that learns the task."""
        kind = self.regressor if self._setting.task is TaskKind.REGRESSION else self.classifier
        if kind is None:
            raise ValueError(f"{type(self).__name__} cannot learn a {self._setting.task} task")
        return kind

    def _make(self, rows: int) -> Any:  # noqa: ARG002 - neighbours need it
        kind = self.kind
        options = {**self.fixed, **self._params}
        if self.seeded:
            options["random_state"] = self._setting.seed % 2**31
        if self.threaded:
            options["n_jobs"] = self._setting.threads
        return kind(**options)

    def _add_rounds(self, training: Matrix, rounds: int) -> None:
        if self._model is None:
            self._model = self._make(training.y.shape[0])
        elif rounds <= self._grown:
            return
        self._model.set_params(**{self.growing: rounds})
        self._model.fit(training.values, training.y, **self._weights(training.weight))
        self.rounds = self._grown = rounds

    def _fit_share(self, training: Matrix, share: float) -> None:
        rows = training.y.shape[0]
        kept = min(rows, max(MIN_ROWS, round(rows * share)))
        self._model = self._make(kept)
        if kept == rows:
            self.finished = True
            self._model.fit(training.values, training.y, **self._weights(training.weight))
            return
        # Rows come in the order of their keys' hashes, so that the first ones are a random sample.
        chosen = _first_rows_of_each_class(training.y, kept, self._setting.classes)
        weight = None if training.weight is None else training.weight[chosen]
        self._model.fit(training.values[chosen], training.y[chosen], **self._weights(weight))

    def _weights(self, weight: Floats | None) -> dict[str, Floats]:
        return {"sample_weight": weight} if weight is not None and self.weighted else {}


def _first_rows_of_each_class(y: Floats, count: int, classes: int) -> Any:
    """The first `count` rows, and the first row of each class that they lack."""
    if not classes:
        return np.arange(count)
    first = np.unique(y, return_index=True)[1]
    return np.union1d(np.arange(count), first)


class HistGradientBoostingLearner(SklearnLearner):
    """Histogram gradient boosting; watched, it grows in chunks and keeps the number of rounds with the least loss."""

    classifier = HistGradientBoostingClassifier
    regressor = HistGradientBoostingRegressor
    growing = "max_iter"
    fixed: ClassVar[Mapping[str, Any]] = {"warm_start": True, "early_stopping": False}
    threaded = False  # OpenMP is held to the trial's threads

    def grow(self, training: Matrix, share: float, watched: Matrix | None = None) -> None:
        """Add rounds up to `share` of the full effort; 50 rounds without gain on the watched rows end it."""
        target = max(1, round(self._setting.rounds * share))
        while self._grown < target and not self.finished:
            # Looking at the rounds of a chunk costs a pass over all rounds before it, so chunks grow.
            chunk = target if watched is None else max(self._grown + CHUNK_ROUNDS, round(self._grown * CHUNK_GROWTH))
            self._add_rounds(training, min(target, chunk))
            if watched is not None:
                self._watch(watched)
        self.finished = self.finished or share >= 1

    def predict(self, matrix: Matrix) -> Floats:
        """Predictions of `rounds` rounds."""
        return self._predict_with(self.fitted, matrix)

    @property
    def fitted(self) -> Any:
        """The estimator without the rounds that testing rows have found to be too many."""
        rounds = self.rounds or 0
        if rounds >= self._grown:
            return self._model
        used = copy(self._model).set_params(max_iter=rounds)
        used._predictors = self._model._predictors[:rounds]  # noqa: SLF001 - no public way; predicting adds them up
        return used

    def _watch(self, watched: Matrix) -> None:
        for predicted in islice(self._stages(watched), len(self.curve), None):
            self.curve.append(-self._loss(watched, predicted))
        self.rounds = best_rounds(self.curve)
        self.finished = has_stalled(self.curve)

    def _stages(self, matrix: Matrix) -> Iterator[Floats]:
        if self._setting.task is TaskKind.REGRESSION:
            yield from self._model.staged_predict(matrix.values)
        else:
            yield from map(self._for_all_classes, self._model.staged_predict_proba(matrix.values))

    def _loss(self, matrix: Matrix, predicted: Floats) -> float:
        if self._setting.task is TaskKind.REGRESSION:
            losses = (matrix.y - predicted) ** 2
        else:
            losses = -np.log(np.maximum(predicted[np.arange(len(matrix.y)), matrix.y.astype(int)], SMALLEST))
        return float(np.average(losses, weights=matrix.weight))


class RandomForestLearner(SklearnLearner):
    """Random forest; `max_features: null` is scikit-learn's own default for the task."""

    classifier = RandomForestClassifier
    regressor = RandomForestRegressor
    growing = "n_estimators"
    fixed: ClassVar[Mapping[str, Any]] = {"warm_start": True}

    def __init__(self, params: Mapping[str, ParamValue], setting: FitSetting) -> None:
        super().__init__({k: v for k, v in params.items() if (k, v) != ("max_features", None)}, setting)


class ExtraTreesLearner(RandomForestLearner):
    """Extremely randomized trees."""

    classifier = ExtraTreesClassifier
    regressor = ExtraTreesRegressor


class LogisticRegressionLearner(SklearnLearner):
    """Logistic regression with an L2 penalty."""

    classifier = LogisticRegression
    threaded = False


class RidgeLearner(SklearnLearner):
    """Linear regression with an L2 penalty."""

    regressor = Ridge
    threaded = False


class KNeighborsLearner(SklearnLearner):
    """Nearest neighbours; it has no use for row weights in fitting."""

    classifier = KNeighborsClassifier
    regressor = KNeighborsRegressor
    seeded = False
    weighted = False

    def _make(self, rows: int) -> Any:
        made = super()._make(rows)
        made.n_neighbors = min(made.n_neighbors, rows)
        return made
