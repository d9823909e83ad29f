"""Dealing the rows of a table out to the parts, in one pass over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.config import SweepConfig
from raysweep.documents import shorten, suggest
from raysweep.errors import DataUnsuitable, RequestInvalid
from raysweep.records.table import Finding, LearningTask, Part, Severity, Table
from raysweep.rows.hashing import Hashes, RowHasher, hash_rows, hash_values
from raysweep.stages.split.assign import PARTS, Assignment, TimeAssignment
from raysweep.training.canaries import TARGET_OF_ROW
from raysweep.training.targets import target_codes
from raysweep.training.trial_data import RowBlock

_KEY, _ROW, _MARK, _PART = "key", "row", "mark", "part"
_TARGET, _WEIGHT, _GROUP = "target", "weight", "group"
_FURTHER: Final = "further "


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows of one part with what the split adds, ordered by key.

    Attributes:
        rows: hashes of all the source's columns.
        marks: hashes of the inputs and the target's code (`raysweep.training.canaries`).
        further: the further columns that the final check wants.
    """

    keys: Hashes
    rows: Hashes
    marks: Hashes
    block: RowBlock
    further: pa.Table


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of each row.

    Attributes:
        key: the columns whose values say which rows stay together.
        group: `data.group`.
        time: `data.time`.
        further: columns beside the inputs that the final check wants of the validation rows.
    """

    table: Table
    task: LearningTask
    key: tuple[str, ...]
    group: str | None
    time: str | None
    further: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table, config: SweepConfig, task: LearningTask, further: Sequence[str] = ()) -> Wanted:
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
        return cls(table, task, key_columns(table, config), config.data.group, config.data.time, beside)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that are learned from, before any preparation."""
        return tuple(column.name for column in self.task.inputs)


def key_columns(table: Table, config: SweepConfig) -> tuple[str, ...]:
    """The columns whose values say which rows stay together: the group, `split.key`, else all but the target."""
    if config.data.group is not None:
        return (config.data.group,)
    return config.split.key or tuple(name for name in table.names if name != config.data.target)


def deal(wanted: Wanted, assignment: Assignment | TimeAssignment) -> tuple[dict[Part, Cut], int]:
    """The rows of each part, and how many have no target.

    Raises:
        DataUnsuitable: the table is empty.
    """

    def convert(batch: pa.Table) -> pa.Table:
        return _dealt(batch, wanted, assignment)

    dealt = collect(wanted.table, convert)
    kept = dealt.filter(pc.invert(pc.is_nan(dealt.column(_TARGET))))
    return {part: _part_of(kept, position, wanted) for position, part in enumerate(PARTS)}, (
        dealt.num_rows - kept.num_rows
    )


def collect(table: Table, convert: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """What `convert` makes of all blocks, in one table.

    Raises:
        DataUnsuitable: there is no row.
    """
    filled = [block for block in table.scan(lambda blocks: map(convert, blocks)) if block.num_columns]
    if not filled:
        raise empty_part(Part.TRAINING)
    return pa.concat_tables(filled)


def time_values(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Instants in microseconds, or the numbers themselves; NaN where missing."""
    array = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def empty_part(part: Part, kind: str = "") -> DataUnsuitable:
    """Why there is nothing to learn from, or to score on."""
    units = {"group": "groups", "time": "different times"}.get(kind, "rows")
    message = f"the {part} part is empty: the table has too few {units} with a target"
    advice = f"Give more {units}, a larger share in split.parts, or split otherwise"
    finding = Finding("rows.too_few", Severity.ERROR, message, advice)
    return DataUnsuitable(f"{message}. {advice}", findings=[finding])


def _dealt(batch: pa.Table, wanted: Wanted, assignment: Assignment | TimeAssignment) -> pa.Table:
    codes = target_codes(batch.column(wanted.task.target), wanted.task)
    keys, rows, marks = _hashes(batch, wanted, codes)
    columns: dict[str, Any] = {str(position): batch.column(name) for position, name in enumerate(wanted.inputs)}
    columns |= {f"{_FURTHER}{position}": batch.column(name) for position, name in enumerate(wanted.further)}
    columns |= {_KEY: keys, _ROW: rows, _MARK: marks, _TARGET: codes}
    if isinstance(assignment, Assignment):
        columns[_PART] = assignment.part_of(keys)
    else:
        columns[_PART] = assignment.part_of_times(time_values(batch.column(wanted.time)))
    if wanted.group is not None:
        columns[_GROUP] = hash_rows(batch, [wanted.group])
    if wanted.task.weight is not None:
        columns[_WEIGHT] = pc.cast(batch.column(wanted.task.weight), pa.float64())
    return pa.table(columns)


def _hashes(batch: pa.Table, wanted: Wanted, codes: npt.NDArray[np.float64]) -> list[Hashes]:
    """Hashes of each row's key, of all its columns, and of its inputs and target code; each column is hashed once."""
    names = wanted.table.names
    hasher = RowHasher(batch.num_rows, [wanted.key, names, (*wanted.inputs, TARGET_OF_ROW)])
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
    weight = rows.column(_WEIGHT).to_numpy() if wanted.task.weight is not None else None
    group = rows.column(_GROUP).to_numpy().astype(np.uint64) if wanted.group is not None else None
    block = RowBlock(features, rows.column(_TARGET).to_numpy(), weight, group)
    return Cut(keys[order], row_hashes[order], marks, block, further)
