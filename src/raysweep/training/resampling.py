"""Bootstrap of scores: every metric on many weighted resamples of the same predictions at once.

A resample is a weight for each row, drawn from a Poisson distribution of mean 1 (Hanley & MacGibbon 2006; Chamandy et
al. 2012): rows are sorted once, and each metric becomes sums over weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson

from raysweep.training.learner import Floats
from raysweep.training.metrics import predicted_codes

RESAMPLES: Final = 1_000
_CHUNK_CELLS: Final = 4_000_000
_TINY: Final = 1e-15
_ROUNDING: Final = 1e-12
# The Poisson distribution of mean 1 as 65,536 equally likely values: ten times as fast as drawing from it.
_POISSON: Final = poisson.ppf((np.arange(2**16) + 0.5) / 2**16, 1.0)

Resample = Callable[[Floats], Floats]  # weights (resamples, rows) -> scores (resamples,)


def resampled_scores(
    y: Floats,
    weight: Floats | None,
    scored: Sequence[tuple[str, Floats]],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Floats:
    """Scores on the same resamples, so that their differences are paired.

    Args:
        y: class codes or numbers, shape (rows,).
        weight: row weights, or None.
        scored: pairs of a metric's name and predictions, as `raysweep.training.metrics.score` takes them.
        seed: of the resamples.
        resamples: how many.

    Returns:
        Array of shape (len(scored), resamples).
    """
    scorers = [_RESAMPLERS[name](y, predicted) for name, predicted in scored]
    chunks = [np.stack([scorer(drawn) for scorer in scorers]) for drawn in _weights(len(y), weight, seed, resamples)]
    return np.concatenate(chunks, axis=1)


def _weights(rows: int, weight: Floats | None, seed: int, resamples: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK_CELLS // max(1, rows))
    for start in range(0, resamples, size):
        shape = (min(size, resamples - start), rows)
        drawn = _POISSON[generator.integers(0, len(_POISSON), size=shape, dtype=np.uint16)]
        yield drawn if weight is None else drawn * weight


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotients; NaN where the divisor is not above 0: the resample lacks what the metric needs."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0))


def _mean_of_known(values: Floats, axis: int) -> Floats:
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis).astype(np.float64))


def _mean_of(loss: Floats) -> Resample:
    def score(weights: Floats) -> Floats:
        return _ratio(weights @ loss, weights.sum(axis=1))

    return score


def _log_loss(y: Floats, probability: Floats) -> Resample:
    of_truth = (probability / probability.sum(axis=1, keepdims=True))[np.arange(len(y)), y.astype(int)]
    return _mean_of(-np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1)))


def _rmse(y: Floats, predicted: Floats) -> Resample:
    mean = _mean_of((y - predicted) ** 2)
    return lambda weights: np.sqrt(mean(weights))


def _r2(y: Floats, predicted: Floats) -> Resample:
    centred = y - y.mean()  # against cancellation where the mean is far from 0
    residual, first, second = _mean_of((y - predicted) ** 2), _mean_of(centred), _mean_of(centred**2)

    def score(weights: Floats) -> Floats:
        squares = second(weights)
        variance = squares - first(weights) ** 2
        return 1 - _ratio(residual(weights), np.where(variance > _ROUNDING * squares, variance, 0.0))

    return score


class _Ranking:
    """Rows of a two-class problem from the highest value to the lowest, with ties known."""

    def __init__(self, positive: npt.NDArray[np.bool_], value: Floats) -> None:
        self.order = np.argsort(-value, kind="stable")
        ordered = value[self.order]
        self.positive = positive[self.order].astype(np.float64)
        self.last_of_tie = np.flatnonzero(np.append(np.diff(ordered) != 0, True))

    def cumulated(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weight of positives and of negatives down to the end of each tie, shape (resamples, ties)."""
        ordered = weights[:, self.order]
        positives = np.cumsum(ordered * self.positive, axis=1)[:, self.last_of_tie]
        negatives = np.cumsum(ordered * (1 - self.positive), axis=1)[:, self.last_of_tie]
        return positives, negatives


