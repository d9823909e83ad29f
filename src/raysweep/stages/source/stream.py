"""A table for one pass from its first row to its last: what there is to read, without reading it. Starts no Ray.

Columns of CSV files are text here, whatever their values look like, `NA` and `null` too: who reads them knows better
what they are, and what he does not know passes through as it stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from raysweep.config import S3Config
from raysweep.errors import RequestInvalid
from raysweep.records.table import Column, SourceFile
from raysweep.rows.canonical import placed
from raysweep.stages.source.addresses import FileReach, find_files, infer_format
from raysweep.stages.source.file_schema import FileSchema, reconcile
from raysweep.stages.source.frames import canonical_or_refused, frame_to_arrow
from raysweep.stages.source.readers import (
    Extent,
    ReadPiece,
    describe_file,
    describe_header,
    describe_schema,
    read_placed,
)

IN_MEMORY: Final = -1


@dataclass(frozen=True, slots=True)
class Stream:
    """What there is to read.

    Attributes:
        extents: of each file.
        table: the rows in canonical types with their places, where they are held in memory.
        dataset: a `ray.data.Dataset` of such rows, where they are held in that; opaque here.
        rows: how many; None where that is not known before they are read.
        held_bytes: about what all of them take in memory.
    """

    address: str
    format: str
    columns: tuple[Column, ...]
    files: tuple[SourceFile, ...] = ()
    extents: tuple[tuple[Extent, ...], ...] = field(default=(), repr=False)
    reach: FileReach = field(default_factory=FileReach, repr=False)
    table: pa.Table | None = field(default=None, repr=False)
    dataset: Any = field(default=None, repr=False)
    rows: int | None = None
    held_bytes: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in the source's order."""
        return tuple(column.name for column in self.columns)

    @property
    def is_text(self) -> bool:
        """Whether every value is a text that is still to be understood."""
        return self.format == "csv"

    def blocks(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """The rows in their order, read here: at least these columns in canonical types, and the place of each row.

        Raises:
            DataUnsuitable: a file cannot be read to its end, or is not what it was.
        """
        if self.table is not None:
            yield self.table
            return
        wanted = tuple(column for column in self.columns if column.name in names)
        for number, file in enumerate(self.files):
            piece = ReadPiece(file.address, self.format, None, number, 0, file, verbatim=True)
            yield from read_placed(piece, wanted, self.reach)


def open_stream(sources: Sequence[str], s3: S3Config) -> Stream:
    """The table of some files.

    Args:
        sources: paths, folders, globs, `s3://` addresses.
        s3: how to reach these.

    Raises:
        NotFound: an address names nothing.
        DataUnsuitable: files cannot be read as one table.
        RequestInvalid: formats are mixed, or not to be told.
        StorageFailed: the S3 server refuses or does not answer.
    """
    reach = FileReach.from_config(s3)
    files = find_files(sources, reach, None)
    file_format = infer_format(files, None)

    def described(file: SourceFile) -> tuple[FileSchema, tuple[Extent, ...]]:
        if file_format == "csv":
            return describe_header(file.address, file.size_bytes, reach)
        return describe_file(file.address, file_format, reach)

    with ThreadPoolExecutor(8) as pool:
        schemas, extents = zip(*pool.map(described, files), strict=True)
    every = [extent for of_file in extents for extent in of_file]
    return Stream(
        ", ".join(sources),
        file_format,
        reconcile(schemas),
        files,
        extents,
        reach,
        rows=None if file_format == "csv" else sum(extent.rows for extent in every),
        held_bytes=sum(extent.held_bytes for extent in every),
    )


def stream_of(data: object) -> Stream:
    """The table of a pandas DataFrame or an Arrow table.

    Raises:
        DataUnsuitable: its columns cannot be told apart, or hold what no table does.
        RequestInvalid: it is neither.
    """
    if isinstance(data, pd.DataFrame):
        table, label = frame_to_arrow(data), "pandas"
    elif isinstance(data, pa.Table):
        table, label = data, "arrow"
    else:
        raise RequestInvalid(
            f"data: {type(data).__name__} is not a table that raysweep reads; give a pandas DataFrame, a pyarrow "
            "Table, a Ray Dataset, or the path of a file"
        )
    place = f"the {label} table"
    columns = reconcile([describe_schema(place, table.schema)])
    rows = placed(canonical_or_refused(table, columns, place), IN_MEMORY, 0)
    return Stream(place, label, columns, table=rows, rows=rows.num_rows, held_bytes=rows.nbytes)
