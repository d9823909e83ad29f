"""Dealing the rows of a table out to the parts, in one pass over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten, suggest
from raysweep.errors import DataUnsuitable, RequestInvalid
from raysweep.records.split_rule import AFTER_ITS_PART, EMBARGOED, WITHOUT_TARGET, SplitRule
from raysweep.records.table import Finding, LearningTask, Part, Severity, Table
from raysweep.rows.hashing import Hashes, RowHasher, hash_rows, hash_values
from raysweep.stages.split.assign import PARTS, Assignment
from raysweep.stages.split.by_column import ColumnAssignment
from raysweep.stages.split.by_time import IN_EMBARGO, TOO_LATE, GroupTimeAssignment, TimeAssignment
from raysweep.training.canaries import TARGET_OF_ROW
from raysweep.training.targets import target_codes
from raysweep.training.trial_data import RowBlock

_KEY, _ROW, _MARK, _PART = "key", "row", "mark", "part"
_TARGET, _WEIGHT, _GROUP, _TIME = "target", "weight", "group", "time"
_FURTHER: Final = "further "

AnyAssignment = Assignment | TimeAssignment | GroupTimeAssignment | ColumnAssignment


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows of one part with what the split adds, ordered by key.

    Attributes:
        times: `data.time` of each row, as `time_values` has it; None where it is not given.
        rows: hashes of all the source's columns.
        marks: hashes of the inputs and the target's code (`raysweep.training.canaries`).
        further: the further columns that the final check wants.
    """

    keys: Hashes
    rows: Hashes
    marks: Hashes
    block: RowBlock
    further: pa.Table
    times: npt.NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of each row.

    Attributes:
        rule: by what the rows are dealt out.
        further: columns beside the inputs that the final check wants of the validation rows.
    """

    table: Table
    task: LearningTask
    rule: SplitRule
    further: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table, task: LearningTask, rule: SplitRule, further: Sequence[str] = ()) -> Wanted:
        """What the sweep wants.

        Raises:
            RequestInvalid: the table has no such further column.
        """
        for name in further:
            if name not in table.names:
                raise RequestInvalid(
                    f"the final check wants the column {shorten(name)!r}, which {shorten(table.address, 80)} does not "
                    f"have{suggest(name, table.names)}"
                )
        inputs = {column.name for column in task.inputs}
        beside = tuple(name for name in dict.fromkeys(further) if name not in inputs)
        return cls(table, task, rule, beside)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that are learned from, before any preparation."""
        return tuple(column.name for column in self.task.inputs)


@dataclass(frozen=True, slots=True)
class Dealt:
    """The rows of each part, and how many are in none, by the reason."""

    parts: Mapping[Part, Cut]
    left_out: Mapping[str, int]


def deal(wanted: Wanted, assignment: AnyAssignment) -> Dealt:
    """The rows of each part.

    Raises:
        DataUnsuitable: the table is empty.
    """

    def convert(batch: pa.Table) -> pa.Table:
        return _dealt(batch, wanted, assignment)

    return _dealt_out(collect(wanted.table, convert), wanted, _part_of)


def deal_bare(wanted: Wanted, assignment: AnyAssignment) -> Dealt:
    """The same without a column of the rows and without their hashes: keys, targets, weights, groups and times alone.

    Raises:
        DataUnsuitable: the table is empty.
    """
    rule, task = wanted.rule, wanted.task
    named = dict.fromkeys([*rule.key, task.target, task.weight, rule.group, rule.time, rule.column])

    def convert(batch: pa.Table) -> pa.Table:
        codes = target_codes(batch.column(task.target), task)
        return pa.table(_placed(batch, wanted, assignment, hash_rows(batch, rule.key)) | {_TARGET: codes})

    found = collect(wanted.table, convert, [name for name in named if name is not None])
    return _dealt_out(found, wanted, _bare_part_of)


