"""Texts of a CSV file as what the model's signature says that they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.errors import RequestInvalid
from raysweep.records.manifest import InputColumn
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import TEXT, arrow_type_of
from raysweep.scoring.whereabouts import file_of, place_of
from raysweep.stages.source.readers import CSV_NULLS
from raysweep.stages.source.text_types import parse_text

_TYPES: Final = {
    ColumnKind.NUMBER: ("double",),
    ColumnKind.BOOLEAN: ("bool",),
    ColumnKind.DATETIME: ("timestamp[us]", "timestamp[us, tz=UTC]"),
}
_WORDS: Final = {ColumnKind.NUMBER: "number", ColumnKind.BOOLEAN: "true or false", ColumnKind.DATETIME: "date or time"}


def is_parsed(one: InputColumn) -> bool:
    """Whether texts of this column are read as something else than texts."""
    return one.kind in _TYPES


def read_texts(block: pa.Table, one: InputColumn, files: Sequence[str]) -> pa.ChunkedArray:
    """The texts of a column as what the model's column holds.

    What stands for a missing value in CSV files is missing, unless it is a category that the model has learned.

    Args:
        block: texts as they stand in the file, null where there is nothing; and the places of the rows.
        one: the column.
        files: addresses, by the number that a row's place names.

    Raises:
        RequestInvalid: a text is no such value; names the column, the value and the place.
    """
    texts = block.column(one.name)
    if not is_parsed(one):
        return _without_markers(texts, one.categories or ())
    values = _without_markers(texts, ())
    found = _read(values, one)
    if found is not None:
        return found
    row = next((row for row in range(len(values)) if _read(values.slice(row, 1), one) is None), None)
    if row is None:
        raise RequestInvalid(
            f"the column {shorten(one.name)!r} of {file_of(block, 0, files)} holds dates with a time zone and without: "
            "write them in one form"
        )
    raise RequestInvalid(
        f"the column {shorten(one.name)!r} holds {shorten(texts[row].as_py())!r} ({place_of(block, row, files)}), "
        f"which is no {_WORDS[one.kind]}, as the model's was: mend it, or leave it empty"
    )


def _without_markers(texts: pa.ChunkedArray, categories: tuple[str, ...]) -> pa.ChunkedArray:
    """Without what stands for a missing value; an empty value is the category `''` where there is one."""
    markers = [text for text in CSV_NULLS if text not in categories]
    if "" in categories:
        texts = pc.fill_null(texts, "")
    is_marker = pc.is_in(texts, value_set=pa.array(markers, TEXT))
    return pc.if_else(is_marker, pa.scalar(None, TEXT), texts)


def _read(texts: pa.ChunkedArray, one: InputColumn) -> pa.ChunkedArray | None:
    """The texts as what the signature says; None where one of them is not that."""
    for name in _TYPES[one.kind]:
        try:
            chunks = [parse_text(chunk, Column(one.name, one.kind, name)) for chunk in texts.chunks]
        except pa.ArrowInvalid:
            continue
        return pa.chunked_array(chunks, arrow_type_of(Column(one.name, one.kind, name)))
    return None
