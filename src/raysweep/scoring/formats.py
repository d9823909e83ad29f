"""Rows of predictions as bytes: parquet, CSV or JSON lines, with the sha256 of what was written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raysweep.rows.canonical import TEXT
from raysweep.stages.source.addresses import FORMATS

_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


class RowWriter(Protocol):
    """Takes tables of one schema."""

    def write(self, rows: pa.Table) -> None:
        """Write some rows."""


class Counted:
    """A file that is written from its beginning to its end, counted and hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.closed = False

    @property
    def sha256(self) -> str:
        """Of all that was written."""
        return self._sha256.hexdigest()

    def write(self, content: Any) -> int:
        """Write, as a file does."""
        plain = bytes(content)
        self._file.write(plain)
        self._sha256.update(plain)
        self.size_bytes += len(plain)
        return len(plain)

    def tell(self) -> int:
        """How many bytes were written."""
        return self.size_bytes

    def writable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """False."""
        return False

    def seekable(self) -> bool:
        """False."""
        return False

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """Nothing: whoever has opened the file closes it."""
        self.closed = True


@contextmanager
def rows_written(file: Counted, address: str, file_format: str, schema: pa.Schema) -> Iterator[RowWriter]:
    """A writer of rows; what it has written is whole when the block ends.

    Args:
        file: to write into.
        address: its name tells whether it is compressed, where it is text.
        file_format: parquet, csv or jsonl.
        schema: of the rows.
    """
    if file_format == "parquet":
        with pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema) as parquet:
            yield _Rows(parquet.write_table)
        return
    compression = next((name for ending, name in _COMPRESSIONS.items() if address.lower().endswith(ending)), None)
    stream = pa.PythonFile(file, mode="w")
    with stream if compression is None else pa.CompressedOutputStream(stream, compression) as text:
        if file_format == "csv":
            text.write(",".join(_quoted(pa.array(schema.names, TEXT)).to_pylist()).encode() + b"\n")
            yield _Rows(lambda rows: text.write(_csv_lines(rows)))
        else:
            yield _Rows(lambda rows: text.write(_json_lines(rows)))


def ending_of(file_format: str) -> str:
    """The ending of a part's name."""
    return FORMATS[file_format][0]


class _Rows:
    def __init__(self, write: Any) -> None:
        self.write = write


def _csv_lines(rows: pa.Table) -> bytes:
    """Lines of CSV (RFC 4180), with quotes where a text needs them alone; Arrow's writer quotes each of them."""
    if not rows.num_rows:
        return b""
    columns = [_field(column) for column in rows.columns]
    missing = pc.JoinOptions(null_handling="replace", null_replacement="")
    joined = pc.binary_join_element_wise(*columns, pa.scalar(",", TEXT), options=missing)
    lines = joined.combine_chunks()
    together = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), pa.scalar("\n", TEXT))
    return bytes(together[0].as_buffer()) + b"\n"


def _field(values: pa.ChunkedArray) -> pa.ChunkedArray:
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    texts = values.cast(TEXT)
    return _quoted(texts) if is_text else texts


def _quoted(texts: Any) -> Any:
    """The texts, those in quotes that would be read as something else; an empty one would be read as missing."""
    needs_quotes = pc.match_substring_regex(texts, '[",\\r\\n]|^$|^\\s|\\s$')
    if not pc.any(needs_quotes).as_py():
        return texts
    quote, nothing = pa.scalar('"', TEXT), pa.scalar("", TEXT)
    in_quotes = pc.binary_join_element_wise(quote, pc.replace_substring(texts, '"', '""'), quote, nothing)
    return pc.if_else(needs_quotes, in_quotes, texts)


def _json_lines(rows: pa.Table) -> bytes:
    lines = [json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) for row in rows.to_pylist()]
    return "".join(f"{line}\n" for line in lines).encode()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Dates as ISO text; NaN and infinities, which JSON does not know, as null."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
