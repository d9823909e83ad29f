"""What is published of the parts: how many rows, which ones, of what time; and what proves that they share none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from raysweep.records.split_rule import SplitRule
from raysweep.records.table import ColumnKind, LearningTask, Part, PartSummary, Table
from raysweep.rows.hashing import Hashes, digest_of
from raysweep.split_rules import Moment, iso_of
from raysweep.stages.split.by_time import GroupTimeAssignment, TimeAssignment
from raysweep.stages.split.dealing import AnyAssignment, Cut, Dealt, empty_part, weightless_part


def summaries_of(dealt: Dealt, rule: SplitRule, table: Table, task: LearningTask) -> Mapping[Part, PartSummary]:
    """A summary of each part.

    Raises:
        DataUnsuitable: one is empty.
    """
    for part, cut in dealt.parts.items():
        if cut.block.rows == 0:
            raise empty_part(part, rule)
        if cut.block.weight is not None and not cut.block.weight.sum() > 0:
            raise weightless_part(part, str(task.weight))
    return {part: _summary(cut, rule, table, task) for part, cut in dealt.parts.items()}


def keys_shared(dealt: Dealt) -> int:
    """How many row keys stand in more than one part."""
    keys = [cut.keys for cut in dealt.parts.values()]
    return sum(map(count_distinct, keys)) - count_distinct(*keys)


def cuts_of(assignment: AnyAssignment) -> tuple[float, ...]:
    """When testing and validation begin; nothing where time does not decide."""
    if isinstance(assignment, GroupTimeAssignment):
        return assignment.time.cuts
    return assignment.cuts if isinstance(assignment, TimeAssignment) else ()


def moment_of(time: float, table: Table, rule: SplitRule) -> Moment:
    """A time as the sweep file has it: a date in ISO 8601, or the column's number."""
    is_date = rule.time is not None and table.column(rule.time).kind is ColumnKind.DATETIME
    return iso_of(time) if is_date else time


def count_distinct(*keys: Hashes) -> int:
    """How many there are; by sorting, which takes a fraction of what `np.unique` does."""
    ordered = np.sort(np.concatenate(keys))
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(1, len(ordered))


def _summary(cut: Cut, rule: SplitRule, table: Table, task: LearningTask) -> PartSummary:
    codes = cut.block.y.astype(int)
    counts = np.bincount(codes, minlength=len(task.classes)).tolist() if task.classes else []
    known = cut.times[~np.isnan(cut.times)] if cut.times is not None else np.zeros(0)
    first, last = (
        (moment_of(float(one), table, rule) for one in (known.min(), known.max())) if len(known) else [None] * 2
    )
    return PartSummary(
        rows=cut.block.rows,
        digest=digest_of(cut.keys),
        class_counts=tuple(counts),
        first=first,
        last=last,
        groups=None if cut.block.group is None else count_distinct(cut.block.group),
    )
