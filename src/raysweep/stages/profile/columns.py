"""Statistics of one column of a block, and how they merge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, Place
from raysweep.rows.empty_like import looks_empty
from raysweep.rows.hashing import Hashes, hash_values
from raysweep.stages.profile.classes import (
    ByClass,
    Classes,
    Codes,
    merge_by_class,
    nulls_by_class,
    numbers_by_class,
    pairs_of,
)
from raysweep.stages.profile.distinct import MAX_EXACT, DistinctValues, bounded, merge_distinct, sketch
from raysweep.stages.profile.moments import Moments, Numbers, merge_moments, moments_of

LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
_SHOWN_PLACES: Final = 5
_LOOKED_AT_FIRST: Final = 2 * MAX_EXACT

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What is counted of a column.

    Attributes:
        distinct: the distinct values, or a sketch of them.
        fractional: finite numbers that are not whole.
        smallest, largest: of the finite numbers; instants in microseconds; None for text.
        nulls_with_target_missing: rows in which this column and the target are both null.
        beyond_float32: finite numbers that float32 cannot hold.
        odd_places: of the first five rows with an infinite value or one beyond float32.
        by_class: the same by the target's classes; None for the target itself, and where there are too many.
    """

    distinct: DistinctValues
    nulls: int = 0
    empty_like: int = 0
    infinite: int = 0
    zeros: int = 0
    fractional: int = 0
    smallest: float | None = None
    largest: float | None = None
    moments: Moments = field(default_factory=Moments)
    nulls_with_target_missing: int = 0
    beyond_float32: int = 0
    odd_places: tuple[Place, ...] = ()
    by_class: ByClass | None = None


@dataclass(frozen=True, slots=True)
class ColumnContext:
    """What stands beside a column in its block.

    Attributes:
        target_missing: the rows whose target is null.
        classes: of the rows; None where statistics are not taken by class.
        places: of the rows.
    """

    target_missing: Mask
    classes: Classes | None
    places: Any


@dataclass(frozen=True, slots=True)
class ColumnBlock:
    """A column of a block, ready to be counted.

    Attributes:
        values: in canonical type; text encoded by a dictionary, unless its values are many.
        hashes: of the values.
        many: whether more than 10,000 distinct values are known of, so that they need not be counted any more.
    """

    values: Any
    hashes: Hashes
    many: bool
    context: ColumnContext


def column_block(column: pa.ChunkedArray, context: ColumnContext, *, known_many: bool) -> ColumnBlock:
    """Make a column ready to be counted.

    Args:
        column: in canonical type.
        context: of its block.
        known_many: whether more than 10,000 distinct values are known of.
    """
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_floating(values.type):
        values = pc.add(values, 0.0)  # 0.0 for -0.0
    many = known_many or _has_many_values(values)
    if _is_text(values.type) and not many:
        values = values.dictionary_encode()
    return ColumnBlock(values, hash_values(values), many, context)


def _has_many_values(values: pa.Array) -> bool:
    """Whether the first rows alone have more than 10,000 distinct values."""
    start = values.slice(0, _LOOKED_AT_FIRST)
    return len(values) > 2 * _LOOKED_AT_FIRST and pc.count_distinct(start, mode="only_valid").as_py() > MAX_EXACT


def column_statistics(block: ColumnBlock) -> ColumnStatistics:
    """Count everything in one column of a block."""
    missing = is_null(block.values)
    found = _of_text(block, missing) if _is_text(block.values.type) else _of_numbers(block, missing)
    return replace(
        found,
        nulls=block.values.null_count,
        nulls_with_target_missing=int((missing & block.context.target_missing).sum()) if block.values.null_count else 0,
    )


