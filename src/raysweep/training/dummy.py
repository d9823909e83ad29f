"""The model that looks at no feature: what every other one has to beat."""

from __future__ import annotations

import numpy as np

from raysweep.records.table import LearningTask
from raysweep.training.learner import Floats


def dummy_predictions(task: LearningTask, y: Floats, weight: Floats | None, rows: int) -> Floats:
    """The shares of the classes, or the mean (the median for `mae`), of the rows that a model is fitted on.

    Args:
        task: what is to be learned.
        y: targets of the rows that a model is fitted on.
        weight: their weights, or None.
        rows: how many predictions.

    Returns:
        Array of shape (rows, classes), or (rows,) for regression.
    """
    weights = np.ones(len(y)) if weight is None else weight
    if task.kind.is_classification:
        shares = np.bincount(y.astype(int), weights=weights, minlength=len(task.classes)) / weights.sum()
        return np.tile(shares, (rows, 1))
    middle = _weighted_median(y, weights) if task.metric.name == "mae" else np.average(y, weights=weights)
    return np.full(rows, float(middle))


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])
