"""Every metric on many weightings of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from raysweep.training.learner import Floats
from raysweep.training.metrics import log_losses, predicted_codes
from raysweep.training.weighted_rows import ROUNDING, TINY, Chunk, Rows, Score, mean_of_known, ratio


class WeightedScores:
    """Scores of the same rows, ready for any weighting.

    Args:
        y: class codes or numbers, shape (rows,).
        weight: the rows' own weights, or None.
        scored: pairs of a metric's name and predictions; equal pairs are scored once.
    """

    def __init__(self, y: Floats, weight: Floats | None, scored: Sequence[tuple[str, Floats]]) -> None:
        self._rows = Rows(y, weight)
        self._scored = list(scored)  # which keeps the predictions, so that no other ones get their id
        made: dict[tuple[str, int], Score] = {}
        for name, predicted in scored:
            if (name, id(predicted)) not in made:
                made[name, id(predicted)] = FORMS[name](self._rows, predicted)
        self._scores = [made[name, id(predicted)] for name, predicted in scored]

    def on(self, drawn: npt.NDArray[Any]) -> Floats:
        """Scores of shape (len(scored), weightings).

        Args:
            drawn: how often each row counts, times its own weight, shape (weightings, rows); whole numbers are
                fastest as uint8.
        """
        chunk = Chunk(drawn, self._rows)
        scores = {score: score(chunk) for score in dict.fromkeys(self._scores)}
        return np.stack([scores[score] for score in self._scores])


def _rmse(rows: Rows, predicted: Floats) -> Score:
    mean = rows.mean_of((rows.y - predicted) ** 2)
    return lambda chunk: np.sqrt(mean(chunk))


def _r2(rows: Rows, predicted: Floats) -> Score:
    centred = rows.y - rows.y.mean()  # against cancellation where the mean is far from 0
    residual, first, second = (rows.mean_of(one) for one in ((rows.y - predicted) ** 2, centred, centred**2))

    def score(chunk: Chunk) -> Floats:
        squares = second(chunk)
        variance = squares - first(chunk) ** 2
        return 1 - ratio(residual(chunk), np.where(variance > ROUNDING * squares, variance, 0.0))

    return score


def _roc_auc_ovr(rows: Rows, probability: Floats) -> Score:
    areas = [rows.ranking(probability, code).area for code in range(probability.shape[1])]
    return lambda chunk: mean_of_known(np.stack([area(chunk) for area in areas]), axis=0)


def _balanced_accuracy(rows: Rows, probability: Floats) -> Score:
    confusion = rows.confusion(probability)

    def score(chunk: Chunk) -> Floats:
        cells = confusion.cells(chunk)
        return mean_of_known(ratio(np.diagonal(cells, axis1=1, axis2=2), cells.sum(axis=2)), axis=1)

    return score


def _f1_of_each(cells: Floats) -> Floats:
    right = np.diagonal(cells, axis1=1, axis2=2)
    total = cells.sum(axis=1) + cells.sum(axis=2)
    return np.where(total > 0, 2 * right / np.maximum(total, TINY), 0.0)


def _f1(rows: Rows, probability: Floats) -> Score:
    confusion = rows.confusion(probability)
    return lambda chunk: _f1_of_each(confusion.cells(chunk))[:, 1]


def _f1_macro(rows: Rows, probability: Floats) -> Score:
    confusion = rows.confusion(probability)

    def score(chunk: Chunk) -> Floats:
        cells = confusion.cells(chunk)
        occurs = cells.sum(axis=1) + cells.sum(axis=2) > 0
        return mean_of_known(np.where(occurs, _f1_of_each(cells), np.nan), axis=1)

    return score


FORMS: Final[dict[str, Callable[[Rows, Floats], Score]]] = {
    "roc_auc": lambda rows, probability: rows.ranking(probability, 1).area,
    "roc_auc_ovr": _roc_auc_ovr,
    "average_precision": lambda rows, probability: rows.ranking(probability, 1).average_precision,
    "brier": lambda rows, probability: rows.mean_of((probability[:, 1] - rows.y) ** 2),
    "log_loss": lambda rows, probability: rows.mean_of(log_losses(rows.y, probability)),
    "accuracy": lambda rows, probability: rows.mean_of((predicted_codes(probability) == rows.y).astype(np.float64)),
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "rmse": _rmse,
    "mae": lambda rows, predicted: rows.mean_of(np.abs(rows.y - predicted)),
    "r2": _r2,
}
