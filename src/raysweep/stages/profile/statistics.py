"""Statistics of blocks of rows, which merge into those of the table however it was cut into blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW
from raysweep.rows.hashing import Hashes, hash_rows_over, hash_values
from raysweep.rows.label_conflicts import LabelledRows, labelled_rows, merge_labelled
from raysweep.rows.prepare import apply_unfitted
from raysweep.stages.profile.columns import ColumnStatistics, Mask, column_statistics, is_null, merge_columns
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.row_order import Run, run_of
from raysweep.stages.profile.sample import RowHashes, Sample, merge_samples, sample_of

_PLACE: tuple[str, ...] = (FILE_OF_ROW, NUMBER_OF_ROW)


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


def block_statistics(block: pa.Table, request: ProfileRequest) -> TableStatistics:
    """Count everything in one block.

    Args:
        block: in canonical types, with the place of each row beside the table's columns.
        request: what to count; its columns must be there, but for the target.
    """
    block = block.combine_chunks()
    names = [name for name in block.column_names if name not in _PLACE]
    table, places = block.select(names), block.select(_PLACE)
    prepared = apply_unfitted(table, request.prepare)
    target = request.target if request.target in names else None
    hashes, of_features = _hash(table, request, target)
    missing = np.zeros(block.num_rows, np.bool_) if target is None else is_null(block.column(target))
    numbers = [name for name in prepared.column_names if _is_number(prepared.column(name).type)]
    return TableStatistics(
        rows=block.num_rows,
        columns={name: column_statistics(prepared.column(name), missing, places) for name in prepared.column_names},
        hashes=hashes.rows,
        sample=sample_of(prepared, places, hashes),
        labelled=_labelled(table, target, of_features, ~missing) if request.features else None,
        runs=(run_of(_placed(prepared, places), numbers),) if block.num_rows else (),
    )


def merge_statistics(parts: Sequence[TableStatistics]) -> TableStatistics:
    """The statistics of all rows behind `parts` (at least one), which have the same columns."""
    return TableStatistics(
        rows=sum(part.rows for part in parts),
        columns={name: merge_columns([part.columns[name] for part in parts]) for name in parts[0].columns},
        hashes=np.concatenate([part.hashes for part in parts]),
        sample=merge_samples([part.sample for part in parts]),
        labelled=merge_labelled([part.labelled for part in parts]),
        runs=tuple(run for part in parts for run in part.runs),
    )


def _hash(table: pa.Table, request: ProfileRequest, target: str | None) -> tuple[RowHashes, Hashes]:
    names = table.column_names
    features = [name for name in names if name != target]
    by_features, by_row, by_key, requested = hash_rows_over(table, [features, names, request.key, request.features])
    return RowHashes(by_features, by_row, by_key), requested


def _placed(table: pa.Table, places: pa.Table) -> pa.Table:
    for name in _PLACE:
        table = table.append_column(name, places.column(name))
    return table


def _labelled(table: pa.Table, target: str | None, features: Hashes, known: Mask) -> LabelledRows | None:
    if target is None:
        return None
    return labelled_rows(features[known], hash_values(table.column(target))[known])


def _is_number(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_int64(arrow_type) or pa.types.is_float64(arrow_type))
