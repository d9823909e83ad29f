"""What each rule of `data.prepare` does to the values of one column; nulls stay null unless said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.prepare_rules import NormalizeText, PlainValue, ToDate, ToNumber
from raysweep.records.table import ColumnKind
from raysweep.rows.canonical import INSTANT, TEXT

_MICROSECONDS_A_DAY: Final = 86_400_000_000
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_ASCII: Final = 127
_BLANK: Final = "\\s\u00a0"  # RE2's own class of blanks is ASCII alone
_INNER_BLANKS: Final = re.compile(r"(?<=\S)\s+(?=\S)")
_PARTS: Final[dict[str, Callable[[Any], Any]]] = {
    "year": pc.year,
    "quarter": pc.quarter,
    "month": pc.month,
    "week": pc.iso_week,
    "day": pc.day,
    "weekday": pc.day_of_week,
    "day_of_year": pc.day_of_year,
    "hour": pc.hour,
    "minute": pc.minute,
    "second": pc.second,
}


def values_of_kind(values: Sequence[PlainValue], kind: ColumnKind) -> list[Any]:
    """Those of the values that a column of this kind can hold, as Arrow takes them; dates are read from ISO text."""
    if kind is ColumnKind.BOOLEAN:
        return [value for value in values if isinstance(value, bool)]
    if kind is ColumnKind.NUMBER:
        numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        # A column that was float32 in the source holds the float32 next to -99.9.
        return sorted({*numbers, *(float(np.float32(number)) for number in numbers if abs(number) < _FLOAT32_MAX)})
    texts = [value for value in values if isinstance(value, str)]
    return texts if kind is ColumnKind.STRING else [found for found in map(_instant, texts) if found is not None]


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def without_values(values: pa.ChunkedArray, unwanted: Sequence[Any]) -> pa.ChunkedArray:
    """Null in place of each value that is one of the unwanted; numbers are compared as float64."""
    compared = values.cast(pa.float64(), safe=False) if pa.types.is_integer(values.type) else values
    found = reduce(pc.or_, (pc.equal(compared, pa.scalar(value, compared.type)) for value in unwanted))
    return pc.if_else(found, pa.scalar(None, values.type), values)


def clipped(values: pa.ChunkedArray, low: float | None, high: float | None) -> pa.ChunkedArray:
    """Numbers within the bounds, as float64."""
    numbers = values.cast(pa.float64(), safe=False)
    if low is not None:
        numbers = pc.max_element_wise(numbers, low, skip_nulls=False)
    return numbers if high is None else pc.min_element_wise(numbers, high, skip_nulls=False)


def quantiles(values: pa.ChunkedArray, shares: Sequence[float | None]) -> list[float | None]:
    """The quantile of the finite values for each share, interpolated; None for None, and where there is no value."""
    numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return [None if share is None or not len(numbers) else float(np.quantile(numbers, share)) for share in shares]


def frequent(values: pa.ChunkedArray, below: float) -> tuple[str, ...]:
    """The texts in at least `below` rows (below 1: in at least that share of the rows, nulls included), sorted."""
    limit = below * len(values) if below < 1 else below
    counted = pc.value_counts(values).to_pylist()
    return tuple(sorted(one["values"] for one in counted if one["values"] is not None and one["counts"] >= limit))


def grouped(values: pa.ChunkedArray, kept: Sequence[str], into: str) -> pa.ChunkedArray:
    """Texts that are not kept become `into`."""
    stays = pc.or_(pc.is_in(values, value_set=pa.array(kept, TEXT)), pc.is_null(values))
    return pc.if_else(stays, values, pa.scalar(into, TEXT))


def date_part(values: pa.ChunkedArray, part: str) -> pa.ChunkedArray:
    """A part of each instant, as int64."""
    if part == "days":
        micros = values.cast(pa.int64())
        within = pc.subtract(micros, pc.multiply(pc.divide(micros, _MICROSECONDS_A_DAY), _MICROSECONDS_A_DAY))
        days = pc.divide(micros, _MICROSECONDS_A_DAY)  # rounds towards zero: a day too much before 1970
        return pc.if_else(pc.less(within, 0), pc.subtract(days, 1), days)
    return _PARTS[part](values).cast(pa.int64())


def normalized(values: pa.ChunkedArray, rule: NormalizeText) -> pa.ChunkedArray:
    """Texts without blanks around them, with single blanks inside, case-folded: as the rule says."""

    def convert(text: str) -> str:
        text = text.strip() if rule.trim else text
        text = _INNER_BLANKS.sub(" ", text) if rule.collapse else text
        return text.casefold() if rule.casefold else text

    return _by_distinct(values, lambda texts: pa.array([convert(text) for text in texts.to_pylist()], TEXT))


def numbers_from(values: pa.ChunkedArray, rule: ToNumber) -> pa.ChunkedArray:
    """Texts read as float64; null where a text is none. Blank texts are null."""
    stripped = f"[{''.join(map(_escape, rule.strip))}{_BLANK}]"
    texts = pc.replace_substring_regex(values, f"^{stripped}+|{stripped}+$", "")
    texts = pc.replace_substring_regex(texts, f"^([+-]){stripped}+", "\\1")
    whole, decimal = r"\d+", _escape(rule.decimal)
    if rule.thousands is not None:
        whole = rf"(?:\d{{1,3}}(?:{_escape(rule.thousands)}\d{{3}})+|\d+)"
    number = rf"^[+-]?(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?$"
    plain = texts if rule.thousands is None else pc.replace_substring(texts, rule.thousands, "")
    plain = plain if rule.decimal == "." else pc.replace_substring(plain, rule.decimal, ".")
    return pc.if_else(pc.match_substring_regex(texts, number), plain, pa.scalar(None, TEXT)).cast(pa.float64())


def dates_from(values: pa.ChunkedArray, rule: ToDate) -> pa.ChunkedArray:
    """Texts read as instants (in UTC where they carry a zone); null where a text is none. Blank texts are null."""
    import pandas as pd  # the one rule that needs it: an image that serves a model can do without

    def convert(texts: pa.Array) -> pa.Array:
        series = pd.Series([text.strip() for text in texts.to_pylist()], dtype=object)
        dates = pd.to_datetime(series, format=rule.format, errors="coerce", utc=True)
        return pa.Array.from_pandas(dates.dt.tz_localize(None).astype("datetime64[us]"), type=INSTANT)

    return _by_distinct(values, convert)


def unread(values: pa.ChunkedArray, read: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts that are not blank and have come to nothing."""
    blank = pc.match_substring_regex(values, f"^[{_BLANK}]*$")
    lost = pc.and_(pc.is_null(read), pc.invert(pc.fill_null(blank, fill_value=True)))
    return values.filter(lost)


def _by_distinct(values: pa.ChunkedArray, convert: Callable[[pa.Array], pa.Array]) -> pa.ChunkedArray:
    """`convert` on the distinct texts, given back for every row."""
    encoded = values.combine_chunks().dictionary_encode()
    return pa.chunked_array([convert(encoded.dictionary).take(encoded.indices)])


def _escape(character: str) -> str:
    """The character itself in a pattern of RE2, also between brackets."""
    is_plain = character.isalnum() or character == "_" or ord(character) > _ASCII
    return character if is_plain else f"\\{character}"
