"""Reading one file: what its columns are, and its rows in canonical types. Runs in any process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from raysweep.documents import shorten
from raysweep.errors import DataUnsuitable
from raysweep.records.table import Column, ColumnKind, SourceFile
from raysweep.rows.canonical import TEXT, canonical_column, canonical_table, empty_table, placed, rows_at_once
from raysweep.stages.source.addresses import FileReach, is_unchanged
from raysweep.stages.source.file_schema import FileSchema, check_names, refuse
from raysweep.stages.source.text_types import TextTypes, parse_text

COMPRESSED: Final = (".gz", ".bz2", ".zst")
_COMPRESSED_GROWTH: Final = 6  # about what text shrinks to
BLOCK_BYTES: Final = 32 * 1024 * 1024

# What pandas.read_csv takes for a missing value, so that a CSV means the same table here and there.
CSV_NULLS: Final = [
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
]


@dataclass(frozen=True, slots=True)
class ReadPiece:
    """A file, or some row groups of a parquet file, as one task reads it.

    Attributes:
        file: the position of the file in the source.
        first_row: the number of the piece's first row in the file.
        found: the file as it was when its columns and rows were looked at; None where that does not matter.
        verbatim: the texts of a CSV file as they stand there; only where there is nothing, not even quotes, is null.
    """

    address: str
    format: str
    row_groups: tuple[int, ...] | None = None
    file: int = 0
    first_row: int = 0
    found: SourceFile | None = None
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is in what can be read by itself: a row group of a parquet file, or a whole file.

    Attributes:
        held_bytes: about what the rows take in memory.
    """

    rows: int
    held_bytes: int


def describe_file(address: str, file_format: str, reach: FileReach) -> tuple[FileSchema, tuple[Extent, ...]]:
    """The columns of a file, and the extent of each of its parquet row groups (of the file, for other formats).

    Raises:
        DataUnsuitable: the file cannot be read, or its column names cannot be told apart.
    """
    with _naming(address), _open(address, reach) as stream:
        if file_format == "parquet":
            parquet = pq.ParquetFile(stream)
            return describe_schema(address, parquet.schema_arrow), _parquet_extents(parquet.metadata)
        return _describe_csv(address, stream) if file_format == "csv" else _describe_json(address, stream)


def describe_header(address: str, size_bytes: int, reach: FileReach) -> tuple[FileSchema, tuple[Extent, ...]]:
    """The columns of a CSV file by its first line, all of them text, and about what its rows take in memory.

    How many rows there are is not known: that would take reading it.

    Raises:
        DataUnsuitable: as `describe_file`.
    """
    with _naming(address), _open(address, reach) as stream:
        names = _header_names(address, _csv_blocks(stream))
    growth = _COMPRESSED_GROWTH if address.lower().endswith(COMPRESSED) else 1
    columns = tuple(Column(name, ColumnKind.STRING, "string") for name in names)
    return FileSchema(address, columns, from_text=True), (Extent(0, growth * size_bytes),)


def read_piece(piece: ReadPiece, columns: tuple[Column, ...], reach: FileReach) -> Iterator[pa.Table]:
    """The rows of a piece as tables with exactly these columns, in canonical types.

    Raises:
        DataUnsuitable: the file cannot be read to its end, naming it.
    """
    found = False
    with _naming(piece.address), _open(piece.address, reach) as stream:
        for table in _read(piece, stream, columns):
            found = True
            yield canonical_table(table, columns)
    if not found:
        yield empty_table(columns)


def read_placed(piece: ReadPiece, columns: tuple[Column, ...], reach: FileReach) -> Iterator[pa.Table]:
    """The tables of `read_piece` with the place of each row beside them.

    Raises:
        DataUnsuitable: as `read_piece`; or the file is not what it was.
    """
    if piece.found is not None and not is_unchanged(piece.found, reach):
        raise refuse(
            "schema.unreadable",
            f"{piece.address} has changed since this sweep first read it",
            "Start again once nothing writes to it any more",
        )
    first = piece.first_row
    for table in read_piece(piece, columns, reach):
        yield placed(table, piece.file, first)
        first += table.num_rows


def _read(piece: ReadPiece, stream: Any, columns: tuple[Column, ...]) -> Iterator[pa.Table]:
    if piece.format == "parquet":
        return _read_parquet(stream, piece.row_groups, [column.name for column in columns])
    if piece.format == "csv":
        return _read_csv(stream, columns, verbatim=piece.verbatim)
    return iter([_json_table(stream)])


