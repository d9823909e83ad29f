"""What small models find out on the sample: signal, learning curve, label noise, how much groups and time flatter.

Each measurement is a function of the same rows, so that they can run beside one another; `ray_measure.py` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from raysweep.records.table import Column, LearningTask, Structure
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.single_feature import codes_of, numbers_of
from raysweep.training.probes import (
    LINEAR_ROWS,
    LabelErrors,
    ProbeScore,
    group_folds,
    label_errors,
    line,
    out_of_fold,
    predict,
    probe_gain,
    probe_score,
    probe_value,
    stretches,
    trees,
)
from raysweep.training.targets import target_codes
from raysweep.training.trial_data import RowBlock

MIN_ROWS: Final = 100
_MAX_ROWS: Final = 20_000
_MAX_CELLS: Final = 2_000_000
_MIN_ROWS_OF_WIDE: Final = 2_000
_MIN_ROWS_OF_GROUPS: Final = 500
_CURVE: Final = (0.25, 0.5, 1.0)
_LATE: Final = 4  # the last quarter in time is predicted
MAX_GROUPS: Final = 2

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ProbeRows:
    """The rows that the small models see: of the sample, with a target, not of the validation part.

    Attributes:
        block: features and targets, in the order of the rows' hashes: equal features stand together.
        groups: for each candidate group column, the code of each row's group.
        times: for the finest time column, its name and the microseconds of each row (NaN where missing).
        strong: features that predict the target strongly on their own.
    """

    task: LearningTask
    block: RowBlock
    groups: dict[str, Integers] = field(default_factory=dict)
    times: tuple[str, npt.NDArray[np.float64]] | None = None
    strong: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Signal:
    """The best small model's score, and the labels that it finds wrong (classes only)."""

    model: str
    score: ProbeScore
    label_errors: LabelErrors | None


@dataclass(frozen=True, slots=True)
class Flattery:
    """How much better a random split scores than an honest one, by a column."""

    column: str
    random: float
    honest: float
    gain: ProbeScore


@dataclass(frozen=True, slots=True)
class Measured:
    """What the small models found; None or empty where there was nothing to measure.

    Attributes:
        rows: how many rows they saw.
        without_strong: the best score without the features that are strong on their own, if there are any.
        curve: rows fitted on, and the score of the model on the same held-out rows.
        failed: measurements that did not come to an end, with the reason.
    """

    rows: int = 0
    signal: Signal | None = None
    without_strong: Signal | None = None
    curve: tuple[tuple[int, ProbeScore], ...] = ()
    groups: tuple[Flattery, ...] = ()
    time: Flattery | None = None
    failed: tuple[str, ...] = ()


Measurement = Callable[[ProbeRows], Any]
CarryOut = Callable[[ProbeRows, Sequence[Measurement]], Sequence[Any]]


def measure(
    context: Context,
    task: LearningTask,
    structure: Structure,
    carry_out: CarryOut,
    strong: frozenset[str] = frozenset(),
) -> Measured:
    """Fit the small models.

    Args:
        context: its sample and usable rows.
        task: what is to be learned, from which columns.
        structure: which columns may group the rows, or order them in time.
        carry_out: carries out measurements, here or beside one another on a cluster.
        strong: features that predict the target strongly on their own.
    """
    if len(context.labelled) < MIN_ROWS or not task.features:
        return Measured()
    rows = replace(_probe_rows(context, task, structure.groups, structure.times), strong=strong)
    asked: list[tuple[str, Measurement]] = [("signal", signal), ("curve", learning_curve)]
    if strong and len(strong) < len(task.features):
        asked.append(("without_strong", signal_without_strong))
    if rows.groups:
        asked.insert(0, ("groups", group_flattery))  # takes longest, so that it comes first
    if rows.times is not None:
        asked.append(("time", time_flattery))
    found = dict(zip((name for name, _ in asked), carry_out(rows, [one for _, one in asked]), strict=True))
    failed = {name: f"{name}: {error}" for name, error in found.items() if isinstance(error, Exception)}
    kept = {name: result for name, result in found.items() if name not in failed}
    return Measured(rows=rows.block.rows, failed=tuple(failed.values()), **kept)


def carry_out_here(rows: ProbeRows, measurements: Sequence[Measurement]) -> list[Any]:
    """Carry them out one after the other in this process; one that fails gives its exception."""
    return [attempt(one, rows) for one in measurements]


def attempt(measurement: Measurement, rows: ProbeRows) -> Any:
    """What a measurement finds, or why it could not: a check that fails must not stop a sweep."""
    try:
        return measurement(rows)
    except Exception as error:  # noqa: BLE001 - learners raise anything on odd data
        return RuntimeError(f"{type(error).__name__}: {error}")


