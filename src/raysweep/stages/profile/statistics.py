"""Statistics of blocks of rows, which merge into those of the table however it was cut into blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW
from raysweep.rows.canonical import rows_at_once
from raysweep.rows.hashing import Hashes, RowHasher
from raysweep.rows.label_conflicts import LabelledRows, labelled_rows, merge_labelled
from raysweep.rows.prepare import apply_unfitted
from raysweep.stages.profile.classes import classes_of
from raysweep.stages.profile.columns import (
    ColumnContext,
    ColumnStatistics,
    column_block,
    column_statistics,
    is_null,
    merge_columns,
)
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.row_order import Run, run_of
from raysweep.stages.profile.sample import RowHashes, Sample, merge_samples, sample_of

_PLACE: tuple[str, ...] = (FILE_OF_ROW, NUMBER_OF_ROW)
_MERGED_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """What is counted of some rows.

    Attributes:
        columns: by name.
        hashes: one a row, over all columns.
        labelled: the rows with a target; None where conflicts are not counted, or there are too many targets.
        runs: pieces of the table's order of rows.
    """

    rows: int
    columns: Mapping[str, ColumnStatistics]
    hashes: Hashes
    sample: Sample
    labelled: LabelledRows | None
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the table before a block is counted, so that less needs to be done.

    Attributes:
        many: columns with more than 10,000 distinct values.
        sample_below: rows whose features have a hash above are not in the sample; None: not known.
    """

    many: frozenset[str] = frozenset()
    sample_below: int | None = None


def statistics_of(
    blocks: Iterable[pa.Table], request: ProfileRequest, sample_below: int | None = None
) -> Iterator[TableStatistics]:
    """The statistics of all blocks, of half a million rows at a time, so that what is held of them is bounded."""
    parts: list[TableStatistics] = []
    known = Known(sample_below=sample_below)
    for block in _slices(blocks):
        part = block_statistics(block, request, known)
        many = {name for name, column in part.columns.items() if not column.distinct.is_exact}
        known = replace(known, many=known.many | many)
        if part.labelled is None:
            request = replace(request, features=())
        parts.append(part)
        if len(parts) >= _MERGED_AT_ONCE:
            yield merge_statistics(parts)
            parts = []
    if parts:
        yield merge_statistics(parts)


def block_statistics(block: pa.Table, request: ProfileRequest, known: Known = Known()) -> TableStatistics:
    """Count everything in one block.

    Args:
        block: in canonical types, with the place of each row beside the table's columns.
        request: what to count; its columns must be there, but for the target.
        known: what the rows before have shown already.
    """
    names = [name for name in block.column_names if name not in _PLACE]
    table, places = block.select(names), block.select(_PLACE)
    prepared = apply_unfitted(table, request.prepare)
    missing, classes = np.zeros(block.num_rows, np.bool_), None
    if request.target in names:
        missing = is_null(table.column(request.target))
        classes = None if request.target in known.many else classes_of(table.column(request.target))
    context = ColumnContext(missing, classes, places)
    columns, hashes, labelled = _count_columns(table, prepared, request, known, context)
    numbers = [name for name in prepared.column_names if _is_number(prepared.column(name).type)]
    return TableStatistics(
        rows=block.num_rows,
        columns=columns,
        hashes=hashes.rows,
        sample=sample_of(prepared, places, hashes, known.sample_below),
        labelled=labelled,
        runs=(run_of(_placed(prepared, places), numbers),) if block.num_rows else (),
    )


def merge_statistics(parts: Sequence[TableStatistics]) -> TableStatistics:
    """The statistics of all rows behind `parts` (at least one), which have the same columns."""
    if len(parts) == 1:
        return parts[0]
    return TableStatistics(
        rows=sum(part.rows for part in parts),
        columns={name: merge_columns([part.columns[name] for part in parts]) for name in parts[0].columns},
        hashes=np.concatenate([part.hashes for part in parts]),
        sample=merge_samples([part.sample for part in parts]),
        labelled=merge_labelled([part.labelled for part in parts]),
        runs=tuple(run for part in parts for run in part.runs),
    )


def _slices(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for block in blocks:
        rows = rows_at_once(block.num_columns)
        for first in range(0, block.num_rows, rows):
            yield block.slice(first, rows)


def _count_columns(
    table: pa.Table, prepared: pa.Table, request: ProfileRequest, known: Known, context: ColumnContext
) -> tuple[dict[str, ColumnStatistics], RowHashes, LabelledRows | None]:
    """Each column is hashed once, for its own statistics and for its rows."""
    names = table.column_names
    target = request.target if request.target in names else None
    features = [name for name in names if name != target]
    hasher = RowHasher(table.num_rows, [features, names, request.key, request.features])
    touched = {name for rule in request.prepare for name in rule.columns}
    counted, of_target = {}, np.zeros(0, np.uint64)
    contexts = {target: replace(context, classes=None)}
    for name in names:
        column = column_block(table.column(name), contexts.get(name, context), known_many=name in known.many)
        hasher.add(name, column.hashes)
        if name == target:
            of_target = column.hashes
        if name not in touched:
            counted[name] = column_statistics(column)
    for name in prepared.column_names:
        if name not in counted:
            column = column_block(prepared.column(name), context, known_many=name in known.many)
            counted[name] = column_statistics(column)
    by_features, by_row, by_key, requested = hasher.finish()
    labelled = None
    if target is not None and request.features:
        has_target = ~context.target_missing
        labelled = labelled_rows(requested[has_target], of_target[has_target])
    return {name: counted[name] for name in prepared.column_names}, RowHashes(by_features, by_row, by_key), labelled


def _placed(table: pa.Table, places: pa.Table) -> pa.Table:
    for name in _PLACE:
        table = table.append_column(name, places.column(name))
    return table


def _is_number(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_int64(arrow_type) or pa.types.is_float64(arrow_type))
