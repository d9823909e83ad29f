"""A column that a caller hands in as what the signature says; a value of another kind is refused, not made to fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.records.table import ColumnKind
from raysweep.rows.canonical import INSTANT, TEXT, canonical_array, kind_of, nan_to_null

_TAKES: Final[Mapping[ColumnKind, frozenset[ColumnKind]]] = {
    ColumnKind.NUMBER: frozenset({ColumnKind.NUMBER, ColumnKind.STRING}),
    ColumnKind.BOOLEAN: frozenset({ColumnKind.BOOLEAN, ColumnKind.NUMBER, ColumnKind.STRING}),
    ColumnKind.DATETIME: frozenset({ColumnKind.DATETIME, ColumnKind.STRING}),
    ColumnKind.STRING: frozenset({ColumnKind.STRING}),
    ColumnKind.NESTED: frozenset(ColumnKind),
}
WANTED: Final[Mapping[ColumnKind, str]] = {
    ColumnKind.NUMBER: "a number, or its text",
    ColumnKind.BOOLEAN: "true or false, 1 or 0",
    ColumnKind.DATETIME: "a date, or its text as 2024-05-31T12:00:00",
    ColumnKind.STRING: "a text",
    ColumnKind.NESTED: "anything",
}


class NotOfKind(Exception):
    """A value is of another kind; the message is the value."""


def as_kind(values: pa.ChunkedArray, kind: ColumnKind, wanted: pa.DataType) -> pa.ChunkedArray:
    """The values in the canonical type; what is null, NaN or no value of any kind is missing in every kind.

    Numbers are taken where numbers are wanted, and 0 and 1 for booleans; dates for dates; texts also where they say a
    number, a boolean (true, false, 1, 0), or a date and time by ISO 8601, with a zone or without.

    Raises:
        NotOfKind: a value is not what is wanted; its text is the value.
    """
    values = _bare(values)
    if pa.types.is_floating(values.type):
        values = nan_to_null(values)
    if values.null_count == len(values):
        return pa.chunked_array([pa.nulls(len(values), wanted)])
    found = kind_of(values.type)
    if found not in _TAKES[kind]:
        raise NotOfKind(_said(values.drop_null().slice(0, 1)))
    convert = _conversion(found, kind, wanted)
    try:
        return convert(values)
    except (pa.ArrowException, ValueError) as error:
        raise NotOfKind(_said(_first_refused(values, convert))) from error


def _bare(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without extension types and dictionaries."""
    while isinstance(values.type, pa.BaseExtensionType) or pa.types.is_dictionary(values.type):
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        else:
            values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    return values


_Conversion = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def _conversion(found: ColumnKind, kind: ColumnKind, wanted: pa.DataType) -> _Conversion:
    if kind is ColumnKind.BOOLEAN and found is ColumnKind.NUMBER:
        return _truth
    if kind is ColumnKind.DATETIME and found is ColumnKind.STRING:
        return _instants
    return lambda values: canonical_array(values, wanted)


def _truth(values: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = canonical_array(values, pa.float64())
    if not pc.all(pc.is_in(numbers.drop_null(), value_set=pa.array([0.0, 1.0]))).as_py():
        raise ValueError("neither 0 nor 1")
    return pc.equal(numbers, 1.0)


def _instants(values: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = values.cast(TEXT)
    try:
        return texts.cast(INSTANT)
    except pa.ArrowInvalid:  # it may say a zone
        return texts.cast(pa.timestamp("us", "UTC")).cast(INSTANT)


def _first_refused(values: pa.ChunkedArray, convert: _Conversion) -> pa.ChunkedArray:
    """The first value that cannot be converted, found by halves."""
    while len(values) > 1:
        half = values.slice(0, len(values) // 2)
        try:
            convert(half)
        except (pa.ArrowException, ValueError):
            values = half
        else:
            values = values.slice(len(half))
    return values


def _said(value: pa.ChunkedArray) -> str:
    try:
        return shorten(repr(value[0].as_py()), 80)
    except (pa.ArrowException, ValueError, OverflowError):  # such as a date after the year 9999
        return shorten(str(value[0]), 80)
