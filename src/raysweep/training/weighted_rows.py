"""Rows under many weightings at once: what metrics of them share, worked out once whatever the weights.

Means of losses are one matrix product for all metrics together. A ranking is sorted once, and its metrics are sums over
the positives, from one running sum of the weights in that order. Metrics of classes share one count of the confusions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from raysweep.training.learner import Floats
from raysweep.training.metrics import predicted_codes

TINY: Final = 1e-15
ROUNDING: Final = 1e-12
_EXACT_IN_INT32: Final = 2**31 // 2**8  # so many rows of any uint8 weight


class Chunk:
    """Some weightings, and what has been made of them so far."""

    def __init__(self, drawn: npt.NDArray[Any], rows: Rows) -> None:
        self.drawn = drawn
        self.weights = drawn.astype(np.float64)
        self.sums = rows.columns() @ self.weights.T  # (columns, weightings)
        self._made: dict[int, Any] = {}

    def once(self, make: Callable[[Chunk], Any], owner: object) -> Any:
        """What `make` returns, made by the first metric that asks; the owner says what it is."""
        if id(owner) not in self._made:
            self._made[id(owner)] = make(self)
        return self._made[id(owner)]


Score = Callable[[Chunk], Floats]


class Rows:
    """The rows with what their metrics share."""

    def __init__(self, y: Floats, weight: Floats | None) -> None:
        self.y = y
        self.weight = weight
        self._columns: list[Floats] = [np.ones(len(y))]
        self._weighted: Floats | None = None
        self._rankings: dict[tuple[int, int], Ranking] = {}
        self._confusions: dict[int, Confusion] = {}

    def columns(self) -> Floats:
        """What is summed up, times the rows' own weights, shape (columns, rows); the first sum is the weight."""
        if self._weighted is None:
            stacked = np.stack(self._columns)
            self._weighted = stacked if self.weight is None else stacked * self.weight
        return self._weighted

    def mean_of(self, loss: Floats) -> Score:
        """The weighted mean of a number of each row."""
        self._columns.append(np.asarray(loss, dtype=np.float64))
        place = len(self._columns) - 1
        return lambda chunk: ratio(chunk.sums[place], chunk.sums[0])

    def ranking(self, probability: Floats, code: int) -> Ranking:
        """The rows by the probability of a class, sorted once for each array of probabilities."""
        key = (id(probability), code)
        if key not in self._rankings:
            self._rankings[key] = Ranking(self.y == code, probability[:, code], self.weight)
        return self._rankings[key]

    def confusion(self, probability: Floats) -> Confusion:
        """The confusions of an array of probabilities, counted once."""
        key = id(probability)
        if key not in self._confusions:
            self._confusions[key] = Confusion(self.y, probability, self.weight)
        return self._confusions[key]


class Ranking:
    """Rows of a two-class problem from the highest value to the lowest, with ties known.

    Only ties that hold a positive matter: the area is a sum over the positives of the negatives below them, the average
    precision one of the precision down to them.
    """

    def __init__(self, positive: npt.NDArray[np.bool_], value: Floats, weight: Floats | None) -> None:
        self._order = np.argsort(-value, kind="stable")
        ordered = value[self._order]
        self._weight = None if weight is None else weight[self._order]
        self._positives = np.flatnonzero(positive[self._order])
        last_of_tie = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
        tie = np.searchsorted(last_of_tie, self._positives)  # of each positive
        self._last_positive = np.flatnonzero(np.append(np.diff(tie) != 0, True)) if len(tie) else tie
        tie = tie[self._last_positive]
        self._end = last_of_tie[tie]
        self._before = np.where(tie > 0, last_of_tie[tie - 1], -1) + 1
        self._all_positive = bool(positive.all())

    def _counted(self, chunk: Chunk) -> tuple[Floats, Floats, Floats, Floats]:
        """By tie with a positive: weight of its positives, of positives down to its end, of all before it and to it."""
        ordered: npt.NDArray[Any] = chunk.drawn.take(self._order, axis=1)
        if self._weight is not None:
            ordered = ordered * self._weight
        whole = ordered.dtype == np.uint8 and ordered.shape[1] < _EXACT_IN_INT32
        exact = np.int32 if whole else np.float64
        running = np.zeros((len(ordered), ordered.shape[1] + 1), dtype=exact)
        np.cumsum(ordered, axis=1, dtype=exact, out=running[:, 1:])
        positives = np.cumsum(ordered.take(self._positives, axis=1), axis=1, dtype=exact)
        hits: Floats = positives.take(self._last_positive, axis=1).astype(np.float64)
        before: Floats = running.take(self._before, axis=1).astype(np.float64)
        end: Floats = running.take(self._end + 1, axis=1).astype(np.float64)
        return np.diff(hits, axis=1, prepend=0.0), hits, before, end

    def area(self, chunk: Chunk) -> Floats:
        """Area under the ROC curve, a tie counted half."""
        if self._all_positive or not len(self._end):
            return np.full(len(chunk.drawn), np.nan)
        gained, hits, before, end = chunk.once(self._counted, self)
        positives = hits[:, -1]
        negatives = chunk.sums[0] - positives
        above = (end - hits) + (before - (hits - gained))  # twice the negatives above, a tied one half
        won = np.einsum("ij,ij->i", gained, 2 * negatives[:, np.newaxis] - above) / 2
        return ratio(won, positives * np.where(negatives > ROUNDING * chunk.sums[0], negatives, 0.0))

    def average_precision(self, chunk: Chunk) -> Floats:
        """Mean of the precision down to each positive."""
        if not len(self._end):
            return np.full(len(chunk.drawn), np.nan)
        gained, hits, _, end = chunk.once(self._counted, self)
        precision = hits / np.maximum(end, TINY)
        return ratio(np.einsum("ij,ij->i", gained, precision), hits[:, -1])


class Confusion:
    """Which class is taken for which, by weight."""

    def __init__(self, y: Floats, probability: Floats, weight: Floats | None) -> None:
        self._classes = probability.shape[1]
        self._cell = y.astype(np.int64) * self._classes + predicted_codes(probability)
        self._weight = weight

    def _counted(self, chunk: Chunk) -> Floats:
        weights = chunk.weights if self._weight is None else chunk.weights * self._weight
        cells = self._classes**2
        sums = [np.bincount(self._cell, weights=one, minlength=cells) for one in weights]
        return np.asarray(np.stack(sums).reshape(-1, self._classes, self._classes), dtype=np.float64)

    def cells(self, chunk: Chunk) -> Floats:
        """Shape (weightings, true class, predicted class)."""
        return np.asarray(chunk.once(self._counted, self))


def ratio(above: Floats, below: Floats) -> Floats:
    """Quotients; NaN where the divisor is not above 0: the resample lacks what the metric needs."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0))


def mean_of_known(values: Floats, axis: int) -> Floats:
    """Means of the values that are not NaN; NaN where there is none."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis).astype(np.float64))
