"""The one distributed pass over the table: statistics of what each task reads, merged on the driver."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from raysweep.records.table import Profile, Table
from raysweep.rows.canonical import empty_table, placed
from raysweep.rows.prepare_columns import prepared_columns
from raysweep.stages.profile.gathered import GatheredRows
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.sample import hash_bound, sample_size
from raysweep.stages.profile.statistics import TableStatistics, block_statistics, merge_statistics, statistics_of
from raysweep.stages.profile.summary import summarize

_PARTIAL_SCHEMA: Final = pa.schema({"pickled": pa.large_binary(), "arrays": pa.list_(pa.large_binary())})
_LARGE_BYTES: Final = 1024 * 1024
_MERGED_AT_ONCE: Final = 8

Blocks = Iterator[pa.Table]


def profile_table(table: Table, request: ProfileRequest) -> Profile:
    """Profile every column and row in one pass, the same for the same rows in any order and blocks.

    Args:
        table: whose rows are counted wherever they lie.
        request: what to count, after which preparation; the profile has no target where the table lacks that column.
    """
    request = request if request.target in table.names else replace(request, target=None)
    bound = None if table.rows is None else hash_bound(table.rows)
    found = _count(table, request, bound)
    if found.sample.table.num_rows < sample_size(found.rows):
        # So many rows are equal that the hashes of the sample's rows go beyond the bound.
        found = _count(table, request, None)
    return summarize(found, prepared_columns(table.columns, request.prepare), request)


def _count(table: Table, request: ProfileRequest, sample_below: int | None) -> TableStatistics:
    def count(blocks: Blocks) -> Blocks:
        for found in statistics_of(blocks, request, sample_below):
            yield _write_partial(found)
        pa.default_memory_pool().release_unused()  # else a worker keeps 150 MB of what it has read

    gathered = GatheredRows(table.rows)
    merged = [gathered.take(block_statistics(placed(empty_table(table.columns), 0, 0), request))]
    for batch in table.scan(count):
        merged.extend(gathered.take(part) for part in _read_partials(batch))
        if len(merged) > _MERGED_AT_ONCE:
            merged = [merge_statistics(merged)]
    return gathered.give_back(merge_statistics(merged))


def _write_partial(found: TableStatistics) -> pa.Table:
    """One row: the pickled statistics, and their large arrays beside them, so that those are copied once."""
    arrays: list[memoryview] = []

    def keep_inside(buffer: pickle.PickleBuffer) -> bool:
        is_small = buffer.raw().nbytes < _LARGE_BYTES
        if not is_small:
            arrays.append(buffer.raw())
        return is_small

    pickled = pickle.dumps(found, protocol=5, buffer_callback=keep_inside)
    values = pa.concat_arrays([_binary(pickled), *map(_binary, arrays)])
    return pa.table([values.slice(0, 1), pa.ListArray.from_arrays([0, len(arrays)], values.slice(1))], _PARTIAL_SCHEMA)


def _binary(content: bytes | memoryview) -> pa.Array:
    # Not by pa.array: pyarrow 26 never lets go of a memoryview that it was given there.
    buffer = pa.py_buffer(content)
    ends = pa.py_buffer(np.array([0, buffer.size], np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, buffer])


def _read_partials(batch: pa.Table) -> Iterator[TableStatistics]:
    if batch.column_names != _PARTIAL_SCHEMA.names:
        return
    for pickled, arrays in zip(*batch.columns, strict=True):
        buffers = [array.as_buffer() for array in arrays]
        yield pickle.loads(  # noqa: S301 - written by our own worker a moment ago
            pickled.as_buffer(), buffers=buffers
        )