def deal_batch(batch: pa.Table, wanted: Wanted, assignment: AnyAssignment) -> pa.Table:
    """The rows of a block that are in a part, with what the split adds: for `key_hashes`, `parts_of` and `cut_of`."""
    dealt = _dealt(batch, wanted, assignment)
    in_part = pc.and_(pc.invert(pc.is_nan(dealt.column(_TARGET))), pc.greater_equal(dealt.column(_PART), 0))
    return dealt.filter(in_part)


def key_hashes(dealt: pa.Table) -> Hashes:
    """The key of each row, shape (rows,)."""
    return np.asarray(dealt.column(_KEY).to_numpy(), dtype=np.uint64)


def parts_of(dealt: pa.Table) -> npt.NDArray[np.int64]:
    """The position in `PARTS` of each row, shape (rows,)."""
    return np.asarray(dealt.column(_PART).to_numpy(), dtype=np.int64)


def cut_of(dealt: pa.Table, part: Part, wanted: Wanted) -> Cut:
    """The rows of one part, ordered by key."""
    return _part_of(dealt, PARTS.index(part), wanted)


def _dealt_out(dealt: pa.Table, wanted: Wanted, part_of: Callable[[pa.Table, int, Wanted], Cut]) -> Dealt:
    kept = dealt.filter(pc.invert(pc.is_nan(dealt.column(_TARGET))))
    left_out = {WITHOUT_TARGET: dealt.num_rows - kept.num_rows}
    places = kept.column(_PART).to_numpy()
    if wanted.rule.is_by_time:
        left_out[EMBARGOED] = int((places == IN_EMBARGO).sum())
        left_out[AFTER_ITS_PART] = int((places == TOO_LATE).sum())
    return Dealt({part: part_of(kept, position, wanted) for position, part in enumerate(PARTS)}, left_out)


def collect(table: Table, convert: Callable[[pa.Table], pa.Table], names: Sequence[str] | None = None) -> pa.Table:
    """What `convert` makes of all blocks, in one table; reads the named columns alone, if any are named.

    Raises:
        DataUnsuitable: there is no row.
    """
    filled = [block for block in table.scan(lambda blocks: map(convert, blocks), names) if block.num_columns]
    if not filled:
        raise empty_part(Part.TRAINING)
    return pa.concat_tables(filled)


