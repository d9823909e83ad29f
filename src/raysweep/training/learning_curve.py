"""The learning curve: what more rows are expected to bring, where the scores on fewer rows tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from raysweep.records.metric import Metric
from raysweep.records.model_facts import LearningCurve
from raysweep.training.learner import Floats

_FEWEST_POINTS: Final = 3
_EXPONENTS: Final = (0.05, 2.0)
_TRIED: Final = 20
_MOST_RISE: Final = 0.1  # of the whole fall, from one point to the next
_MOST_MISFIT: Final = 0.15  # of the whole fall, root mean square


def extrapolate(points: Sequence[tuple[int, float]], metric: Metric) -> LearningCurve:
    """Fit an inverse power law to the distance from perfect: a + b * rows ** -c (Cortes et al. 1993).

    Such a law fits most learning curves, but not all (Viering & Loog 2023): where the distance does not fall, falls and
    rises again, or lies off the fitted curve, nothing is expected of more rows.

    Args:
        points: pairs of training rows and score, in any order.
        metric: of the scores.

    Returns:
        The points by rising rows; `doubled` for twice the most rows, None with fewer than three points or without fit.
    """
    ordered = tuple(sorted((int(rows), float(score)) for rows, score in points))
    rows, scores = (np.array([point[place] for point in ordered], dtype=np.float64) for place in (0, 1))
    distance = metric.sign * (metric.perfect - scores)
    if len(np.unique(rows)) < _FEWEST_POINTS or not np.isfinite(distance).all() or not _falls(distance):
        return LearningCurve(ordered, None)
    expected = _distance_at_double(rows / rows[-1], distance)
    return LearningCurve(ordered, None if expected is None else metric.perfect - metric.sign * expected)


def _falls(distance: Floats) -> bool:
    fall = distance[0] - distance[-1]
    return bool(fall > 0 and np.diff(distance).max() <= _MOST_RISE * fall)


def _distance_at_double(rows: Floats, distance: Floats) -> float | None:
    """The fitted distance from perfect at twice the most rows; None where the curve does not fit.

    Args:
        rows: over the most rows.
        distance: falling.
    """

    def design(exponent: float) -> Floats:
        return np.column_stack([np.ones(len(rows)), rows**-exponent])

    def misfit(exponent: float) -> float:
        return float(nnls(design(exponent), distance)[1])

    tried = np.geomspace(*_EXPONENTS, _TRIED)
    best = int(np.argmin([misfit(one) for one in tried]))
    around = (tried[max(0, best - 1)], tried[min(_TRIED - 1, best + 1)])
    exponent = float(minimize_scalar(misfit, bounds=around, method="bounded").x)
    (floor, scale), residual = nnls(design(exponent), distance)
    if residual / np.sqrt(len(rows)) > _MOST_MISFIT * (distance[0] - distance[-1]):
        return None
    return float(floor + scale * 2.0**-exponent)
