"""Stage 1: the table in canonical types, from files or from what a Python user holds in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pyarrow as pa
import ray

from raysweep.config import SweepConfig
from raysweep.errors import RequestInvalid
from raysweep.records.table import Column, SourceFile, Table
from raysweep.rows.canonical import placed
from raysweep.stages.source.addresses import FileReach, find_files, infer_format
from raysweep.stages.source.file_schema import FileSchema, reconcile, refuse
from raysweep.stages.source.frames import canonical_or_refused, frame_to_arrow
from raysweep.stages.source.ray_scan import DatasetScan, FileScan, HeldScan, cut_into_tasks, read_rows
from raysweep.stages.source.readers import Extent, describe_file, describe_schema

MEMORY = "memory:"
_IN_MEMORY = -1
_DESCRIBE_HERE_BYTES = 32 * 1024 * 1024
# What takes less in memory is held by this process.
_HELD_HERE_BYTES = 64 * 1024 * 1024
# A table that is larger in memory is read anew each time that it is used; parquet is cheaper to read than text.
_HELD_PARQUET_BYTES = 64 * 1024 * 1024
_HELD_TEXT_BYTES = 256 * 1024 * 1024


def open_table(config: SweepConfig, data: object = None) -> Table:
    """The table that the sweep is about.

    Args:
        config: `data.source` and how to reach it.
        data: a pandas DataFrame, an Arrow table or a Ray Dataset to use instead of `data.source`.

    Raises:
        NotFound: an address names nothing.
        DataUnsuitable: files cannot be read as one table.
        RequestInvalid: `data` is of another type, or formats are mixed.
    """
    if data is not None:
        return table_in_memory(data)
    reach = FileReach.from_config(config.data_s3)
    files = find_files(config.data.sources, reach, config.data.format)
    file_format = infer_format(files, config.data.format)
    schemas, extents = _describe(files, file_format, reach)
    columns = reconcile(schemas)
    every = [extent for of_file in extents for extent in of_file]
    scan = FileScan(cut_into_tasks(files, file_format, extents), columns, reach)
    return Table(
        address=", ".join(config.data.sources),
        format=file_format,
        columns=columns,
        files=files,
        scan=_held(scan, file_format, sum(extent.held_bytes for extent in every)),
        rows=sum(extent.rows for extent in every),
    )


def _held(scan: FileScan, file_format: str, held_bytes: int) -> FileScan | DatasetScan | HeldScan:
    """A pass over rows that are read now and kept, where they are few enough."""
    if held_bytes > (_HELD_PARQUET_BYTES if file_format == "parquet" else _HELD_TEXT_BYTES):
        return scan
    if held_bytes > _HELD_HERE_BYTES:
        return DatasetScan(scan.dataset(iter).materialize())
    return HeldScan(tuple(block for task in scan.tasks for block in read_rows(task, scan.columns, scan.reach)))


def locate(config: SweepConfig) -> tuple[tuple[SourceFile, ...], str, FileReach]:
    """The files of `data.source`, their format, and how to open them; reads nothing.

    Raises:
        NotFound: an address names nothing.
        RequestInvalid: formats are mixed, or not to be told.
        StorageFailed: the S3 server refuses or does not answer.
    """
    reach = FileReach.from_config(config.data_s3)
    files = find_files(config.data.sources, reach)
    return files, infer_format(files, config.data.format), reach


def _describe(
    files: Sequence[SourceFile], file_format: str, reach: FileReach
) -> tuple[list[FileSchema], list[tuple[Extent, ...]]]:
    """Footers and small files are looked at in threads here; large texts are parsed by Ray tasks."""
    addresses = [file.address for file in files]
    total_bytes = sum(file.size_bytes for file in files)
    if file_format == "parquet" or total_bytes <= _DESCRIBE_HERE_BYTES:
        with ThreadPoolExecutor(8) as pool:
            described = list(pool.map(lambda address: describe_file(address, file_format, reach), addresses))
    else:
        task = ray.remote(describe_file)
        described = ray.get([task.remote(address, file_format, reach) for address in addresses])
    return [schema for schema, _ in described], [extents for _, extents in described]


def table_in_memory(data: object) -> Table:
    """The table of a pandas DataFrame, an Arrow table or a Ray Dataset.

    Raises:
        RequestInvalid: it is none of these.
        DataUnsuitable: its columns cannot be told apart, or hold what no table does.
    """
    if isinstance(data, pd.DataFrame):
        return _from_arrow(frame_to_arrow(data), "pandas")
    if isinstance(data, pa.Table):
        return _from_arrow(data, "arrow")
    if isinstance(data, ray.data.Dataset):
        return _from_dataset(data)
    raise RequestInvalid(
        f"data: {type(data).__name__} is not a table that raysweep reads; give a pandas DataFrame, a pyarrow Table, "
        "a Ray Dataset, or the path of a file"
    )


def _from_arrow(table: pa.Table, label: str) -> Table:
    columns = reconcile([describe_schema(f"the {label} table", table.schema)])
    canonical = placed(canonical_or_refused(table, columns, f"the {label} table"), _IN_MEMORY, 0)
    if canonical.nbytes <= _HELD_HERE_BYTES:
        return Table(MEMORY, label, columns, (), HeldScan((canonical,)), canonical.num_rows)
    slots = max(1, min(8, canonical.num_rows // 50_000))
    size = -(-max(1, canonical.num_rows) // slots)
    blocks = [canonical.slice(start, size) for start in range(0, max(1, canonical.num_rows), size)]
    return Table(MEMORY, label, columns, (), DatasetScan(ray.data.from_arrow(blocks)), canonical.num_rows)


def _from_dataset(dataset: Any) -> Table:
    blocks = dataset.materialize().to_arrow_refs()
    describe, convert = ray.remote(_describe_block), ray.remote(_convert_block)
    described = ray.get([describe.remote(block) for block in blocks])
    schemas = [
        describe_schema(f"block {number} of the Ray Dataset", schema)
        for number, (schema, rows) in enumerate(described)
        if schema.names or rows
    ]
    if not schemas:
        raise refuse("rows.too_few", "the Ray Dataset has no rows", "Give a table with rows")
    columns = reconcile(schemas)
    held, first = [], 0
    for block, (schema, rows) in zip(blocks, described, strict=True):
        if schema.names:
            held.append(convert.remote(block, columns, first))
        first += rows
    return Table(MEMORY, "ray", columns, (), DatasetScan(ray.data.from_arrow_refs(held)), first)


def _describe_block(block: pa.Table) -> tuple[pa.Schema, int]:
    return block.schema, block.num_rows


def _convert_block(block: pa.Table, columns: tuple[Column, ...], first_row: int) -> pa.Table:
    return placed(canonical_or_refused(block, columns, "the Ray Dataset"), _IN_MEMORY, first_row)
