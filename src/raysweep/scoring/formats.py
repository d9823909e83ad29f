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
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

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
            with pacsv.CSVWriter(text, schema) as lines:
                yield _Rows(lines.write_table)
        else:
            yield _Rows(lambda rows: text.write(_json_lines(rows)))


def ending_of(file_format: str) -> str:
    """The ending of a part's name."""
    return FORMATS[file_format][0]


class _Rows:
    def __init__(self, write: Any) -> None:
        self.write = write


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
