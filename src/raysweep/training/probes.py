"""Small models by which the data checks find out what a table can tell: fitted in seconds, never shipped.

Every prediction is for rows that the model was not fitted on. Scores are on one scale: ROC AUC for classes (the mean
over the classes, one against the rest, where there are more than two), R2 for numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from raysweep.config import TaskKind
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.space import ParamValue
from raysweep.training.evaluate import TrialRules, limit_threads, new_learner
from raysweep.training.families import families
from raysweep.training.learner import Floats, Matrix
from raysweep.training.metrics import score
from raysweep.training.preprocess import Preprocessor
from raysweep.training.resampling import resampled_scores
from raysweep.training.trial_data import RowBlock

Folds = npt.NDArray[np.int64]

FOLDS: Final = 3
LINEAR_ROWS: Final = 5_000  # with more rows, trees see what a straight line sees
_ROUNDS: Final = 60
_RESAMPLES: Final = 300
_RARE: Final = 30
_SUREST, _SURER, _FLAT = 0.1, 0.5, 0.7  # shares of the rows; and how flat the rate has to be between them
_LOW, _HIGH = 2.5, 97.5
_TREES: Final[dict[str, ParamValue]] = {"learning_rate": 0.15, "max_depth": 5, "min_child_weight": 5.0, "max_bin": 64}
_METRICS: Final = {TaskKind.BINARY: "roc_auc", TaskKind.MULTICLASS: "roc_auc_ovr", TaskKind.REGRESSION: "r2"}


@dataclass(frozen=True, slots=True)
class ProbeScore:
    """A score with its 95 % bootstrap interval over the rows that it was measured on."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """Labels that are probably wrong.

    Attributes:
        rate: their share.
        low: what the share is at least, two standard errors below; 0 where it may be mere overlap of the classes.
        rows: those among the surer half of the rows that contradict the prediction, shape (rows,).
    """

    rate: float
    low: float
    rows: npt.NDArray[np.bool_]


@contextmanager
def threads_given_back() -> Iterator[None]:
    """Models of here may be fitted in this process, whose libraries have as many threads as before when the block ends.

    A fit holds them to a thread, which in a program of the user's would last.
    """
    for model in ("xgboost", "logistic_regression"):
        families()[model].load_learner()  # what is loaded later would not be known
    with threadpool_limits(limits=None):
        try:
            yield
        finally:
            limit_threads.cache_clear()


def trees() -> Candidate:
    """Gradient boosting with few, shallow trees."""
    return _candidate("xgboost", _TREES, _ROUNDS)


def line(task: LearningTask) -> Candidate:
    """Logistic or ridge regression."""
    return _candidate("logistic_regression" if task.kind.is_classification else "ridge", {}, None)


def stretches(rows: int, folds: int = FOLDS) -> Folds:
    """Folds that are stretches of the rows, which keep rows with equal features together where they are sorted so."""
    return np.asarray(np.arange(rows) * folds // max(rows, 1), dtype=np.int64)


def out_of_fold(task: LearningTask, block: RowBlock, folds: Folds, candidate: Candidate) -> Floats:
    """Predictions for every row by a model fitted on the other folds.

    Args:
        task: what is to be learned; its features are the columns of `block`.
        block: the rows.
        folds: the fold of each row, shape (rows,).
        candidate: the model.

    Returns:
        Probabilities of shape (rows, classes), or numbers of shape (rows,).
    """
    shape = (block.rows, len(task.classes)) if task.kind.is_classification else (block.rows,)
    predicted = np.zeros(shape)
    for fold in np.unique(folds):
        held_out = np.flatnonzero(folds == fold)
        predicted[held_out] = predict(task, block.take(np.flatnonzero(folds != fold)), block.take(held_out), candidate)
    return predicted


def predict(task: LearningTask, fitting: RowBlock, asked: RowBlock, candidate: Candidate) -> Floats:
    """Predictions for `asked` by a model fitted on `fitting`."""
    family = families()[candidate.family]
    preprocessor = Preprocessor(task.features, str(candidate.params["encoding"]), scaled=family.scaled)
    values = preprocessor.fit_transform(fitting.features, fitting.y, task.kind, 0)
    learner = new_learner(candidate, task, TrialRules((1.0,), threads=1), candidate.seed)
    learner.grow(Matrix(values, fitting.y, None, preprocessor.categorical, {}), 1.0)
    return learner.predict(Matrix(preprocessor.transform(asked.features), asked.y, None, preprocessor.categorical, {}))


def probe_value(task: LearningTask, y: Floats, predicted: Floats) -> float:
    """The score of predictions; NaN where it is not defined."""
    name, y, (predicted,) = _scored(task, y, predicted)
    return score(name, y, predicted)


def probe_score(task: LearningTask, y: Floats, predicted: Floats) -> ProbeScore:
    """The score of predictions and its interval; NaN where it is not defined."""
    name, y, (predicted,) = _scored(task, y, predicted)
    drawn = resampled_scores(y, None, [(name, predicted)], seed=0, resamples=_RESAMPLES)[0]
    low, high = np.nanpercentile(drawn, [_LOW, _HIGH]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return ProbeScore(score(name, y, predicted), float(low), float(high))


def probe_gain(task: LearningTask, y: Floats, predicted: Floats, other: Floats) -> ProbeScore:
    """How much better the first predictions are than the others, paired by row."""
    name, y, (predicted, other) = _scored(task, y, predicted, other)
    drawn = resampled_scores(y, None, [(name, predicted), (name, other)], seed=0, resamples=_RESAMPLES)
    gains = drawn[0] - drawn[1]
    low, high = np.nanpercentile(gains, [_LOW, _HIGH]) if np.isfinite(gains).any() else (np.nan, np.nan)
    return ProbeScore(score(name, y, predicted) - score(name, y, other), float(low), float(high))


def _scored(task: LearningTask, y: Floats, *predicted: Floats) -> tuple[str, Floats, list[Floats]]:
    """The metric, and targets and predictions with rare classes made one: each would count like a large one."""
    name = _METRICS[task.kind]
    if task.kind is not TaskKind.MULTICLASS:
        return name, y, list(predicted)
    counts = np.bincount(y.astype(np.int64), minlength=len(task.classes))
    kept, rare = np.flatnonzero(counts >= _RARE), np.flatnonzero(counts < _RARE)
    if len(kept) < 2:  # noqa: PLR2004
        return name, y, list(predicted)
    code = np.full(len(task.classes), len(kept))
    code[kept] = np.arange(len(kept))
    merged = [np.column_stack([one[:, kept], one[:, rare].sum(axis=1)]) for one in predicted]
    return name, code[y.astype(np.int64)].astype(np.float64), merged


def measure_name(task: LearningTask) -> str:
    """What the scores are called."""
    return "R2" if task.kind is TaskKind.REGRESSION else "ROC AUC"


def no_skill(task: LearningTask) -> float:
    """The score of a model that looks at no feature; a perfect one has 1."""
    return 0.0 if task.kind is TaskKind.REGRESSION else 0.5


def label_errors(y: Floats, probability: Floats) -> LabelErrors:
    """How many labels are probably wrong, by the predictions that the model is surest of.

    The surest predictions are anchor points: what still contradicts them is the rate of wrong labels (Patrini et al.
    2017; the rows are those of confident learning, Northcutt, Jiang & Chuang 2021). Where classes merely overlap, the
    contradictions become fewer the surer the model is; wrong labels are spread evenly. So a rate counts only where it
    is nearly as high among the surest tenth of the rows as among the surer half.

    Args:
        y: class codes, shape (rows,).
        probability: out of fold, shape (rows, classes).
    """
    contradicts = probability.argmax(axis=1) != y.astype(np.int64)
    order = np.argsort(-probability.max(axis=1), kind="stable")
    tenth, half = (contradicts[order[: max(1, round(len(y) * share))]] for share in (_SUREST, _SURER))
    rate = float(tenth.mean())
    low = rate - 2 * float(np.sqrt(rate * (1 - rate) / len(tenth)))
    found = np.zeros(len(y), np.bool_)
    found[order[: len(half)]] = half
    return LabelErrors(rate, low if rate >= _FLAT * half.mean() else 0.0, found)


def group_folds(groups: npt.NDArray[np.int64], folds: int = FOLDS) -> Folds:
    """Folds of about equal size that never part a group, the largest groups dealt out first."""
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    filled = np.zeros(folds)
    for group in np.argsort(-sizes, kind="stable"):
        fold_of_group[group] = filled.argmin()
        filled[fold_of_group[group]] += sizes[group]
    return fold_of_group[codes]


def _candidate(family: str, params: dict[str, ParamValue], rounds: int | None) -> Candidate:
    params = {**families()[family].defaults, **params}
    return Candidate(0, family, params, digest="", origin="probe", seed=0, rounds=rounds)