def signal(rows: ProbeRows) -> Signal:
    """The better one of the small models, out of fold."""
    task, block = rows.task, rows.block
    folds = stretches(block.rows)
    models = [("gradient boosting", trees())]
    if block.rows <= LINEAR_ROWS:
        models.append(("a linear model", line(task)))
    predicted = [(name, out_of_fold(task, block, folds, model)) for name, model in models]
    scored = [(probe_score(task, block.y, one), name, one) for name, one in predicted]
    best, name, by_best = max(scored, key=lambda one: np.nan_to_num(one[0].value, nan=-np.inf))
    wrong = label_errors(block.y, by_best) if task.kind.is_classification else None
    return Signal(name, best, wrong)


def signal_without_strong(rows: ProbeRows) -> Signal:
    """What the other features tell without those that are strong on their own."""
    features = tuple(column for column in rows.task.features if column.name not in rows.strong)
    block = replace(rows.block, features=rows.block.features.select([column.name for column in features]))
    return signal(replace(rows, task=replace(rows.task, features=features), block=block))


def learning_curve(rows: ProbeRows) -> tuple[tuple[int, ProbeScore], ...]:
    """The score on a third of the rows, of models fitted on a growing share of the others."""
    task, block = rows.task, rows.block
    held_out = stretches(block.rows) == 0
    fitting, asked = block.take(np.flatnonzero(~held_out)), block.take(np.flatnonzero(held_out))
    counts = [max(1, round(fitting.rows * share)) for share in _CURVE]
    return tuple(
        (count, probe_score(task, asked.y, predict(task, fitting.take(slice(0, count)), asked, trees())))
        for count in counts
    )


def group_flattery(rows: ProbeRows) -> tuple[Flattery, ...]:
    """For each group column: rows dealt out at random against whole groups dealt out."""
    task, block = rows.task, rows.block
    at_random = out_of_fold(task, block, stretches(block.rows), trees())
    found = []
    for column, groups in rows.groups.items():
        by_group = out_of_fold(task, block, group_folds(groups), trees())
        found.append(_flattery(rows, column, np.arange(block.rows), at_random, by_group))
    return tuple(found)


def time_flattery(rows: ProbeRows) -> Flattery | None:
    """The last quarter in time, predicted from a random share of all rows against the three quarters before it."""
    if rows.times is None:
        return None
    task, (column, times) = rows.task, rows.times
    order = np.argsort(times, kind="stable")[: int((~np.isnan(times)).sum())]  # NaN come last
    if len(order) < _LATE * MIN_ROWS:
        return None
    first = int(np.searchsorted(times[order], times[order[-(len(order) // _LATE)]]))
    early, late = order[:first], order[first:]
    if min(len(early), len(late)) < MIN_ROWS:
        return None
    honest = predict(task, rows.block.take(early), rows.block.take(late), trees())
    flattered = out_of_fold(task, rows.block, stretches(rows.block.rows, _LATE), trees())[late]
    return _flattery(rows, column, late, flattered, honest)


def _flattery(rows: ProbeRows, column: str, scored: Integers, flattered: Any, honest: Any) -> Flattery:
    y = rows.block.y[scored]
    return Flattery(
        column=column,
        random=probe_value(rows.task, y, flattered),
        honest=probe_value(rows.task, y, honest),
        gain=probe_gain(rows.task, y, flattered, honest),
    )


def _probe_rows(context: Context, task: LearningTask, groups: Sequence[str], times: Sequence[str]) -> ProbeRows:
    budget = min(_MAX_ROWS, max(_MIN_ROWS_OF_WIDE, _MAX_CELLS // len(task.features)))
    sample = context.labelled.slice(0, budget).combine_chunks()
    columns: Sequence[Column] = task.features
    y = target_codes(sample.column(task.target), task)
    if not task.kind.is_classification:  # R2 does not depend on the unit, float32 does
        y = (scaled := y / (np.abs(y).max() or 1.0)) - scaled.mean()
        y /= y.std() or 1.0
    block = RowBlock(sample.select([column.name for column in columns]), y, None)
    grouped: dict[str, Integers] = {}
    if sample.num_rows >= _MIN_ROWS_OF_GROUPS:
        grouped = {name: codes_of(sample.column(name)) for name in groups[:MAX_GROUPS]}
    timed = [name for name in times if sample.column(name).type == "timestamp[us]"]
    return ProbeRows(task, block, grouped, (timed[0], numbers_of(sample.column(timed[0]))) if timed else None)
