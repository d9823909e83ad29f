"""From what a caller holds (frame, Arrow table, rows as dicts) to the columns of a signature in canonical types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Union

import numpy as np
import pyarrow as pa

from raysweep.bundle.deviations import FEW_ROWS
from raysweep.bundle.input_kinds import WANTED, NotOfKind, as_kind
from raysweep.documents import shorten, suggest
from raysweep.errors import RequestInvalid
from raysweep.records.manifest import InputColumn, Signature
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import canonical_schema

if TYPE_CHECKING:
    import pandas as pd

Rows = Sequence[Mapping[str, Any]] | Mapping[str, Any]
Data = Union["pd.DataFrame", "pd.Series[Any]", pa.Table, pa.RecordBatch, Rows]

# Values of these very types mean the same whatever column they come from; for others, Arrow has to see the column.
_PLAIN: Final[Mapping[ColumnKind, frozenset[type]]] = {
    ColumnKind.NUMBER: frozenset({float, int, np.float64, np.int64, type(None)}),
    ColumnKind.BOOLEAN: frozenset({bool, type(None)}),
    ColumnKind.STRING: frozenset({str, type(None)}),
    ColumnKind.DATETIME: frozenset({type(None)}),
}

_LOOKED_AT: Final = 10_000


class Inputs:
    """The columns of a signature, ready to be made of what callers hold.

    Args:
        signature: of the model.
    """

    def __init__(self, signature: Signature) -> None:
        wide = [Column(one.name, one.kind, _type_of(one)) for one in signature.inputs]
        self.schema = canonical_schema(wide)
        self._row = pa.struct(list(self.schema))
        self._columns = [(one.name, one.kind, field.type) for one, field in zip(wide, self.schema, strict=True)]

    def of(self, data: Data) -> pa.Table:
        """See `features_of`."""
        source = _source(data, self.schema.names)
        missing = [name for name in self.schema.names if name not in source.places]
        if missing:
            listed = ", ".join(repr(shorten(name)) for name in missing[:5])
            raise RequestInvalid(
                f"the data lack {len(missing)} of the model's {len(self._columns)} columns: {listed}"
                f"{suggest(missing[0], tuple(source.places))}"
            )
        arrays = self._few(source) or [_converted(source, *column) for column in self._columns]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _few(self, source: _Source) -> list[pa.Array] | None:
        """The columns of a few rows at once, which takes as long as two of them; None where they want a closer look."""
        if source.rows > FEW_ROWS:
            return None
        rows: list[dict[str, Any]] = [{} for _ in range(source.rows)]
        for name, kind, _ in self._columns:
            plain = _PLAIN[kind]
            for row, value in zip(rows, source.values(source.places[name]), strict=True):
                if type(value) not in plain and not _is_plain(value, kind):
                    return None
                row[name] = value
        with suppress(pa.ArrowException, TypeError, ValueError, OverflowError):  # it is stricter with single values
            arrays: list[pa.Array] = pa.array(rows, self._row, from_pandas=True).flatten()
            return arrays
        return None


def features_of(data: Data, signature: Signature) -> pa.Table:
    """The columns of the signature in canonical types, numbers as float64.

    Args:
        data: a pandas DataFrame, an Arrow table or batch, one row as a dict or a pandas Series, or a sequence of such
            dicts.
        signature: of the model.

    Raises:
        RequestInvalid: a column is missing, or holds values of another kind.
    """
    return Inputs(signature).of(data)


def _type_of(column: InputColumn) -> str:
    return "double" if column.kind is ColumnKind.NUMBER else column.type


@dataclass(frozen=True, slots=True)
class _Source:
    """Columns of a frame, a table or rows; the first of those that share a name.

    Attributes:
        places: the name of each column -> its place.
        rows: how many.
        arrow: a column by its place, as Arrow takes it.
        values: the same as Python has it.
    """

    places: Mapping[str, int]
    rows: int
    arrow: Callable[[int], pa.ChunkedArray]
    values: Callable[[int], Sequence[Any]]

    def few(self, name: str) -> Sequence[Any] | None:
        """The column's values as Python has them, where they are few."""
        return None if self.rows > FEW_ROWS else self.values(self.places[name])


