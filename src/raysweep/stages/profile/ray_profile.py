"""The one distributed pass over the table: statistics of each block, merged on the driver."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Final

import pyarrow as pa

from raysweep.errors import DataUnsuitable
from raysweep.records.table import Profile, Table
from raysweep.rows.canonical import empty_table, placed
from raysweep.rows.prepare_columns import prepared_columns
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.statistics import TableStatistics, block_statistics, merge_statistics
from raysweep.stages.profile.summary import summarize

_PARTIAL: Final = "partial"
_MERGED_AT_ONCE: Final = 8  # bounds the driver's memory: each partial holds up to 100,000 rows of sample


def profile_table(table: Table, request: ProfileRequest) -> Profile:
    """Profile every column and row in one pass, the same for the same rows in any order and blocks.

    Args:
        table: its dataset holds Arrow blocks in canonical types.
        request: what to count, after which preparation; the profile has no target where the table lacks that column.

    Raises:
        DataUnsuitable: a value cannot be prepared as declared.
    """
    request = request if request.target in table.names else replace(request, target=None)

    def count_block(block: pa.Table) -> pa.Table:
        partials = []
        if block.num_rows:
            partials = [pickle.dumps(_count(block, request), protocol=5)]
        return pa.table({_PARTIAL: pa.array(partials, pa.large_binary())})

    partials = table.dataset.map_batches(count_block, batch_format="pyarrow", batch_size=None)
    merged = [block_statistics(placed(empty_table(table.columns), 0, 0), request)]
    for batch in partials.iter_batches(batch_format="pyarrow", batch_size=None):
        merged.extend(_read_partials(batch))
        if len(merged) > _MERGED_AT_ONCE:
            merged = [merge_statistics(merged)]
    return summarize(merge_statistics(merged), prepared_columns(table.columns, request.prepare), request)


def _count(block: pa.Table, request: ProfileRequest) -> TableStatistics | DataUnsuitable:
    """The statistics, or why there are none: Ray Data keeps only the text of what a block's function raises."""
    try:
        return block_statistics(block, request)
    except DataUnsuitable as refused:
        return refused


def _read_partials(batch: pa.Table) -> list[TableStatistics]:
    if _PARTIAL not in batch.column_names:
        return []
    partials = [
        pickle.loads(partial.as_buffer())  # noqa: S301 - written by our own worker a moment ago
        for partial in batch.column(_PARTIAL)
    ]
    for partial in partials:
        if isinstance(partial, DataUnsuitable):
            raise partial
    return partials
