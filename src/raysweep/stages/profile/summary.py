"""From merged statistics to the profile of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import Column, ColumnKind, ColumnProfile, Label, Profile
from raysweep.rows.hashing import digest_in_order
from raysweep.rows.label_conflicts import count_conflicts
from raysweep.stages.profile.columns import ColumnStatistics, plain_numbers
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.row_order import increasing_columns
from raysweep.stages.profile.statistics import TableStatistics

_QUANTILES: Final = (1, 5, 25, 50, 75, 95, 99)


def summarize(statistics: TableStatistics, columns: Sequence[Column], request: ProfileRequest) -> Profile:
    """The profile of a table.

    Args:
        statistics: of all its rows.
        columns: in the source's order.
        request: what was counted; its target is there, or None.
    """
    target = request.target
    ordered = statistics.hashes
    ordered.sort()  # in place: a copy is 80 MB for ten million rows, and their order means nothing
    profiles = tuple(_column_profile(column, statistics, target) for column in columns)
    return Profile(
        rows=statistics.rows,
        duplicate_rows=int(np.count_nonzero(ordered[1:] == ordered[:-1])),
        row_digest=digest_in_order(ordered),
        columns=profiles,
        target=target,
        sample=statistics.sample.table,
        sample_keys=statistics.sample.hashes.keys,
        sample_places=statistics.sample.places,
        conflicts=None if statistics.labelled is None else count_conflicts(statistics.labelled),
        increasing=increasing_columns(statistics.runs, columns),
    )


def _column_profile(column: Column, statistics: TableStatistics, target: str | None) -> ColumnProfile:
    found = statistics.columns[column.name]
    distinct, is_exact = _count_distinct(column.name, statistics)
    is_number = column.kind is ColumnKind.NUMBER
    return ColumnProfile(
        name=column.name,
        kind=column.kind,
        type=column.type,
        count=statistics.rows,
        nulls=found.nulls,
        empty_like=found.empty_like,
        infinite=found.infinite,
        zeros=found.zeros,
        distinct=distinct,
        distinct_exact=is_exact,
        values=_values(found),
        minimum=_bound(found.smallest, column.kind),
        maximum=_bound(found.largest, column.kind),
        mean=found.moments.mean,
        std=found.moments.std,
        quantiles=_quantiles(statistics.sample.table.column(column.name)) if is_number else None,
        integral=is_number and found.moments.count > 0 and found.fractional == 0,
        beyond_float32=found.beyond_float32,
        nulls_with_target_missing=None if target is None else found.nulls_with_target_missing,
        odd_places=found.odd_places,
    )


def _count_distinct(name: str, statistics: TableStatistics) -> tuple[int, bool]:
    """How many distinct values, and whether that is exact; it is where the sample holds every row."""
    found = statistics.columns[name]
    if found.distinct.is_exact:
        return found.distinct.count, True
    if statistics.sample.table.num_rows == statistics.rows:
        return int(pc.count_distinct(statistics.sample.table.column(name), mode="only_valid").as_py()), True
    return min(found.distinct.count, statistics.rows - found.nulls), False


def _values(found: ColumnStatistics) -> tuple[tuple[Label, int], ...] | None:
    if not found.distinct.is_exact:
        return None
    values, counts = found.distinct.ranked()
    if pa.types.is_timestamp(values.type):
        labels = [_instant_text(instant) for instant in values.to_numpy().astype("datetime64[us]")]
    else:
        labels = values.to_pylist()
    return tuple(zip(labels, counts, strict=True))


def _bound(value: float | None, kind: ColumnKind) -> float | str | None:
    if value is None or kind is not ColumnKind.DATETIME:
        return value
    return _instant_text(np.datetime64(int(value), "us"))


def _instant_text(instant: np.datetime64) -> str:
    return str(instant).removesuffix(".000000")


def _quantiles(sampled: pa.ChunkedArray) -> dict[str, float] | None:
    numbers = plain_numbers(sampled)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return None
    cuts = np.quantile(finite, [percent / 100 for percent in _QUANTILES], method="inverted_cdf")
    return {f"p{percent}": float(cut) for percent, cut in zip(_QUANTILES, cuts, strict=True)}