def plain_numbers(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Numbers, booleans or instants without nulls as int64 or float64, with 0.0 for -0.0."""
    present = values.drop_null()
    if pa.types.is_boolean(present.type) or pa.types.is_timestamp(present.type):
        present = present.cast(pa.int64())
    numbers = present.to_numpy() if isinstance(present, pa.ChunkedArray) else present.to_numpy(zero_copy_only=False)
    return np.asarray(numbers + 0.0 if numbers.dtype.kind == "f" else numbers)


def _of_text(block: ColumnBlock, missing: Mask) -> ColumnStatistics:
    distinct, pairs = _values(block, missing)
    if block.many:
        texts = block.values.drop_null()
        counts = pa.array(np.ones(len(texts), np.int64))
    else:
        texts, counts = block.values.dictionary, pa.array(_count(block.values))
    classes = block.context.classes
    by_class = None if classes is None else ByClass(nulls_by_class(missing, classes), {}, pairs)
    return ColumnStatistics(distinct, empty_like=_empty_like(texts, counts), by_class=by_class)


def _of_numbers(block: ColumnBlock, missing: Mask) -> ColumnStatistics:
    values, is_float = block.values, pa.types.is_floating(block.values.type)
    numbers = plain_numbers(values)
    is_finite = np.isfinite(numbers) if is_float else np.ones(len(numbers), np.bool_)
    finite = numbers if is_finite.all() else numbers[is_finite]
    distinct, pairs = _values(block, missing)
    moments, by_class = _moments(block, missing, is_finite, finite, pairs)
    beyond = int(np.count_nonzero(np.abs(finite) > LARGEST_FLOAT32)) if is_float else 0
    infinite = len(numbers) - len(finite)
    return ColumnStatistics(
        infinite=infinite,
        zeros=int(np.count_nonzero(finite == 0)) if is_float or pa.types.is_int64(values.type) else 0,
        fractional=int(np.count_nonzero(np.floor(finite) != finite)) if is_float else 0,
        smallest=finite.min().item() if len(finite) else None,
        largest=finite.max().item() if len(finite) else None,
        moments=moments,
        distinct=distinct,
        beyond_float32=beyond,
        odd_places=_odd_places(values, block.context.places) if beyond or infinite else (),
        by_class=by_class,
    )


def _moments(
    block: ColumnBlock, missing: Mask, is_finite: Mask, finite: Numbers, pairs: Any
) -> tuple[Moments, ByClass | None]:
    """The moments of the finite numbers, and what is counted by class: each number is added up once."""
    classes, summed = block.context.classes, not pa.types.is_timestamp(block.values.type)
    if classes is None:
        return moments_of(finite if summed else finite[:0]), None
    codes = _codes(classes, block, missing)[is_finite]
    moments, numbers = numbers_by_class(finite, codes, classes, summed=summed)
    return moments, ByClass(nulls_by_class(missing, classes), numbers, pairs)


def _values(block: ColumnBlock, missing: Mask) -> tuple[DistinctValues, Any]:
    """The distinct values, or a sketch of them, and how often each occurs in each class."""
    if block.many:
        hashes = block.hashes[~missing] if block.values.null_count else block.hashes
        return DistinctValues(registers=sketch(hashes)), None
    encoded = block.values
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    pairs, classes = None, block.context.classes
    if classes is not None:
        pairs = pairs_of(encoded.dictionary, _indices(encoded), _codes(classes, block, missing), classes)
    return bounded(encoded.dictionary, pa.array(_count(encoded))), pairs


def _indices(encoded: pa.DictionaryArray) -> npt.NDArray[Any]:
    return np.asarray(encoded.indices.drop_null())


def _count(encoded: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """How often each value occurs."""
    return np.bincount(_indices(encoded), minlength=len(encoded.dictionary)).astype(np.int64)


def _codes(classes: Classes, block: ColumnBlock, missing: Mask) -> Codes:
    """The class of each row that has a value."""
    return classes.codes[~missing] if block.values.null_count else classes.codes


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
        by_class=merge_by_class([part.by_class for part in parts]),
    )


def is_null(values: pa.Array | pa.ChunkedArray) -> Mask:
    """Which values are missing."""
    if not values.null_count:
        return np.zeros(len(values), np.bool_)
    return np.asarray(values.is_null(), dtype=np.bool_)


def _is_text(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(arrow_type) or pa.types.is_large_string(arrow_type))


def _odd_places(values: pa.Array, places: pa.Table) -> tuple[Place, ...]:
    numbers = np.abs(values.to_numpy(zero_copy_only=False))  # null is NaN there
    odd = np.flatnonzero(numbers > LARGEST_FLOAT32)
    files, rows = (places.column(name).to_numpy()[odd] for name in (FILE_OF_ROW, NUMBER_OF_ROW))
    first = np.lexsort((rows, files))[:_SHOWN_PLACES]
    return tuple(Place(int(files[row]), int(rows[row])) for row in first)


def _first_places(places: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: (place.file, place.row))[:_SHOWN_PLACES])


def _empty_like(texts: pa.Array, counts: pa.Array) -> int:
    return int(pc.sum(counts.filter(looks_empty(texts))).as_py() or 0)
