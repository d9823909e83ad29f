"""Tables in memory in canonical types: pandas frames and Arrow tables. Starts no Ray."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from raysweep.documents import shorten
from raysweep.records.table import Column
from raysweep.rows.canonical import arrow_type_of, canonical_array, canonical_schema
from raysweep.stages.source.file_schema import check_names, refuse


def frame_to_arrow(frame: pd.DataFrame) -> pa.Table:
    """The columns of a frame, without its index.

    Raises:
        DataUnsuitable: names cannot be told apart, or a column holds values of several types.
    """
    named = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    check_names(list(named.columns), "the DataFrame")
    arrays = []
    for name in named.columns:
        try:
            values = pa.Array.from_pandas(named[name])
            arrays.append(values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values]))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise refuse(
                "col.mixed_types",
                f"the DataFrame's column {shorten(name)!r} holds values of several types: {shorten(str(error), 160)}",
                "Give it one type, such as df[name] = df[name].astype(str)",
                column=name,
            ) from error
    return pa.Table.from_arrays(arrays, names=list(named.columns))


def canonical_or_refused(table: pa.Table, columns: Sequence[Column], place: str) -> pa.Table:
    """These columns of a table in canonical types.

    Raises:
        DataUnsuitable: a value does not fit; `place` says where.
    """
    arrays = []
    for column in columns:
        try:
            arrays.append(canonical_array(table.column(column.name), arrow_type_of(column)))
        except pa.ArrowException as error:
            raise refuse(
                "schema.unreadable",
                f"{place}: values of the column {shorten(column.name)!r} do not fit: {shorten(str(error), 160)}",
                "Large ids are better kept as text",
                column=column.name,
            ) from error
    return pa.Table.from_arrays(arrays, schema=canonical_schema(columns))
