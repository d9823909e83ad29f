"""The decision threshold of a binary model: chosen on testing rows, judged on validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from raysweep.records.metric import Metric
from raysweep.records.model_facts import Confusion, Threshold
from raysweep.training.learner import Floats

HALF: Final = 0.5
CURVE_POINTS: Final = 100
_OTHERWISE: Final = "balanced_accuracy"
_SAME: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold with what it was chosen by; `curve` as in `Threshold`."""

    value: float
    criterion: str
    score: float
    curve: tuple[tuple[float, float], ...]


def criterion_of(metric: Metric) -> str:
    """What a threshold is chosen for: the sweep's metric where it judges classes, else the balanced accuracy."""
    return metric.name if metric.name in _CRITERIA else _OTHERWISE


def choose_threshold(y: Floats, probability: Floats, weight: Floats | None, criterion: str) -> Chosen | None:
    """The best threshold for a criterion, over every one that makes a difference.

    Args:
        y: class codes of testing rows, 1 is positive, shape (rows,).
        probability: shape (rows, 2).
        weight: row weights, or None.
        criterion: as `criterion_of` says.

    Returns:
        The threshold lies midway between the probabilities that it parts; of equally good ones it is the one nearest
        to 0.5. None where the rows are of one class.
    """
    if not len(y) or y.min() == y.max():
        return None
    positive = probability[:, 1]
    values = np.unique(positive)
    thresholds = np.concatenate([[0.0], (values[:-1] + values[1:]) / 2, [np.nextafter(1.0, 2.0)]])
    thresholds[1:-1] = np.where(thresholds[1:-1] > values[:-1], thresholds[1:-1], values[1:])  # neighbours in float64
    ranges = np.concatenate([[-np.inf], values]), np.concatenate([values, [np.inf]])
    inside = (ranges[0] < HALF) & (ranges[1] >= HALF)
    thresholds[inside] = HALF  # which calls the same rows positive as any other one between these two
    scores = _CRITERIA[criterion](*_counts(y, positive, weight, values))
    best = np.flatnonzero(scores >= scores.max() - _SAME)
    place = best[np.abs(thresholds[best] - HALF).argmin()]
    return Chosen(float(thresholds[place]), criterion, float(scores[place]), _thinned(thresholds, scores, int(place)))


def judge_threshold(chosen: Chosen, y: Floats, probability: Floats, weight: Floats | None) -> Threshold:
    """What a chosen threshold does on validation rows.

    Args:
        chosen: on testing rows.
        y: class codes of validation rows, shape (rows,).
        probability: of the model that ships, shape (rows, 2).
        weight: row weights, or None.
    """
    weights = np.ones(len(y)) if weight is None else weight
    confusions = [_confusion(y == 1, probability[:, 1] >= value, weights) for value in (chosen.value, HALF)]
    at_threshold, at_half = (_score_of(chosen.criterion, one) for one in confusions)
    return Threshold(
        value=chosen.value,
        criterion=chosen.criterion,
        testing_score=chosen.score,
        validation_score=at_threshold,
        at_half=at_half,
        confusion=confusions[0],
        curve=chosen.curve,
    )


Counts = tuple[Floats, Floats, Floats, Floats]  # true positives, false positives, false negatives, true negatives


def _counts(y: Floats, positive: Floats, weight: Floats | None, values: Floats) -> Counts:
    """By threshold: below the lowest value, between each two, above the highest."""
    weights = np.ones(len(y)) if weight is None else weight
    place = np.searchsorted(values, positive)
    missed, spared = (
        np.concatenate([[0.0], np.cumsum(np.bincount(place, weights=weights * (y == code), minlength=len(values)))])
        for code in (1, 0)
    )
    return missed[-1] - missed, spared[-1] - spared, missed, spared


def _quotient(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0), dtype=np.float64)


def _accuracy(hits: Floats, false: Floats, missed: Floats, spared: Floats) -> Floats:
    return _quotient(hits + spared, hits + false + missed + spared)


def _balanced_accuracy(hits: Floats, false: Floats, missed: Floats, spared: Floats) -> Floats:
    """Mean recall of the classes that occur."""
    positives, negatives = hits + missed, false + spared
    occur = (positives > 0).astype(np.float64) + (negatives > 0)
    return _quotient(_quotient(hits, positives) + _quotient(spared, negatives), occur)


def _f1(hits: Floats, false: Floats, missed: Floats, _spared: Floats) -> Floats:
    return _quotient(2 * hits, 2 * hits + false + missed)


_CRITERIA: Final[Mapping[str, Callable[[Floats, Floats, Floats, Floats], Floats]]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
}


def _confusion(truth: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_], weights: Floats) -> Confusion:
    pairs = ((truth, called), (~truth, called), (truth, ~called), (~truth, ~called))
    return Confusion(*(float(weights[of & so].sum()) for of, so in pairs))


def _score_of(criterion: str, one: Confusion) -> float:
    cells = (one.true_positives, one.false_positives, one.false_negatives, one.true_negatives)
    return float(_CRITERIA[criterion](*(np.asarray([cell]) for cell in cells))[0])


def _thinned(thresholds: Floats, scores: Floats, best: int) -> tuple[tuple[float, float], ...]:
    """At most so many points as a drawing can show, evenly over the thresholds in order, the best one among them."""
    even = np.linspace(0, len(scores) - 1, min(CURVE_POINTS - 1, len(scores))).round().astype(np.int64)
    chosen = np.unique(np.append(even, best))
    return tuple((float(thresholds[one]), float(scores[one])) for one in chosen)
