"""Slices: parts of the validation rows on which the model is judged apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import entr
from scipy.stats import ttest_ind_from_stats

from raysweep.config import TaskKind
from raysweep.records.metric import Metric
from raysweep.records.model_facts import Slice
from raysweep.training.learner import Floats
from raysweep.training.metrics import log_losses
from raysweep.training.resampling import Groups
from raysweep.training.weighted_scores import WeightedScores

FEWEST_ROWS: Final = 100
SMALLEST_SHARE: Final = 0.01
OTHER: Final = "other values"
_CELLS: Final = 500_000  # slices times rows whose scores are worked out together

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Members:
    """The rows of a slice, shape (rows,), before anything is known of them; `column` as in `Slice`."""

    name: str
    column: str | None
    rows: Mask


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Validation rows with what is predicted for them.

    Attributes:
        predicted, dummy: of the model that ships and of the dummy, as metrics take them.
        group: equal where rows belong together, or None.
    """

    y: Floats
    predicted: Floats
    dummy: Floats
    weight: Floats | None = None
    group: Groups | None = None

    def take(self, kept: Mask) -> JudgedRows:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[kept]
        group = None if self.group is None else self.group[kept]
        return JudgedRows(self.y[kept], self.predicted[kept], self.dummy[kept], weight, group)


def row_losses(metric: Metric, y: Floats, predicted: Floats) -> Floats:
    """What a row adds to the loss: log loss of classes, squared error of numbers (the absolute one for `mae`)."""
    if TaskKind.REGRESSION not in metric.tasks:
        return log_losses(y, predicted)
    return np.abs(y - predicted) if metric.name == "mae" else (y - predicted) ** 2


def unexpected_losses(metric: Metric, y: Floats, predicted: Floats) -> Floats:
    """The loss of each row beyond what the model itself expects there.

    A model of classes says by its probabilities how much it will lose: their entropy. Rows of which it says honestly
    that they are hard to tell are no weakness of its; rows that it is sure about, and wrong, are.
    """
    losses = row_losses(metric, y, predicted)
    if TaskKind.REGRESSION in metric.tasks:
        return losses
    shares = predicted / predicted.sum(axis=1, keepdims=True)
    return np.asarray(losses - entr(shares).sum(axis=1))


def smallest_slice(rows: int) -> int:
    """How many rows a slice has to have to be judged."""
    return max(FEWEST_ROWS, int(np.ceil(SMALLEST_SHARE * rows)))


def said(value: object) -> str:
    """A value as it stands in the name of a slice."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def judge_slices(
    slices: Sequence[Members], rows: JudgedRows, metric: Metric, floors: Mapping[str, float | None] | None = None
) -> tuple[Slice, ...]:
    """Judge slices of the validation rows, the one with the highest loss first.

    Args:
        slices: of those with fewer than 100 rows, or 1 % of all, only the declared ones come back, last and not judged.
        rows: all validation rows; those of weight 0 do not count as rows.
        metric: the sweep's.
        floors: what is asked for in the slices of a declared column, by its name.

    Returns:
        The p-value is that of Welch's t-test (1947) on the unexpected losses inside and outside; a mean's variance is
        that of the sum over independent rows or groups, weighted as they are. All that are judged are Holm-adjusted
        (1979) together.
    """
    if rows.weight is not None:
        kept = rows.weight > 0
        slices = [Members(one.name, one.column, one.rows[kept]) for one in slices]
        rows = rows.take(kept)
    fewest, asked = smallest_slice(len(rows.y)), floors or {}
    judged = [one for one in slices if one.rows.sum() >= fewest]
    found = _judged(judged, rows, metric, asked) if judged else []
    too_few = [_too_few(one, asked) for one in slices if one.column is not None and one.rows.sum() < fewest]
    return (*sorted(found, key=lambda one: -one.loss_ratio), *too_few)


def _judged(
    judged: Sequence[Members], rows: JudgedRows, metric: Metric, floors: Mapping[str, float | None]
) -> list[Slice]:
    loss = row_losses(metric, rows.y, rows.predicted)
    weights = np.ones(len(loss)) if rows.weight is None else rows.weight
    whole = np.average(loss, weights=weights)
    scores = _scores(judged, rows, metric)
    unexpected = unexpected_losses(metric, rows.y, rows.predicted)
    adjusted = holm([_p_value(unexpected, weights, one.rows, rows.group) for one in judged])
    return [
        Slice(
            name=one.name,
            column=one.column,
            rows=int(one.rows.sum()),
            score=_known(scores[0, place]),
            dummy_score=_known(scores[1, place]),
            loss_ratio=float(np.average(loss[one.rows], weights=weights[one.rows]) / whole) if whole else 1.0,
            p_value=adjusted[place],
            floor=None if one.column is None else floors.get(one.column),
        )
        for place, one in enumerate(judged)
    ]


def _too_few(one: Members, floors: Mapping[str, float | None]) -> Slice:
    """What is said of a declared slice that cannot be judged; a score of few rows would say what their targets are."""
    floor = None if one.column is None else floors.get(one.column)
    return Slice(one.name, one.column, int(one.rows.sum()), None, None, 1.0, 1.0, floor, judged=False)


def _scores(judged: Sequence[Members], rows: JudgedRows, metric: Metric) -> Floats:
    """Of the model and the dummy, shape (2, slices); a few slices at a time, since each becomes a float a row."""
    scored = WeightedScores(rows.y, rows.weight, [(metric.name, rows.predicted), (metric.name, rows.dummy)])
    size = max(1, _CELLS // len(rows.y))
    masks = ([one.rows for one in judged[start : start + size]] for start in range(0, len(judged), size))
    return np.concatenate([scored.on(np.stack(some).astype(np.uint8)) for some in masks], axis=1)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for how many there are (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(p_values), 0, -1) * np.asarray(p_values, dtype=np.float64)[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(one) for one in adjusted]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _p_value(loss: Floats, weights: Floats, inside: Mask, group: Groups | None) -> float:
    """That the rows inside are no worse than those outside."""
    sides = (
        _mean_and_spread(loss[side], weights[side], None if group is None else group[side])
        for side in (inside, ~inside)
    )
    (mean, spread, units), (other, other_spread, other_units) = sides
    if min(units, other_units) < 2:  # noqa: PLR2004 - no spread is known
        return 1.0
    if spread == other_spread == 0:
        return 0.0 if mean > other else 1.0
    test = ttest_ind_from_stats(mean, spread, units, other, other_spread, other_units, False, "greater")  # noqa: FBT003
    return float(test.pvalue)


def _mean_and_spread(loss: Floats, weights: Floats, group: Groups | None) -> tuple[float, float, int]:
    """Weighted mean, the standard deviation of what each unit adds to it, and how many units there are."""
    if not len(loss) or weights.sum() <= 0:
        return 0.0, 0.0, 0
    mean = float(np.average(loss, weights=weights))
    added: Floats = weights * (loss - mean)
    if group is not None:
        added = np.bincount(np.unique(group, return_inverse=True)[1], weights=added).astype(np.float64)
    units = len(added)
    spread = float(np.std(added * units / weights.sum(), ddof=1)) if units > 1 else 0.0
    return mean, spread, units