def _placed(names: Sequence[Any]) -> dict[str, int]:
    return {str(name): place for place, name in reversed(list(enumerate(names)))}


def _source(data: Any, wanted: Sequence[str]) -> _Source:
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return _Source(_placed(data.column_names), data.num_rows, data.column, lambda place: data[place].to_pylist())
    pandas = sys.modules.get("pandas")  # whoever hands in a frame has imported it
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _of_frame(data)
    if pandas is not None and isinstance(data, pandas.Series):
        data = {str(name): value for name, value in data.items()}
    rows = [data] if isinstance(data, Mapping) else data
    if (
        isinstance(rows, Sequence)
        and not isinstance(rows, str | bytes)
        and all(isinstance(row, Mapping) for row in rows)
    ):
        return _of_rows(rows, wanted)
    raise RequestInvalid(
        f"a {type(data).__name__} cannot be predicted: hand in a pandas DataFrame (of one row: df.iloc[[0]]), an Arrow "
        "table, a row as a dict, or a list of such rows"
    )


def _of_frame(frame: pd.DataFrame) -> _Source:
    if len(frame) == 1:

        def values(place: int) -> Sequence[Any]:
            return (frame.iat[0, place],)  # noqa: PD009 - .iloc takes five times as long

    else:
        whole: list[list[Any]] = []

        def values(place: int) -> Sequence[Any]:
            if len(frame) > FEW_ROWS:
                return list(frame.iloc[:, place].tolist())
            if not whole:  # all at once, which costs as much as two columns on their own
                whole.extend(frame.to_numpy(dtype=object).T.tolist())
            return whole[place]

    def column(place: int) -> pa.ChunkedArray:
        return pa.chunked_array([pa.Array.from_pandas(frame.iloc[:, place])])

    return _Source(_placed(frame.columns.tolist()), len(frame), column, values)


def _of_rows(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> _Source:
    names = [name for name in wanted if all(name in row for row in rows)]
    columns = [[row[name] for row in rows] for name in names]

    def column(place: int) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array(_as_array(columns[place]), from_pandas=True)])

    return _Source(_placed(names), len(rows), column, columns.__getitem__)


def _as_array(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """From a list Arrow takes the clock of a time for UTC where PYARROW_IGNORE_TIMEZONE is set; pandera sets it."""
    return np.fromiter(values, dtype=object, count=len(values))


def _is_plain(value: Any, kind: ColumnKind) -> bool:
    if type(value) in _PLAIN[kind]:
        return True
    if kind is ColumnKind.DATETIME and isinstance(value, datetime):  # of pandas too
        return value.tzinfo is None and not getattr(value, "nanosecond", 0)
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN, as pandas says that a text is missing


def _converted(source: _Source, name: str, kind: ColumnKind, wanted: pa.DataType) -> pa.Array | pa.ChunkedArray:
    few = source.few(name)
    if few is not None and all(_is_plain(value, kind) for value in few):
        with suppress(pa.ArrowException, TypeError, ValueError, OverflowError):
            return pa.array(few, wanted, from_pandas=True)
    place = source.places[name]
    why: Exception
    try:
        return as_kind(source.arrow(place), kind, wanted)
    except NotOfKind as error:
        value, why = str(error), error
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:  # Arrow has no one type for them
        value, why = _strange(source.values(place), kind, wanted) or shorten(str(error), 160), error
    raise RequestInvalid(
        f"the column {shorten(name)!r} must hold values of kind {kind.value} ({WANTED[kind]}): it holds {value}"
    ) from why


def _strange(values: Sequence[Any], kind: ColumnKind, wanted: pa.DataType) -> str:
    """The first value that is refused on its own; empty where each by itself is taken."""
    for value in values[:_LOOKED_AT]:
        try:
            as_kind(pa.chunked_array([pa.array([value], from_pandas=True)]), kind, wanted)
        except (NotOfKind, pa.ArrowException, TypeError, ValueError, OverflowError):
            return shorten(repr(value), 80)
    return ""
