"""Documents and tables of a bundle that somebody else made: refused before they take more memory than honest ones."""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raysweep.errors import BundleRefused
from raysweep.storage.store import Store

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
MAX_TABLE_BYTES: Final = 512 * 1024 * 1024
MAX_GOLDEN_ROWS: Final = 10_000
MAX_TRIAL_ROWS: Final = 2_000_000


def read_document(store: Store, key: str) -> dict[str, Any]:
    """A JSON document of a bundle.

    Raises:
        NotFound: there is none.
        BundleRefused: it is too large, or no JSON object.
    """
    try:
        document = json.loads(_read(store, key, MAX_DOCUMENT_BYTES))
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{store.address(key)} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise BundleRefused(f"{store.address(key)} holds no JSON object, but a {type(document).__name__}")
    return document


def read_table(store: Store, key: str, most_rows: int) -> pa.Table:
    """A parquet file of a bundle.

    A few bytes can say a long text a million times. So texts are read as they lie there, each once, and counted before
    they are spelled out.

    Raises:
        NotFound: there is none.
        BundleRefused: it is no parquet file, or has more rows or bytes than raysweep writes.
    """
    content = _read(store, key, MAX_TABLE_BYTES)
    address = store.address(key)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        if file.metadata.num_rows > most_rows:
            raise BundleRefused(f"{address} has {file.metadata.num_rows:,} rows; raysweep reads up to {most_rows:,}")
        _refuse_bytes(address, sum(group.total_byte_size for group in groups))
        texts = [
            leaf.path
            for number in range(len(file.schema))
            if (leaf := file.schema.column(number)).physical_type == "BYTE_ARRAY"
        ]
        table = pq.read_table(pa.BufferReader(content), read_dictionary=texts)
        _refuse_bytes(address, sum(_spelled_out(column) for column in table.columns))
        return table.cast(file.schema_arrow)
    except (pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, BundleRefused):
            raise
        raise BundleRefused(f"{address} cannot be read: {error}") from error


def _read(store: Store, key: str, largest: int) -> bytes:
    sizes = {one.key: one.size_bytes for one in store.list(key)}
    if sizes.get(key, 0) > largest:
        raise BundleRefused(f"{store.address(key)} is {sizes[key]:,} bytes large; raysweep reads up to {largest:,}")
    return store.get(key)


def _refuse_bytes(address: str, size_bytes: int) -> None:
    if size_bytes > MAX_TABLE_BYTES:
        raise BundleRefused(
            f"{address} would take {size_bytes:,} bytes of memory; raysweep reads up to {MAX_TABLE_BYTES:,}"
        )


def _spelled_out(column: pa.ChunkedArray) -> int:
    """The bytes of its texts, each as often as it occurs."""
    kind = column.type
    if pa.types.is_struct(kind):
        fields = [(at, kind.field(at).type) for at in range(kind.num_fields)]
        columns = [pa.chunked_array([one.field(at) for one in column.chunks], below) for at, below in fields]
        return sum(map(_spelled_out, columns))
    if not pa.types.is_dictionary(kind):
        return 0
    lengths = [pc.take(pc.binary_length(chunk.dictionary), chunk.indices) for chunk in column.chunks]
    return sum(pc.sum(pc.cast(one, pa.int64())).as_py() or 0 for one in lengths)
