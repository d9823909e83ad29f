"""From bootstrap draws to an interval that is wide enough for few rows, too."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from raysweep.records.metric import Metric
from raysweep.records.model_facts import Estimate
from raysweep.training.learner import Floats
from raysweep.training.resampling import Groups

_EACH_CLASS_COUNTS: Final = frozenset({"roc_auc", "average_precision", "balanced_accuracy", "f1"})
_FEWEST: Final = 2


def estimate(value: float, drawn: Floats, *, level: float = 0.95, units: int) -> Estimate:
    """The expanded percentile interval of bootstrap draws (Hesterberg 2015).

    The plain percentile interval is too narrow for few rows: the bootstrap's variance is too small by (n - 1) / n, and
    its tails are the normal distribution's where Student's belong. Both are made up for by percentiles further out.

    Args:
        value: the number itself, from all rows.
        drawn: from the resamples, shape (resamples,); those that are not finite are left out.
        level: of the interval.
        units: independent units that were drawn from, as `count_units` counts them.

    Returns:
        NaN for the interval and the standard error where no draw is finite or there are fewer than two units.
    """
    known = drawn[np.isfinite(drawn)]
    if not len(known) or units < _FEWEST:
        return Estimate(float(value), math.nan, math.nan, math.nan)
    low, high = np.quantile(known, [tail := expanded_tail(level, units), 1 - tail])
    return Estimate(float(value), float(low), float(high), float(known.std() * small_sample_factor(units)))


def expanded_tail(level: float, units: int) -> float:
    """The share of draws to cut off at each end, at most (1 - level) / 2."""
    return float(norm.cdf(small_sample_factor(units) * t.ppf((1 - level) / 2, units - 1)))


def small_sample_factor(units: int) -> float:
    """By which a standard deviation of bootstrap draws is too small."""
    return math.sqrt(units / (units - 1))


def count_units(y: Floats, group: Groups | None, metric: Metric, classes: int) -> int:
    """How many independent units a metric rests on: rows, or groups of rows.

    Of a binary task, metrics to which each class counts rest on the rarer class: a ROC AUC over 1,000,000 rows with
    three positives is known no better than three rows tell.

    Args:
        y: class codes or numbers, shape (rows,).
        group: equal where rows belong together, or None.
        metric: that is to be estimated.
        classes: how many; 0 for numbers.
    """
    binary = 2
    if classes == binary and metric.name in _EACH_CLASS_COUNTS:
        return min(_distinct(y == code, group) for code in range(classes))
    return _distinct(np.ones(len(y), dtype=np.bool_), group)


def _distinct(chosen: npt.NDArray[np.bool_], group: Groups | None) -> int:
    return int(chosen.sum()) if group is None else len(np.unique(group[chosen]))
