"""By what rule the rows of a table are dealt out: what it depends on, and what has to be looked up for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.config import SweepConfig, TaskKind
from raysweep.errors import RequestInvalid
from raysweep.records.split_rule import SplitRule
from raysweep.records.table import ColumnKind, LearningTask, Part, Profile, Table
from raysweep.rows.hashing import Hashes, hash_rows
from raysweep.split_rules import RARE_CLASS_ROWS, Moment, instant_of, span_of
from raysweep.stages.split.assign import PARTS, Assignment, make_assignment
from raysweep.stages.split.by_column import ColumnAssignment, refusal_of
from raysweep.stages.split.by_time import GroupTimeAssignment, GroupTimes, TimeAssignment, cut_times
from raysweep.stages.split.dealing import AnyAssignment, Dealt, collect, time_values
from raysweep.stages.split.summaries import moment_of
from raysweep.training.targets import target_codes

_KEY, _TARGET, _TIME, _ROWS, _VALUE = "key", "target", "time", "rows", "value"


def split_rule(table: Table, config: SweepConfig, task: TaskKind) -> SplitRule:
    """What the sweep's split depends on."""
    split, data = config.split, config.data
    return SplitRule(
        kind=split_kind(config, task),
        seed=split.seed,
        key=key_columns(table, config),
        parts=split.parts,
        group=data.group,
        time=data.time,
        column=split.column,
        embargo=split.embargo,
        cuts=split.cuts or (),
    )


def split_kind(config: SweepConfig, task: TaskKind) -> str:
    """The kind of split that is asked for, or that fits the task."""
    if config.split.kind is not None:
        return config.split.kind
    if config.data.group is not None:
        return "group"
    return "stratified" if task.is_classification else "random"


def key_columns(table: Table, config: SweepConfig) -> tuple[str, ...]:
    """The columns whose values say which rows stay together.

    They are the group, else `split.key`, else all but the target and the column that says the part.
    """
    if config.data.group is not None:
        return (config.data.group,)
    apart = {config.data.target, config.split.column}
    return config.split.key or tuple(name for name in table.names if name not in apart)


def plan_assignment(table: Table, rule: SplitRule, task: LearningTask) -> AnyAssignment:
    """The rule for each row; looks up the times, the values of a column, or the rows of rare classes.

    Raises:
        DataUnsuitable: a column that says the parts holds something else.
        RequestInvalid: embargo or cuts are dates where the times are numbers, or the other way round.
    """
    if rule.kind == "column" and rule.column is not None:
        return _by_column(table, rule.column)
    if rule.is_by_time and rule.time is not None:
        return _by_time(table, rule, rule.time, task)
    is_stratified = task.kind.is_classification and rule.kind == "stratified"
    rare = [code for code, count in enumerate(task.class_counts) if count < RARE_CLASS_ROWS] if is_stratified else []
    keys = _keys_of_classes(table, rule.key, task, rare) if rare else {}
    return make_assignment(rule.parts, rule.seed, keys)


def check_cuts(dealt: Dealt, rule: SplitRule, table: Table) -> None:
    """Refuse cuts of the sweep file that put no row into a part.

    Raises:
        RequestInvalid: saying which part, and from when to when the rows are.
    """
    empty = [part.value for part, cut in dealt.parts.items() if not cut.block.rows]
    times = np.concatenate([cut.times for cut in dealt.parts.values() if cut.times is not None] or [np.zeros(0)])
    known = times[~np.isnan(times)]
    if not rule.cuts or not empty or not len(known):
        return
    first, last = (_plain(moment_of(float(one), table, rule)) for one in (known.min(), known.max()))
    at_fault = "split.cuts" if rule.embargo is None else f"split.cuts, with split.embargo: {rule.embargo},"
    raise RequestInvalid(
        f"{at_fault} put no row into the {' and the '.join(empty)} part: the times go from {first} to {last}, the cuts "
        f"are {' and '.join(map(_plain, rule.cuts))}"
    )


def _plain(moment: Moment) -> str:
    return str(moment).removesuffix(".0")


def usable_rows(assignment: AnyAssignment, profile: Profile, rule: SplitRule) -> npt.NDArray[np.bool_]:
    """Rows of the profile's sample that checks may look at closely: those that will not be validation rows.

    Args:
        assignment: from `plan_assignment`.
        profile: its sample and the sample's keys.
        rule: what the split depends on.
    """
    parts = _parts_of_sample(assignment, profile, rule)
    if parts is None:  # prepared away: nothing of the sample is known not to be validation
        return np.zeros(profile.sample.num_rows, np.bool_)
    return np.asarray(parts != PARTS.index(Part.VALIDATION))


def count_classes(table: Table, task: LearningTask) -> tuple[int, ...]:
    """Rows of each class; nothing for a regression."""

    def count(batch: pa.Table) -> pa.Table:
        codes = target_codes(batch.column(task.target), task)
        found, rows = np.unique(codes[~np.isnan(codes)].astype(int), return_counts=True)
        return pa.table({_TARGET: found, _ROWS: rows})

    if not task.classes:
        return ()
    found = collect(table, count, [task.target])
    codes, rows = (found.column(name).to_numpy() for name in (_TARGET, _ROWS))
    return tuple(int(rows[codes == code].sum()) for code in range(len(task.classes)))


