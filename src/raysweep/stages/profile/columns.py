"""Statistics of one column of a block, and how they merge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, Place
from raysweep.stages.profile.distinct import DistinctValues, bounded, distinct_values, merge_distinct
from raysweep.stages.profile.moments import Moments, merge_moments, moments_of

LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
_EMPTY_LIKE: Final = ("", "na", "n/a", "nan", "?", "null", "none")
_SHOWN_PLACES: Final = 5

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What is counted of a column.

    Attributes:
        fractional: finite numbers that are not whole.
        smallest, largest: of the finite numbers; instants in microseconds; None for text.
        nulls_with_target_missing: rows in which this column and the target are both null.
        beyond_float32: finite numbers that float32 cannot hold.
        odd_places: of the first five rows with an infinite value or one beyond float32.
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
    beyond_float32: int = 0
    odd_places: tuple[Place, ...] = ()


def plain_numbers(values: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Numbers, booleans or instants without nulls as int64 or float64, with 0.0 for -0.0."""
    present = values.drop_null()
    if pa.types.is_boolean(present.type):
        present = present.cast(pa.int64())
    numbers = present.to_numpy()
    if pa.types.is_timestamp(present.type):
        return np.asarray(numbers.astype("datetime64[us]").astype(np.int64))
    return np.asarray(numbers + 0.0 if numbers.dtype.kind == "f" else numbers)


def column_statistics(column: pa.ChunkedArray, target_missing: Mask, places: pa.Table) -> ColumnStatistics:
    """Count everything in one column of a block.

    Args:
        column: in canonical type.
        target_missing: the rows whose target is null.
        places: of the rows.
    """
    is_text = pa.types.is_large_string(column.type)
    is_instant = pa.types.is_timestamp(column.type)
    numbers = np.zeros(0, np.int64) if is_text else plain_numbers(column)
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
    present = column.drop_null()
    if pa.types.is_floating(column.type):
        present = pa.chunked_array([pa.array(numbers)])
    values, counts = distinct_values(present.combine_chunks())
    missing = is_null(column)
    is_number = not (is_text or is_instant or pa.types.is_boolean(column.type))
    beyond = int((np.abs(finite) > LARGEST_FLOAT32).sum()) if finite.dtype.kind == "f" else 0
    infinite = len(numbers) - len(finite)
    return ColumnStatistics(
        nulls=int(missing.sum()),
        empty_like=_empty_like(values, counts) if is_text else 0,
        infinite=infinite,
        zeros=int((finite == 0).sum()) if is_number else 0,
        fractional=int((np.floor(finite) != finite).sum()) if finite.dtype.kind == "f" else 0,
        smallest=finite.min().item() if len(finite) else None,
        largest=finite.max().item() if len(finite) else None,
        moments=Moments() if is_instant else moments_of(finite),
        distinct=bounded(values, counts),
        nulls_with_target_missing=int((missing & target_missing).sum()),
        beyond_float32=beyond,
        odd_places=_odd_places(column, places) if beyond or infinite else (),
    )


def merge_columns(parts: Sequence[ColumnStatistics]) -> ColumnStatistics:
    """The statistics of the column over all rows behind `parts`."""
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
        beyond_float32=sum(part.beyond_float32 for part in parts),
        odd_places=_first_places(place for part in parts for place in part.odd_places),
    )


def _odd_places(column: pa.ChunkedArray, places: pa.Table) -> tuple[Place, ...]:
    odd = np.flatnonzero(np.abs(column.to_numpy()) > LARGEST_FLOAT32)  # null is NaN there
    files, numbers = (places.column(name).to_numpy()[odd] for name in (FILE_OF_ROW, NUMBER_OF_ROW))
    first = np.lexsort((numbers, files))[:_SHOWN_PLACES]
    return tuple(Place(int(files[row]), int(numbers[row])) for row in first)


def _first_places(places: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: (place.file, place.row))[:_SHOWN_PLACES])


def is_null(column: pa.ChunkedArray) -> Mask:
    """Which values are missing."""
    return np.asarray(column.is_null().to_numpy(), dtype=np.bool_)


def _empty_like(values: pa.Array, counts: pa.Array) -> int:
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    found = pc.is_in(plain, value_set=pa.array(_EMPTY_LIKE, values.type))
    return int(pc.sum(counts.filter(found)).as_py() or 0)
