"""The one distributed pass over the table: statistics of what each task reads, merged on the driver."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from raysweep.records.table import Profile, Table
from raysweep.rows.canonical import empty_table, placed
from raysweep.rows.prepare_columns import prepared_columns
from raysweep.stages.profile.gathered import GatheredRows
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.sample import hash_bound, sample_size
from raysweep.stages.profile.statistics import TableStatistics, block_statistics, merge_statistics, statistics_of
from raysweep.stages.profile.summary import summarize

_PARTIAL: Final = "partial"
_MERGED_AT_ONCE: Final = 8

Blocks = Iterator[pa.Table]


def profile_table(table: Table, request: ProfileRequest) -> Profile:
    """Profile every column and row in one pass, the same for the same rows in any order and blocks.

    Args:
        table: its dataset holds Arrow blocks in canonical types.
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
        pa.set_cpu_count(1)  # Ray gives a task one core
        found = statistics_of(blocks, request, sample_below)
        partials = [] if found is None else [pickle.dumps(found, protocol=5)]
        yield pa.table({_PARTIAL: pa.array(partials, pa.large_binary())})

    gathered = GatheredRows(table.rows)
    merged = [gathered.take(block_statistics(placed(empty_table(table.columns), 0, 0), request))]
    for batch in _scan(table, count).iter_batches(batch_format="pyarrow", batch_size=None):
        merged.extend(gathered.take(part) for part in _read_partials(batch))
        if len(merged) > _MERGED_AT_ONCE:
            merged = [merge_statistics(merged)]
    return gathered.give_back(merge_statistics(merged))


def _scan(table: Table, count: Callable[[Blocks], Blocks]) -> Any:
    if table.scan is not None:
        return table.scan(count)
    return table.dataset.map_batches(lambda block: count(iter([block])), batch_format="pyarrow", batch_size=None)


def _read_partials(batch: pa.Table) -> Iterator[TableStatistics]:
    for partial in batch.column(_PARTIAL) if _PARTIAL in batch.column_names else ():
        yield pickle.loads(partial.as_buffer())  # noqa: S301 - written by our own worker a moment ago
