"""Scores of predictions, by the names of `raysweep.records.metric`; weighted where the rows are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from raysweep.config import TaskKind
from raysweep.records.metric import METRICS, metrics_for
from raysweep.training.learner import Floats

Weights = npt.NDArray[np.float64] | None

_Score = Callable[[Floats, Floats, Weights], float]


def _of_labels(score: Callable[..., float], **options: object) -> _Score:
    """A score of predicted classes: the most probable one, the positive one from 0.5 on."""

    def compute(y: Floats, probability: Floats, weight: Weights) -> float:
        return float(score(y, predicted_codes(probability), sample_weight=weight, **options))

    return compute


def _of_positive(score: Callable[..., float]) -> _Score:
    def compute(y: Floats, probability: Floats, weight: Weights) -> float:
        return float(score(y, probability[:, 1], sample_weight=weight))

    return compute


def _roc_auc(y: Floats, probability: Floats, weight: Weights) -> float:
    if y.min() == y.max():
        return float("nan")
    return float(sk.roc_auc_score(y, probability[:, 1], sample_weight=weight))


def _average_precision(y: Floats, probability: Floats, weight: Weights) -> float:
    if y.max() == 0:
        return float("nan")
    return float(sk.average_precision_score(y, probability[:, 1], sample_weight=weight))


def _balanced_accuracy(y: Floats, probability: Floats, weight: Weights) -> float:
    """Mean recall of the classes that occur."""
    codes = predicted_codes(probability)
    return float(sk.recall_score(y, codes, labels=np.unique(y), average="macro", sample_weight=weight))


def _roc_auc_ovr(y: Floats, probability: Floats, weight: Weights) -> float:
    """Mean over the classes that occur of the AUC of each class against the others."""
    areas = [
        sk.roc_auc_score(y == code, probability[:, code], sample_weight=weight)
        for code in range(probability.shape[1])
        if 0 < (y == code).sum() < len(y)
    ]
    return float(np.mean(areas)) if areas else float("nan")


def _log_loss(y: Floats, probability: Floats, weight: Weights) -> float:
    codes = list(range(probability.shape[1]))
    total = probability.sum(axis=1, keepdims=True)
    return float(sk.log_loss(y, probability / total, sample_weight=weight, labels=codes))


def _rmse(y: Floats, predicted: Floats, weight: Weights) -> float:
    return float(sk.root_mean_squared_error(y, predicted, sample_weight=weight))


def _of_numbers(score: Callable[..., float]) -> _Score:
    def compute(y: Floats, predicted: Floats, weight: Weights) -> float:
        return float(score(y, predicted, sample_weight=weight))

    return compute


_SCORES: Final[Mapping[str, _Score]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "brier": _of_positive(sk.brier_score_loss),
    "roc_auc_ovr": _roc_auc_ovr,
    "log_loss": _log_loss,
    "accuracy": _of_labels(sk.accuracy_score),
    "balanced_accuracy": _balanced_accuracy,
    "f1": _of_labels(sk.f1_score, zero_division=0.0),
    "f1_macro": _of_labels(sk.f1_score, average="macro", zero_division=0.0),
    "rmse": _rmse,
    "mae": _of_numbers(sk.mean_absolute_error),
    "r2": _of_numbers(sk.r2_score),
}


def predicted_codes(probability: Floats) -> npt.NDArray[np.int64]:
    """The code of the most probable class of each row, shape (rows,)."""
    if probability.shape[1] == 2:  # noqa: PLR2004 - binary: the positive class wins a tie
        return (probability[:, 1] >= 0.5).astype(np.int64)  # noqa: PLR2004
    return np.asarray(probability.argmax(axis=1), dtype=np.int64)


def log_losses(y: Floats, probability: Floats) -> Floats:
    """The log loss of each row, shape (rows,): its mean is the metric."""
    of_truth = (probability / probability.sum(axis=1, keepdims=True))[np.arange(len(y)), y.astype(np.int64)]
    return np.asarray(-np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1)), dtype=np.float64)


def score(name: str, y: Floats, predicted: Floats, weight: Weights = None) -> float:
    """One metric.

    Args:
        name: of the metric.
        y: class codes or numbers, shape (rows,).
        predicted: probabilities of shape (rows, classes), or numbers of shape (rows,).
        weight: row weights, shape (rows,), or None.

    Returns:
        The score; NaN where it is not defined, such as a ROC AUC with one class.
    """
    assert name in METRICS  # noqa: S101 - names are checked at the edge
    return _SCORES[name](y, predicted, weight)


def all_scores(task: TaskKind, y: Floats, predicted: Floats, weight: Weights = None) -> dict[str, float]:
    """Every metric that fits the task, without those that are not defined here."""
    scores = {metric.name: score(metric.name, y, predicted, weight) for metric in metrics_for(task)}
    return {name: value for name, value in scores.items() if np.isfinite(value)}