def time_values(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Instants in microseconds, or the numbers themselves; NaN where missing or infinite."""
    array = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
    times = np.asarray(array.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    return np.where(np.isfinite(times), times, np.nan)


def weightless_part(part: Part, weight: str) -> DataUnsuitable:
    """Why no score can be had on a part."""
    message = f"all rows of the {part} part have the weight 0 ({weight}): no score is defined there"
    advice = "Give them a weight, leave them out of the source, or split otherwise"
    finding = Finding("schema.weight", Severity.ERROR, message, advice, column=weight)
    return DataUnsuitable(f"{message}. {advice}", findings=[finding])


def empty_part(part: Part, rule: SplitRule | None = None) -> DataUnsuitable:
    """Why there is nothing to learn from, or to score on."""
    kind = "" if rule is None else rule.kind
    units = {"group": "groups", "time": "different times", "group+time": "groups that begin in its time"}
    message = f"the {part} part is empty: the table has too few {units.get(kind, 'rows')} with a target"
    advice = f"Give more {units.get(kind, 'rows')}, a larger share in split.parts, or split otherwise"
    if kind == "group+time":
        advice = "Where all groups begin early, split by split.kind: group or time alone"
    if rule is not None and rule.embargo is not None:
        advice += f"; or make split.embargo shorter than {rule.embargo}"
    if rule is not None and rule.cuts:
        advice = "Move split.cuts, or leave them out: they are chosen by split.parts then"
    if kind == "column" and rule is not None:
        message = f"the {part} part is empty: no row with a target has {part.value} in {rule.column}"
        advice = "Mark rows as such there, or split otherwise"
    finding = Finding("rows.too_few", Severity.ERROR, message, advice)
    return DataUnsuitable(f"{message}. {advice}", findings=[finding])


def _dealt(batch: pa.Table, wanted: Wanted, assignment: AnyAssignment) -> pa.Table:
    codes = target_codes(batch.column(wanted.task.target), wanted.task)
    keys, rows, marks = _hashes(batch, wanted, codes)
    columns: dict[str, Any] = {str(position): batch.column(name) for position, name in enumerate(wanted.inputs)}
    columns |= {f"{_FURTHER}{position}": batch.column(name) for position, name in enumerate(wanted.further)}
    columns |= {_ROW: rows, _MARK: marks, _TARGET: codes} | _placed(batch, wanted, assignment, keys)
    return pa.table(columns)


def _placed(batch: pa.Table, wanted: Wanted, assignment: AnyAssignment, keys: Hashes) -> dict[str, Any]:
    """Key, part, time, group and weight of each row."""
    columns: dict[str, Any] = {_KEY: keys}
    rule = wanted.rule
    if rule.time is not None:
        columns[_TIME] = time_values(batch.column(rule.time))
    columns[_PART] = _places(assignment, batch, keys, columns.get(_TIME))
    if rule.group is not None:
        columns[_GROUP] = hash_rows(batch, [rule.group])
    if wanted.task.weight is not None:
        columns[_WEIGHT] = pc.cast(batch.column(wanted.task.weight), pa.float64())
    return columns


def _places(
    assignment: AnyAssignment, batch: pa.Table, keys: Hashes, times: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.int8]:
    """Position in `PARTS` of each row, or why it is in none."""
    match assignment:
        case Assignment():
            return assignment.part_of(keys)
        case ColumnAssignment():
            return assignment.part_of_values(batch.column(assignment.column))
        case TimeAssignment() if times is not None:
            return assignment.part_of_times(times)
        case GroupTimeAssignment() if times is not None:
            return assignment.part_of_rows(keys, times)
        case _:
            raise ValueError("a split by time needs times")


def _hashes(batch: pa.Table, wanted: Wanted, codes: npt.NDArray[np.float64]) -> list[Hashes]:
    """Hashes of each row's key, of all its columns, and of its inputs and target code; each column is hashed once."""
    names = wanted.table.names
    hasher = RowHasher(batch.num_rows, [wanted.rule.key, names, (*wanted.inputs, TARGET_OF_ROW)])
    for name in names:
        hasher.add(name, hash_values(batch.column(name)))
    hasher.add(TARGET_OF_ROW, hash_values(pa.chunked_array([codes])))
    return hasher.finish()


def _part_of(dealt: pa.Table, position: int, wanted: Wanted) -> Cut:
    rows = dealt.filter(pc.equal(dealt.column(_PART), position))
    keys, row_hashes = (rows.column(name).to_numpy().astype(np.uint64) for name in (_KEY, _ROW))
    order = np.lexsort((row_hashes, keys))
    rows = rows.take(pa.array(order)).combine_chunks()
    marks = rows.column(_MARK).to_numpy().astype(np.uint64)
    features = pa.table({name: rows.column(str(number)) for number, name in enumerate(wanted.inputs)})
    further = pa.table({name: rows.column(f"{_FURTHER}{number}") for number, name in enumerate(wanted.further)})
    block, times = _beside(rows, features, wanted)
    return Cut(keys[order], row_hashes[order], marks, block, further, times)


def _bare_part_of(dealt: pa.Table, position: int, wanted: Wanted) -> Cut:
    rows = dealt.filter(pc.equal(dealt.column(_PART), position))
    nothing, none = pa.table({}), np.zeros(0, np.uint64)
    block, times = _beside(rows, nothing, wanted)
    return Cut(key_hashes(rows), none, none, block, nothing, times)


def _beside(rows: pa.Table, features: pa.Table, wanted: Wanted) -> tuple[RowBlock, npt.NDArray[np.float64] | None]:
    """The features with target, weight and group; and the times."""
    weight = rows.column(_WEIGHT).to_numpy() if wanted.task.weight is not None else None
    group = rows.column(_GROUP).to_numpy().astype(np.uint64) if wanted.rule.group is not None else None
    block = RowBlock(features, rows.column(_TARGET).to_numpy(), weight, group)
    return block, rows.column(_TIME).to_numpy() if wanted.rule.time is not None else None
