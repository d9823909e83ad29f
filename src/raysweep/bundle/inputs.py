"""From what a caller holds (frame, Arrow table, rows as dicts) to the columns of a signature in canonical types."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from raysweep.bundle.deviations import FEW_ROWS
from raysweep.documents import shorten, suggest
from raysweep.errors import RequestInvalid
from raysweep.records.manifest import InputColumn, Signature
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import canonical_array, canonical_schema

if TYPE_CHECKING:
    import pandas as pd

Rows = Sequence[Mapping[str, Any]] | Mapping[str, Any]

# Values of these very types mean the same whatever column they come from; for others, Arrow has to see the column.
_PLAIN: Final[Mapping[ColumnKind, frozenset[type]]] = {
    ColumnKind.NUMBER: frozenset({float, int}),
    ColumnKind.BOOLEAN: frozenset({bool, type(None)}),
    ColumnKind.STRING: frozenset({str, type(None)}),
    ColumnKind.DATETIME: frozenset({datetime, type(None)}),
}


class Inputs:
    """The columns of a signature, ready to be made of what callers hold.

    Args:
        signature: of the model.
    """

    def __init__(self, signature: Signature) -> None:
        wide = [Column(one.name, one.kind, _type_of(one)) for one in signature.inputs]
        self.schema = canonical_schema(wide)
        self._columns = [(one.name, one.kind, field.type) for one, field in zip(wide, self.schema, strict=True)]

    def of(self, data: pd.DataFrame | pa.Table | Rows) -> pa.Table:
        """See `features_of`."""
        source = _source(data, self.schema.names)
        missing = [name for name in self.schema.names if name not in source.places]
        if missing:
            listed = ", ".join(repr(shorten(name)) for name in missing[:5])
            raise RequestInvalid(
                f"the data lack {len(missing)} of the model's {len(self._columns)} columns: {listed}"
                f"{suggest(missing[0], tuple(source.places))}"
            )
        arrays = [_converted(source, *column) for column in self._columns]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def features_of(data: pd.DataFrame | pa.Table | Rows, signature: Signature) -> pa.Table:
    """The columns of the signature in canonical types, numbers as float64.

    Args:
        data: a pandas DataFrame, an Arrow table, one row as a dict, or a sequence of such rows.
        signature: of the model.

    Raises:
        RequestInvalid: a column is missing, or holds values of another kind.
    """
    return Inputs(signature).of(data)


def _type_of(column: InputColumn) -> str:
    return "double" if column.kind is ColumnKind.NUMBER else column.type


class _Source:
    """Columns of a frame, a table or rows, by their names; the first of those that share one.

    Attributes:
        places: the name of each column -> its place.
    """

    def __init__(self, names: Sequence[Any], columns: Any, rows: int, whole: Any) -> None:
        self.places: dict[str, int] = {}
        for place, name in enumerate(names):
            self.places.setdefault(str(name), place)
        self.rows = rows
        self._columns = columns
        self._whole = whole
        self._few: list[Sequence[Any]] | None = None

    def few(self, name: str) -> Sequence[Any] | None:
        """The column's values as Python has them, where they are few."""
        if self.rows > FEW_ROWS:
            return None
        if self._few is None:
            self._few = self._whole()
        found: Sequence[Any] = self._few[self.places[name]]
        return found

    def arrow(self, name: str) -> pa.ChunkedArray:
        """The column's values as Arrow takes them."""
        found: pa.ChunkedArray = self._columns(self.places[name])
        return found


def _source(data: Any, wanted: Sequence[str]) -> _Source:
    if isinstance(data, pa.Table):
        return _Source(data.column_names, data.column, data.num_rows, lambda: [one.to_pylist() for one in data.columns])
    pandas = sys.modules.get("pandas")  # whoever hands in a frame has imported it
    if pandas is not None and isinstance(data, pandas.DataFrame):

        def column(place: int) -> pa.ChunkedArray:
            return pa.chunked_array([pa.Array.from_pandas(data.iloc[:, place])])

        return _Source(list(data.columns), column, len(data), lambda: _objects(data))
    rows = [data] if isinstance(data, Mapping) else data
    if (
        isinstance(rows, Sequence)
        and not isinstance(rows, str | bytes)
        and all(isinstance(row, Mapping) for row in rows)
    ):
        return _of_rows(rows, wanted)
    raise RequestInvalid(
        f"a {type(data).__name__} cannot be predicted: hand in a pandas DataFrame, an Arrow table, a row as a dict, or "
        "a list of such rows"
    )


def _objects(frame: pd.DataFrame) -> list[list[Any]]:
    """The columns of a small frame as Python values: at once, which costs as much as two columns on their own."""
    return list(frame.to_numpy(dtype=object).T.tolist())


def _of_rows(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> _Source:
    names = [name for name in wanted if all(name in row for row in rows)]
    columns = [[row[name] for row in rows] for name in names]
    return _Source(
        names, lambda place: pa.chunked_array([pa.array(columns[place], from_pandas=True)]), len(rows), lambda: columns
    )


def _is_plain(value: Any, kind: ColumnKind) -> bool:
    if type(value) in _PLAIN[kind]:
        return True
    if kind is ColumnKind.DATETIME and isinstance(value, datetime):  # a Timestamp of pandas
        return value.tzinfo is None and not getattr(value, "nanosecond", 0)
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN, as pandas says that a text is missing


def _converted(source: _Source, name: str, kind: ColumnKind, wanted: pa.DataType) -> pa.Array | pa.ChunkedArray:
    try:
        few = source.few(name)
        if few is not None and all(_is_plain(value, kind) for value in few):
            with suppress(pa.ArrowException, TypeError, ValueError, OverflowError):  # it is stricter with single values
                return pa.array(few, wanted, from_pandas=True)
        values = source.arrow(name)
        if values.null_count == len(values):  # of whatever type a file says that nothing is
            return pa.nulls(len(values), wanted)
        found = canonical_array(values, wanted)
        return found if found.type == wanted else found.cast(wanted)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise RequestInvalid(
            f"the column {shorten(name)!r} must hold values of kind {kind.value}: {shorten(str(error), 160)}"
        ) from error
