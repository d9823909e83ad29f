"""Slices: parts of the validation rows, by the columns that the user names, on which the model is judged apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
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
MOST_VALUES: Final = 20
OTHER: Final = "other values"
_SINGLE_NUMBERS: Final = 4  # a column with no more different numbers is taken value by value
_QUARTILES: Final = (0.25, 0.5, 0.75)

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


def declared_slices(columns: pa.Table) -> list[Members]:
    """The slices of columns that the user names.

    Args:
        columns: of the validation rows, in canonical types.

    Returns:
        Text and booleans by value, the 20 most frequent ones and the rest; numbers and times by quartile. Rows without
        a value are a slice of their own.
    """
    return [
        Members(f"{name} {said}", name, rows)
        for name in columns.column_names
        for said, rows in _of_column(columns.column(name).combine_chunks())
        if rows.any()
    ]


def _of_column(values: pa.Array) -> Iterator[tuple[str, Mask]]:
    missing = np.asarray(pc.is_null(values, nan_is_null=True))
    known = values.filter(pa.array(~missing))
    has_order = (pa.types.is_timestamp, pa.types.is_integer, pa.types.is_floating)
    by_value = not any(is_of(values.type) for is_of in has_order)
    if by_value or pc.count_distinct(known).as_py() <= _SINGLE_NUMBERS:
        yield from _by_value(values, known, missing)
    else:
        yield from _by_quartile(values, known, missing)
    yield "is missing", missing


def _by_value(values: pa.Array, known: pa.Array, missing: Mask) -> Iterator[tuple[str, Mask]]:
    counted = [(one["values"], one["counts"]) for one in known.value_counts().to_pylist()]
    counted.sort(key=lambda pair: (-pair[1], str(pair[0])))
    rest = ~missing
    for value, _ in counted[:MOST_VALUES]:
        rows = np.asarray(pc.fill_null(pc.equal(values, pa.scalar(value, values.type)), False))  # noqa: FBT003
        rest &= ~rows
        yield f"= {said(value)}", rows
    yield f"= {OTHER}", rest


def _by_quartile(values: pa.Array, known: pa.Array, missing: Mask) -> Iterator[tuple[str, Mask]]:
    instants = pa.types.is_timestamp(values.type)
    numbers = (values.cast(pa.int64()) if instants else values).to_numpy(zero_copy_only=False)
    quartiles = pc.quantile(known.cast(pa.int64()) if instants else known, list(_QUARTILES), interpolation="lower")
    edges = sorted(set(quartiles.to_pylist()))
    texts = [said(pa.scalar(edge, values.type).as_py() if instants else edge) for edge in edges]
    place = np.searchsorted(np.asarray(edges), np.where(missing, edges[0], numbers), side="left")
    names = [f"<= {texts[0]}", *(f"in ({low}, {high}]" for low, high in pairwise(texts))]
    for number, name in enumerate([*names, f"> {texts[-1]}"]):
        yield name, (place == number) & ~missing


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
        slices: those with fewer than 100 rows, or 1 % of all, are left out.
        rows: all validation rows.
        metric: the sweep's.
        floors: what is asked for in the slices of a declared column, by its name.

    Returns:
        The p-value is that of Welch's t-test (1947) on the unexpected losses inside and outside; a mean's variance is
        that of the sum over independent rows or groups, weighted as they are. All are Holm-adjusted (1979) together.
    """
    judged = [one for one in slices if one.rows.sum() >= smallest_slice(len(rows.y))]
    if not judged:
        return ()
    loss = row_losses(metric, rows.y, rows.predicted)
    weights = np.ones(len(loss)) if rows.weight is None else rows.weight
    whole = np.average(loss, weights=weights)
    scored = [(metric.name, rows.predicted), (metric.name, rows.dummy)]
    scores = WeightedScores(rows.y, rows.weight, scored).on(np.stack([one.rows for one in judged]).astype(np.uint8))
    unexpected = unexpected_losses(metric, rows.y, rows.predicted)
    adjusted = holm([_p_value(unexpected, weights, one.rows, rows.group) for one in judged])
    found = [
        Slice(
            name=one.name,
            column=one.column,
            rows=int(one.rows.sum()),
            score=_known(scores[0, place]),
            dummy_score=_known(scores[1, place]),
            loss_ratio=float(np.average(loss[one.rows], weights=weights[one.rows]) / whole) if whole else 1.0,
            p_value=adjusted[place],
            floor=None if floors is None or one.column is None else floors.get(one.column),
        )
        for place, one in enumerate(judged)
    ]
    return tuple(sorted(found, key=lambda one: -one.loss_ratio))


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
