"""Values in one canonical form, so that CSV, parquet and frames with the same rows are the same table.

Numbers are int64 or float64, text is large_string, dates and times are timestamp[us] (instants in UTC where they carry
a zone), booleans stay booleans. NaN is null. Lists, structs and binary values become JSON text of kind NESTED: they are
hashed and counted, but not learned from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, Column, ColumnKind

TEXT = pa.large_string()
INSTANT = pa.timestamp("us")
_BYTES_AT_ONCE = 128 * 1024 * 1024
_LEAST_ROWS_AT_ONCE, _MOST_ROWS_AT_ONCE = 4_096, 65_536
PLACE_FIELDS = (pa.field(FILE_OF_ROW, pa.int32()), pa.field(NUMBER_OF_ROW, pa.int64()))


def kind_of(arrow_type: pa.DataType) -> ColumnKind:
    """What values of this Arrow type are."""
    arrow_type = _plain_type(arrow_type)
    if pa.types.is_boolean(arrow_type):
        return ColumnKind.BOOLEAN
    if pa.types.is_date(arrow_type) or pa.types.is_timestamp(arrow_type):
        return ColumnKind.DATETIME
    if _is_text(arrow_type):
        return ColumnKind.STRING
    if _is_number(arrow_type):
        return ColumnKind.NUMBER
    return ColumnKind.NESTED


def canonical_type(arrow_type: pa.DataType) -> pa.DataType:
    """The Arrow type that values of this type are turned into."""
    arrow_type = _plain_type(arrow_type)
    kind = kind_of(arrow_type)
    if kind is ColumnKind.NUMBER:
        return pa.int64() if pa.types.is_integer(arrow_type) else pa.float64()
    return {ColumnKind.BOOLEAN: pa.bool_(), ColumnKind.DATETIME: INSTANT}.get(kind, TEXT)


def arrow_type_of(column: Column) -> pa.DataType:
    """The canonical Arrow type of a column that has been read."""
    if column.kind is ColumnKind.NUMBER:
        return pa.int64() if column.type == "int64" else pa.float64()
    return {ColumnKind.BOOLEAN: pa.bool_(), ColumnKind.DATETIME: INSTANT}.get(column.kind, TEXT)


def type_name(kind: ColumnKind, stored: str) -> str:
    """One name for what a column holds, whatever format it was stored in; nested types keep their own."""
    if kind is ColumnKind.STRING:
        return "string"
    return stored if kind is ColumnKind.NESTED else str(arrow_type_of(Column("", kind, stored)))


def canonical_column(name: str, arrow_type: pa.DataType) -> Column:
    """The column record for a column that was stored with this Arrow type."""
    kind = kind_of(arrow_type)
    stored = str(canonical_type(arrow_type)) if kind is ColumnKind.NUMBER else str(arrow_type)
    return Column(name, kind, stored)


def canonical_table(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The named columns of `table`, in this order, in canonical types.

    Raises:
        KeyError: a column is absent.
        pa.ArrowInvalid: a value does not fit the column's type; names the column.
    """
    arrays = []
    for column in columns:
        try:
            arrays.append(canonical_array(table.column(column.name), arrow_type_of(column)))
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(f"the column {column.name!r} as {arrow_type_of(column)}: {error}") from error
    return pa.Table.from_arrays(arrays, schema=canonical_schema(columns))


def rows_at_once(columns: int) -> int:
    """How many rows of so many columns are read and counted together: 65,536, fewer where the table is wide."""
    return max(_LEAST_ROWS_AT_ONCE, min(_MOST_ROWS_AT_ONCE, _BYTES_AT_ONCE // (8 * max(1, columns))))


def empty_table(columns: Sequence[Column]) -> pa.Table:
    """A table of these columns without rows."""
    return canonical_schema(columns).empty_table()


def canonical_schema(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of these columns in canonical types."""
    return pa.schema([(column.name, arrow_type_of(column)) for column in columns])


def placed(table: pa.Table, file: int, first_row: int) -> pa.Table:
    """The table with two columns more: the number of its file, and of each row in it, the first being `first_row`."""
    files = pa.array(np.full(table.num_rows, file, np.int32))
    numbers = pa.array(np.arange(first_row, first_row + table.num_rows, dtype=np.int64))
    for place, values in zip(PLACE_FIELDS, (files, numbers), strict=True):
        table = table.append_column(place, values)
    return table


def canonical_array(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """`values` as the canonical type `wanted`; NaN becomes null.

    Raises:
        pa.ArrowInvalid: a value does not fit.
    """
    while isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if kind_of(values.type) is ColumnKind.NESTED:
        return _json_text(values)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return values.cast(INSTANT, safe=False)
    if pa.types.is_duration(values.type):
        return pc.divide(values.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
    if pa.types.is_time(values.type):
        return pc.divide(values.cast(pa.time64("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
    if pa.types.is_decimal(values.type) and pa.types.is_floating(wanted):
        return values.cast(pa.float64(), safe=False)
    converted = values if values.type == wanted else values.cast(wanted, safe=not pa.types.is_floating(wanted))
    return nan_to_null(converted) if pa.types.is_floating(wanted) else converted


def nan_to_null(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Float values with null in place of NaN."""
    is_nan = pc.is_nan(values)
    if not pc.any(is_nan).as_py():
        return values
    return pc.if_else(pc.fill_null(is_nan, fill_value=False), pa.scalar(None, values.type), values)


def _plain_type(arrow_type: pa.DataType) -> pa.DataType:
    """The type of the values behind extension types and dictionaries."""
    while True:
        if isinstance(arrow_type, pa.BaseExtensionType):
            arrow_type = arrow_type.storage_type
        elif pa.types.is_dictionary(arrow_type):
            arrow_type = arrow_type.value_type
        else:
            return arrow_type


def _is_text(arrow_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type)
    )


def _is_number(arrow_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(arrow_type)
        or pa.types.is_floating(arrow_type)
        or pa.types.is_decimal(arrow_type)
        or pa.types.is_null(arrow_type)
        or pa.types.is_duration(arrow_type)
        or pa.types.is_time(arrow_type)
    )


def _json_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = [None if value is None else json.dumps(value, sort_keys=True, default=str) for value in values.to_pylist()]
    return pa.chunked_array([pa.array(texts, TEXT)])