def _area(positive: npt.NDArray[np.bool_], value: Floats) -> Resample:
    ranking = _Ranking(positive, value)

    def score(weights: Floats) -> Floats:
        hits, misses = ranking.cumulated(weights)
        steps = np.diff(misses, axis=1, prepend=0.0)
        middle = hits - np.diff(hits, axis=1, prepend=0.0) / 2
        total = hits[:, -1] * misses[:, -1]
        return _ratio((steps * middle).sum(axis=1), total)

    return score


def _roc_auc(y: Floats, probability: Floats) -> Resample:
    return _area(y == 1, probability[:, 1])


def _roc_auc_ovr(y: Floats, probability: Floats) -> Resample:
    areas = [
        _area(y == code, probability[:, code]) for code in range(probability.shape[1]) if 0 < (y == code).sum() < len(y)
    ]
    if not areas:
        return lambda weights: np.full(len(weights), np.nan)
    return lambda weights: _mean_of_known(np.stack([area(weights) for area in areas]), axis=0)


def _average_precision(y: Floats, probability: Floats) -> Resample:
    ranking = _Ranking(y == 1, probability[:, 1])

    def score(weights: Floats) -> Floats:
        hits, misses = ranking.cumulated(weights)
        precision = hits / np.maximum(hits + misses, _TINY)
        gained = np.diff(hits, axis=1, prepend=0.0)
        return _ratio((gained * precision).sum(axis=1), hits[:, -1])

    return score


def _confusion(y: Floats, probability: Floats) -> Callable[[Floats], Floats]:
    """Weights (resamples, rows) -> confusion matrices (resamples, true class, predicted class)."""
    classes = probability.shape[1]
    cell = y.astype(int) * classes + predicted_codes(probability)
    members = [np.flatnonzero(cell == number) for number in range(classes * classes)]

    def count(weights: Floats) -> Floats:
        sums = np.stack([weights[:, rows].sum(axis=1) for rows in members], axis=1)
        return sums.reshape(-1, classes, classes)

    return count


def _accuracy(y: Floats, probability: Floats) -> Resample:
    return _mean_of((predicted_codes(probability) == y).astype(np.float64))


def _balanced_accuracy(y: Floats, probability: Floats) -> Resample:
    count = _confusion(y, probability)

    def score(weights: Floats) -> Floats:
        cells = count(weights)
        recall = _ratio(np.diagonal(cells, axis1=1, axis2=2), cells.sum(axis=2))
        return _mean_of_known(recall, axis=1)

    return score


def _f1_of_each(cells: Floats) -> Floats:
    right = np.diagonal(cells, axis1=1, axis2=2)
    total = cells.sum(axis=1) + cells.sum(axis=2)
    return np.where(total > 0, 2 * right / np.maximum(total, _TINY), 0.0)


def _f1(y: Floats, probability: Floats) -> Resample:
    count = _confusion(y, probability)
    return lambda weights: _f1_of_each(count(weights))[:, 1]


def _f1_macro(y: Floats, probability: Floats) -> Resample:
    count = _confusion(y, probability)

    def score(weights: Floats) -> Floats:
        cells = count(weights)
        occurs = cells.sum(axis=1) + cells.sum(axis=2) > 0
        return _mean_of_known(np.where(occurs, _f1_of_each(cells), np.nan), axis=1)

    return score


_RESAMPLERS: Final[dict[str, Callable[[Floats, Floats], Resample]]] = {
    "roc_auc": _roc_auc,
    "roc_auc_ovr": _roc_auc_ovr,
    "average_precision": _average_precision,
    "brier": lambda y, probability: _mean_of((probability[:, 1] - y) ** 2),
    "log_loss": _log_loss,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "rmse": _rmse,
    "mae": lambda y, predicted: _mean_of(np.abs(y - predicted)),
    "r2": _r2,
}
