"""Statistics of blocks of rows, which merge into those of the table however it was cut into blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.rows.hashing import Hashes, hash_rows
from raysweep.stages.profile.distinct import DistinctValues, bounded, distinct_values, merge_distinct
from raysweep.stages.profile.moments import Moments, merge_moments, moments_of

SAMPLE_ROWS: Final = 100_000
_EMPTY_LIKE: Final = ("", "na", "n/a", "nan", "?", "null", "none")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What is counted of a column.

    Attributes:
        fractional: finite numbers that are not whole.
        smallest, largest: of the finite numbers; instants in microseconds; None for text.
        nulls_with_target_missing: rows in which this column and the target are both null.
    """

    nulls: int
    empty_like: int
    infinite: int
    zeros: int
    fractional: int
    smallest: float | None
    largest: float | None
    moments: Moments
    distinct: DistinctValues
    nulls_with_target_missing: int


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """What is counted of some rows.

    Attributes:
        columns: by name.
        hashes: one a row, over all columns.
        sample: Arrow table of the rows with the smallest hashes, in the order of their hashes.
        sample_hashes: the hash of each row of the sample.
    """

    rows: int
    columns: Mapping[str, ColumnStatistics]
    hashes: Hashes
    sample: Any
    sample_hashes: Hashes


def block_statistics(block: pa.Table, target: str | None) -> TableStatistics:
    """Count everything in one block.

    Args:
        block: in canonical types.
        target: the column whose nulls are compared with the others', if any.
    """
    block = block.combine_chunks()
    target_missing = np.zeros(block.num_rows, np.bool_)
    if target is not None:
        target_missing = _is_null(block.column(target))
    columns = {name: _column_statistics(block.column(name), target_missing) for name in block.column_names}
    hashes = hash_rows(block, block.column_names)
    sample, sample_hashes = _bottom(block, hashes)
    return TableStatistics(block.num_rows, columns, hashes, sample, sample_hashes)


def merge_statistics(parts: Sequence[TableStatistics]) -> TableStatistics:
    """The statistics of all rows behind `parts` (at least one), which have the same columns."""
    columns = {name: _merge_columns([part.columns[name] for part in parts]) for name in parts[0].columns}
    sample, sample_hashes = _bottom(
        pa.concat_tables([part.sample for part in parts]),
        np.concatenate([part.sample_hashes for part in parts]),
    )
    hashes = np.concatenate([part.hashes for part in parts])
    return TableStatistics(sum(part.rows for part in parts), columns, hashes, sample, sample_hashes)


def plain_numbers(values: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Numbers, booleans or instants without nulls as int64 or float64, with 0.0 for -0.0."""
    present = values.drop_null()
    if pa.types.is_boolean(present.type):
        present = present.cast(pa.int64())
    numbers = present.to_numpy()
    if pa.types.is_timestamp(present.type):
        return np.asarray(numbers.astype("datetime64[us]").astype(np.int64))
    return np.asarray(numbers + 0.0 if numbers.dtype.kind == "f" else numbers)


def _column_statistics(column: pa.ChunkedArray, target_missing: Mask) -> ColumnStatistics:
    is_text = pa.types.is_large_string(column.type)
    is_instant = pa.types.is_timestamp(column.type)
    numbers = np.zeros(0, np.int64) if is_text else plain_numbers(column)
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
    present = column.drop_null()
    if pa.types.is_floating(column.type):
        present = pa.chunked_array([pa.array(numbers)])
    values, counts = distinct_values(present.combine_chunks())
    missing = _is_null(column)
    is_number = not (is_text or is_instant or pa.types.is_boolean(column.type))
    return ColumnStatistics(
        nulls=int(missing.sum()),
        empty_like=_empty_like(values, counts) if is_text else 0,
        infinite=len(numbers) - len(finite),
        zeros=int((finite == 0).sum()) if is_number else 0,
        fractional=int((np.floor(finite) != finite).sum()) if finite.dtype.kind == "f" else 0,
        smallest=finite.min().item() if len(finite) else None,
        largest=finite.max().item() if len(finite) else None,
        moments=Moments() if is_instant else moments_of(finite),
        distinct=bounded(values, counts),
        nulls_with_target_missing=int((missing & target_missing).sum()),
    )


def _merge_columns(parts: Sequence[ColumnStatistics]) -> ColumnStatistics:
    smallest = [part.smallest for part in parts if part.smallest is not None]
    largest = [part.largest for part in parts if part.largest is not None]
    return ColumnStatistics(
        nulls=sum(part.nulls for part in parts),
        empty_like=sum(part.empty_like for part in parts),
        infinite=sum(part.infinite for part in parts),
        zeros=sum(part.zeros for part in parts),
        fractional=sum(part.fractional for part in parts),
        smallest=min(smallest, default=None),
        largest=max(largest, default=None),
        moments=merge_moments(part.moments for part in parts),
        distinct=merge_distinct([part.distinct for part in parts]),
        nulls_with_target_missing=sum(part.nulls_with_target_missing for part in parts),
    )


def _bottom(table: pa.Table, hashes: Hashes) -> tuple[pa.Table, Hashes]:
    """The rows with the smallest hashes, sorted; equal hashes are equal rows, so ties do not matter."""
    chosen = np.arange(len(hashes))
    if len(hashes) > SAMPLE_ROWS:
        chosen = np.argpartition(hashes, SAMPLE_ROWS)[:SAMPLE_ROWS]
    order = chosen[np.argsort(hashes[chosen], kind="stable")]
    return table.take(order), hashes[order]


def _is_null(column: pa.ChunkedArray) -> Mask:
    return np.asarray(column.is_null().to_numpy(), dtype=np.bool_)


def _empty_like(values: pa.Array, counts: pa.Array) -> int:
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    found = pc.is_in(plain, value_set=pa.array(_EMPTY_LIKE, values.type))
    return int(pc.sum(counts.filter(found)).as_py() or 0)
