"""The values of a column in a few bins that can be drawn and be held against the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.records.table import ColumnKind, ColumnProfile
from raysweep.report.wording import number_text

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FEW_VALUES: Final = 12
BINS: Final = 10
CATEGORIES: Final = 10
SHOWN_LABEL: Final = 28
HISTOGRAM_BINS: Final = 30
_TAIL: Final = 0.005
_FAR: Final = 2.0
_UNEVEN: Final = 30.0
_LONG_NUMBER: Final = 6
_DAY, _MINUTE = len("2026-01-31"), len("2026-01-31 12:59")
_MICROSECONDS_A_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Bins:
    """Rows sorted into bins.

    Attributes:
        labels: of the bins, in the order in which they are drawn.
        codes: the bin of each row; -1 for a row in none.
        counts: rows in each bin.
    """

    labels: tuple[str, ...]
    codes: Integers
    counts: Integers


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bins beside one another.

    Attributes:
        edges: of the bins, one more than there are bins.
        outside: values below or above.
        whole: all values are whole numbers, so that the last one of a bin is its upper edge less 1.
        logarithmic: each bin is wider than the one before by the same factor.
    """

    edges: Floats
    counts: Integers
    outside: int
    whole: bool = False
    logarithmic: bool = False


def numbers_of(values: Any, kind: ColumnKind) -> Floats:
    """Numbers, or microseconds since 1970, as float64; NaN where missing or infinite."""
    plain = values.cast(pa.int64()) if kind is ColumnKind.DATETIME else values
    numbers = np.asarray(plain.cast(pa.float64(), safe=False), np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def bins_of(values: Any, column: ColumnProfile) -> Bins | None:
    """The values in bins, the missing ones in one of their own; None where there is nothing to tell apart.

    Numbers and dates: their values where these are few, else about equally many rows a bin. Texts and booleans: the
    most frequent values, and the others together.
    """
    if column.kind is ColumnKind.NESTED or not len(values):
        return None
    ordered = column.kind in {ColumnKind.NUMBER, ColumnKind.DATETIME}
    labels, codes = _stretches(values, column) if ordered else _categories(values, column)
    missing = np.asarray(values.is_null(), np.bool_)
    if missing.any():
        codes = np.where(missing, len(labels), codes)
        labels = [*labels, "missing"]
    counts = np.bincount(codes[codes >= 0], minlength=len(labels)).astype(np.int64)
    return Bins(tuple(labels), codes, counts) if labels else None


def histogram_of(numbers: Floats, *, whole: bool = False) -> Histogram | None:
    """How the numbers are spread; far tails are cut off, and what is very uneven is drawn on a logarithmic scale.

    Args:
        numbers: NaN where missing.
        whole: all of them are whole numbers.

    Returns:
        None where they are too few, or too far apart for float64.
    """
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return None
    ends = np.quantile(known, [0, _TAIL, 0.5, 1 - _TAIL, 1], method="nearest")
    lowest, low, middle, high, highest = (float(one) for one in ends)
    if lowest > 0 and high / _UNEVEN > middle:
        found = histogram_of(np.log10(known))
        return None if found is None else replace(found, edges=10**found.edges, logarithmic=True)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(highest - lowest) and highest - lowest <= _FAR * (high - low):
            low, high = lowest, highest
        span = high - low + whole
        width = float(np.ceil(span / HISTOGRAM_BINS)) if whole else span / HISTOGRAM_BINS
    if not np.isfinite(width) or width <= 0:
        return None
    count = int(np.ceil(span / width)) if whole else HISTOGRAM_BINS
    inside = known[(known >= low) & (known <= high)]
    places = np.clip((inside - low) / width, 0, count - 1).astype(np.int64)
    edges = np.minimum(low + width * np.arange(count + 1), high + whole)
    return Histogram(edges, np.bincount(places, minlength=count), len(known) - len(inside), whole)


def value_text(value: float, kind: ColumnKind) -> str:
    """A number, or an instant given in microseconds since 1970."""
    if kind is not ColumnKind.DATETIME:
        return number_text(value)
    unit = "D" if value % _MICROSECONDS_A_DAY == 0 else "s"
    return str(np.datetime64(int(value), "us").astype(f"datetime64[{unit}]")).replace("T", " ")


def _stretches(values: Any, column: ColumnProfile) -> tuple[list[str], Integers]:
    numbers = numbers_of(values, column.kind)
    known = np.sort(numbers[~np.isnan(numbers)])
    if not len(known):
        return [], np.full(len(numbers), -1, np.int64)
    firsts = np.unique(known)
    if len(firsts) > FEW_VALUES:
        firsts = np.unique(known[np.arange(BINS) * len(known) // BINS])
    codes = np.searchsorted(firsts, numbers, side="right") - 1
    codes = np.where(np.isnan(numbers), -1, codes).astype(np.int64)
    ends = np.append(np.searchsorted(known, firsts[1:]), len(known)) - 1
    labels = [
        _span(first, last, column.kind) for first, last in zip(firsts.tolist(), known[ends].tolist(), strict=True)
    ]
    return labels, codes


def _span(first: float, last: float, kind: ColumnKind) -> str:
    begin, end = value_text(first, kind), value_text(last, kind)
    if kind is ColumnKind.DATETIME:
        begin, end = begin[:_MINUTE], end[:_MINUTE]
        begin, end = (begin[:_DAY], end[:_DAY]) if begin[:_DAY] != end[:_DAY] else (begin, end)
    elif first != last and max(len(begin), len(end)) > _LONG_NUMBER:
        begin, end = f"{first:.3g}", f"{last:.3g}"
    return begin if begin == end else f"{begin} to {end}"


def _categories(values: Any, column: ColumnProfile) -> tuple[list[str], Integers]:
    shown = [value for value, _ in frequent_values(values, column)]
    kind = pa.bool_() if column.kind is ColumnKind.BOOLEAN else values.type
    found = pc.index_in(values, value_set=pa.array(shown, kind))
    codes = np.asarray(found.fill_null(len(shown)), np.int64)
    labels = [label_text(value) for value in shown]
    others = values.drop_null() if not shown else values.filter(pc.and_(found.is_null(), values.is_valid()))
    if len(others):
        labels.append("other values")
    return labels, np.where(np.asarray(values.is_null(), np.bool_), -1, codes)


def frequent_values(values: Any, column: ColumnProfile) -> list[tuple[Any, int]]:
    """The most frequent values and how often they occur: in the table where they were counted, else in the sample."""
    if column.values is not None:
        return list(column.values[:CATEGORIES])
    counted = pc.value_counts(values.drop_null()).sort(order="descending", by="counts")[:CATEGORIES].to_pylist()
    return [(one["values"], one["counts"]) for one in counted]


def label_text(value: object) -> str:
    """A value of the data as a short label."""
    if isinstance(value, float):
        return number_text(value)
    return (shorten(str(value), SHOWN_LABEL) or "(blank)") if not isinstance(value, bool) else str(value).lower()