def _parts_of_sample(assignment: AnyAssignment, profile: Profile, rule: SplitRule) -> npt.NDArray[np.int8] | None:
    sample = profile.sample
    match assignment:
        case Assignment():
            return assignment.part_of(profile.sample_keys)
        case GroupTimeAssignment():
            return assignment.part_of_groups(profile.sample_keys)
        case TimeAssignment() if rule.time in sample.column_names:
            return assignment.part_of_times(time_values(sample.column(rule.time)))
        case ColumnAssignment(column) if column in sample.column_names:
            return assignment.part_of_values(sample.column(column))
        case _:
            return None


def _by_column(table: Table, column: str) -> ColumnAssignment:
    def count(batch: pa.Table) -> pa.Table:
        counted = pc.value_counts(batch.column(column).combine_chunks())
        return pa.table({_VALUE: counted.field("values"), _ROWS: counted.field("counts")})

    found = collect(table, count, [column])
    counts: Counter[object] = Counter()
    for value, rows in zip(found.column(_VALUE).to_pylist(), found.column(_ROWS).to_pylist(), strict=True):
        counts[value] += rows
    refusal = refusal_of(column, counts)
    if refusal is not None:
        raise refusal
    return ColumnAssignment(column)


def _by_time(table: Table, rule: SplitRule, time: str, task: LearningTask) -> TimeAssignment | GroupTimeAssignment:
    cuts, embargo = _given_cuts(table, rule, time), _given_embargo(table, rule, time)
    if rule.kind == "time":
        chosen = cut_times(_times(table, time, task), rule.parts).cuts if cuts is None else cuts
        return TimeAssignment(chosen, embargo)
    return _group_times(table, rule, time, task).assignment(rule.parts, cuts, embargo)


def _given_cuts(table: Table, rule: SplitRule, time: str) -> tuple[float, float] | None:
    if not rule.cuts:
        return None
    is_date = table.column(time).kind is ColumnKind.DATETIME
    if any(isinstance(cut, str) is not is_date for cut in rule.cuts):
        what, write = ("dates", "dates such as 2026-01-31") if is_date else ("numbers", "numbers")
        given = " and ".join(map(_plain, rule.cuts))
        raise RequestInvalid(f"split.cuts are {given}, but data.time {time!r} holds {what}: write {write}")
    first, second = (instant_of(cut) if isinstance(cut, str) else cut for cut in rule.cuts)
    return first, second


def _given_embargo(table: Table, rule: SplitRule, time: str) -> float:
    if rule.embargo is None:
        return 0.0
    is_date = table.column(time).kind is ColumnKind.DATETIME
    if is_date is not isinstance(rule.embargo, str):
        what, write = ("dates", "a span such as 7d") if is_date else ("numbers", "a number")
        raise RequestInvalid(f"split.embargo is {rule.embargo}, but data.time {time!r} holds {what}: write {write}")
    return span_of(rule.embargo) or 0.0


def _times(table: Table, time: str, task: LearningTask) -> npt.NDArray[np.float64]:
    """The times of all rows with a target."""

    def find(batch: pa.Table) -> pa.Table:
        known = ~np.isnan(target_codes(batch.column(task.target), task))
        return pa.table({_TIME: time_values(batch.column(time))[known]})

    found = collect(table, find, [task.target, time])
    return np.asarray(found.column(_TIME).to_numpy(), dtype=np.float64)


def _group_times(table: Table, rule: SplitRule, time: str, task: LearningTask) -> GroupTimes:
    """The groups of all rows with a target."""

    def find(batch: pa.Table) -> pa.Table:
        known = ~np.isnan(target_codes(batch.column(task.target), task))
        found = GroupTimes.of(hash_rows(batch, rule.key)[known], time_values(batch.column(time))[known])
        return pa.table({_KEY: found.keys, _TIME: found.firsts, _ROWS: found.rows})

    found = collect(table, find, [*rule.key, task.target, time])
    keys, times, rows = (found.column(name).to_numpy() for name in (_KEY, _TIME, _ROWS))
    return GroupTimes.of(keys.astype(np.uint64), times.astype(np.float64), rows.astype(np.int64))


def _keys_of_classes(table: Table, key: Sequence[str], task: LearningTask, rare: Sequence[int]) -> Mapping[str, Hashes]:
    wanted = np.asarray(rare, dtype=np.float64)

    def find(batch: pa.Table) -> pa.Table:
        codes = target_codes(batch.column(task.target), task)
        rows = np.flatnonzero(np.isin(codes, wanted))
        return pa.table({_KEY: hash_rows(batch, key)[rows], _TARGET: codes[rows]})

    found = collect(table, find, [*key, task.target])
    keys = found.column(_KEY).to_numpy().astype(np.uint64)
    codes = found.column(_TARGET).to_numpy()
    return {str(task.classes[code]): np.sort(keys[codes == code]) for code in rare}