class _naming:  # noqa: N801 - reads as a phrase where it is used
    """Turns what Arrow raises into an error that names the file."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, DataUnsuitable):
            return
        if isinstance(error, pa.ArrowException | OSError | ValueError | KeyError | EOFError):
            raise refuse(
                "schema.unreadable",
                f"{self.address} cannot be read: {shorten(str(error), 240)}",
                "Is the file complete, and of the format that its name says? Write it again, or leave it out",
            ) from error


def _open(address: str, reach: FileReach) -> Any:
    filesystem, path = reach.open(address)
    if address.lower().endswith((".parquet", ".pq")):
        return filesystem.open_input_file(path)
    compressed = address.lower().endswith(COMPRESSED)
    if compressed:
        return filesystem.open_input_stream(path, compression="detect")
    return filesystem.open_input_file(path)


def describe_schema(address: str, schema: pa.Schema) -> FileSchema:
    """The columns of an Arrow schema, without a nameless index that pandas has stored beside them.

    Raises:
        DataUnsuitable: column names cannot be told apart.
    """
    hidden = _nameless_index(schema)
    fields = [(str(name), kind) for name, kind in zip(schema.names, schema.types, strict=True) if name not in hidden]
    check_names([name for name, _ in fields], address)
    columns = [
        Column(name, ColumnKind.NUMBER, "null") if pa.types.is_null(kind) else canonical_column(name, kind)
        for name, kind in fields
    ]
    return FileSchema(address, tuple(columns))


def _nameless_index(schema: pa.Schema) -> set[str]:
    stored = (schema.pandas_metadata or {}).get("index_columns", [])
    return {name for name in stored if isinstance(name, str) and name.startswith("__index_level_")}


def _csv_blocks(stream: Any, *, verbatim: bool = False) -> Any:
    """A reader of blocks with every column as text; types are decided over the whole file, not by its first block."""
    return pacsv.open_csv(
        stream,
        read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            default_column_type=TEXT,
            strings_can_be_null=True,
            null_values=[""] if verbatim else CSV_NULLS,
            quoted_strings_can_be_null=not verbatim,
        ),
    )


def _header_names(address: str, blocks: Any) -> list[str]:
    names = list(blocks.schema.names)
    check_names(names, address)
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise refuse(
            "schema.unreadable",
            f"{address} has one column, {shorten(names[0])!r}: its values are not separated by commas",
            "Write it with commas between the values",
        )
    return names


def _describe_csv(address: str, stream: Any) -> tuple[FileSchema, tuple[Extent, ...]]:
    blocks = _csv_blocks(stream)
    names = _header_names(address, blocks)
    types, rows, held_bytes = [TextTypes() for _ in names], 0, 0
    for batch in blocks:
        rows, held_bytes = rows + batch.num_rows, held_bytes + batch.nbytes
        types = [known.narrowed(values) for known, values in zip(types, batch.columns, strict=True)]
    columns = tuple(kind.column(name) for name, kind in zip(names, types, strict=True))
    return FileSchema(address, columns, from_text=True), (Extent(rows, held_bytes),)


def _read_csv(stream: Any, columns: tuple[Column, ...], *, verbatim: bool) -> Iterator[pa.Table]:
    for batch in _csv_blocks(stream, verbatim=verbatim):
        arrays = [parse_text(batch.column(column.name), column) for column in columns]
        yield pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def _json_table(stream: Any) -> pa.Table:
    content = stream.read()
    if not content.strip():
        raise ValueError("the file is empty")
    options = pajson.ReadOptions(use_threads=False, block_size=max(BLOCK_BYTES, len(content) + 1))
    return pajson.read_json(pa.BufferReader(content), read_options=options)


def _describe_json(address: str, stream: Any) -> tuple[FileSchema, tuple[Extent, ...]]:
    table = _json_table(stream)
    return describe_schema(address, table.schema), (Extent(table.num_rows, table.nbytes),)


def _parquet_extents(metadata: Any) -> tuple[Extent, ...]:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    # The footer knows encoded sizes alone; a value takes 8 bytes at least, once it is decoded.
    return tuple(
        Extent(group.num_rows, max(group.total_byte_size, 8 * group.num_rows * group.num_columns)) for group in groups
    )


def _read_parquet(stream: Any, row_groups: Sequence[int] | None, names: Sequence[str]) -> Iterator[pa.Table]:
    parquet = pq.ParquetFile(stream)
    groups = list(range(parquet.num_row_groups)) if row_groups is None else list(row_groups)
    rows = rows_at_once(len(names))
    batches = parquet.iter_batches(batch_size=rows, row_groups=groups, columns=names, use_threads=False)
    for batch in batches:
        yield pa.Table.from_batches([batch])
