"""From merged statistics to the profile of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import ClassStatistics, Column, ColumnKind, ColumnProfile, Label, Profile
from raysweep.rows.hashing import digest_in_order
from raysweep.rows.label_conflicts import count_conflicts
from raysweep.stages.profile.classes import MAX_CLASSES, ByClass, NumbersOfClass
from raysweep.stages.profile.columns import ColumnStatistics, plain_numbers
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.row_order import increasing_columns
from raysweep.stages.profile.statistics import TableStatistics

LabelCounts = tuple[tuple[Label, int], ...]

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
    classes = _classes(statistics, target)
    profiles = tuple(_column_profile(column, statistics, request, classes) for column in columns)
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
        classes=classes,
        increasing=increasing_columns(statistics.runs, columns),
    )


def _classes(statistics: TableStatistics, target: str | None) -> LabelCounts | None:
    """The classes by which the columns were counted, in order."""
    if target is None:
        return None
    found = statistics.columns[target].distinct
    if not found.is_exact or found.count > MAX_CLASSES or pa.types.is_timestamp(found.values.type):
        return None
    return tuple(sorted(zip(found.values.to_pylist(), found.counts.to_pylist(), strict=True)))


def _column_profile(
    column: Column, statistics: TableStatistics, request: ProfileRequest, classes: LabelCounts | None
) -> ColumnProfile:
    found = statistics.columns[column.name]
    distinct, is_exact = _count_distinct(column.name, statistics)
    is_number = column.kind is ColumnKind.NUMBER
    values = _values(found)
    labels = [label for label, _ in classes or ()]
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
        values=values,
        minimum=_bound(found.smallest, column.kind),
        maximum=_bound(found.largest, column.kind),
        mean=found.moments.mean,
        std=found.moments.std,
        quantiles=_quantiles(statistics.sample.table.column(column.name)) if is_number else None,
        integral=is_number and found.moments.count > 0 and found.fractional == 0,
        beyond_float32=found.beyond_float32,
        nulls_with_target_missing=None if request.target is None else found.nulls_with_target_missing,
        odd_places=found.odd_places,
        by_class=() if found.by_class is None else _by_class(found.by_class, column.kind, labels),
        values_by_class=_values_by_class(found.by_class, values, labels),
    )


def _count_distinct(name: str, statistics: TableStatistics) -> tuple[int, bool]:
    """How many distinct values, and whether that is exact; it is where the sample holds every row."""
    found = statistics.columns[name]
    if found.distinct.is_exact:
        return found.distinct.count, True
    if statistics.sample.table.num_rows == statistics.rows:
        return int(pc.count_distinct(statistics.sample.table.column(name), mode="only_valid").as_py()), True
    return min(found.distinct.count, statistics.rows - found.nulls), False


def _values(found: ColumnStatistics) -> LabelCounts | None:
    if not found.distinct.is_exact:
        return None
    values, counts = found.distinct.ranked()
    return tuple(zip(_plain(values), counts, strict=True))


def _by_class(found: ByClass, kind: ColumnKind, labels: Sequence[Label]) -> tuple[ClassStatistics, ...]:
    numbers = [found.numbers.get(label, NumbersOfClass()) for label in labels]
    return tuple(
        ClassStatistics(
            nulls=found.nulls.get(label, 0),
            minimum=_bound(one.smallest, kind),
            maximum=_bound(one.largest, kind),
            mean=one.moments.mean,
            std=one.moments.std,
        )
        for label, one in zip(labels, numbers, strict=True)
    )


def _values_by_class(
    found: ByClass | None, values: LabelCounts | None, labels: Sequence[Label]
) -> tuple[tuple[int, ...], ...] | None:
    if found is None or found.pairs is None or values is None:
        return None
    pairs = zip(_plain(found.pairs.column("value")), found.pairs.column("label").to_pylist(), strict=True)
    counts = dict(zip(pairs, found.pairs.column("count").to_pylist(), strict=True))
    return tuple(tuple(counts.get((value, label), 0) for label in labels) for value, _ in values)


def _plain(values: pa.ChunkedArray) -> list[Label]:
    """Arrow values as plain ones, instants as ISO text."""
    if pa.types.is_timestamp(values.type):
        return [_instant_text(instant) for instant in values.to_numpy().astype("datetime64[us]")]
    return list(values.to_pylist())


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
