"""The one distributed pass over the table: statistics of each block, merged on the driver."""

from __future__ import annotations

import pickle
from typing import Final

import pyarrow as pa

from raysweep.records.table import Profile, Table
from raysweep.rows.canonical import arrow_type_of
from raysweep.stages.profile.statistics import TableStatistics, block_statistics, merge_statistics
from raysweep.stages.profile.summary import summarize

_PARTIAL: Final = "partial"
_MERGED_AT_ONCE: Final = 8  # bounds the driver's memory: each partial holds up to 100,000 rows of sample


def profile_table(table: Table, target: str | None) -> Profile:
    """Profile every column and row in one pass, the same for the same rows in any order and blocks.

    Args:
        table: its dataset holds Arrow blocks in canonical types.
        target: the target's name; the profile has none where the table lacks that column.
    """
    present = target if target in table.names else None
    names = list(table.names)

    def count_block(block: pa.Table) -> pa.Table:
        partials = []
        if block.num_rows:
            partials = [pickle.dumps(block_statistics(block.select(names), present), protocol=5)]
        return pa.table({_PARTIAL: pa.array(partials, pa.large_binary())})

    partials = table.dataset.map_batches(count_block, batch_format="pyarrow", batch_size=None)
    schema = pa.schema([(column.name, arrow_type_of(column)) for column in table.columns])
    merged = [block_statistics(schema.empty_table(), present)]
    for batch in partials.iter_batches(batch_format="pyarrow", batch_size=None):
        merged.extend(_read_partials(batch))
        if len(merged) > _MERGED_AT_ONCE:
            merged = [merge_statistics(merged)]
    return summarize(merge_statistics(merged), table.columns, present)


def _read_partials(batch: pa.Table) -> list[TableStatistics]:
    if _PARTIAL not in batch.column_names:
        return []
    return [
        pickle.loads(partial.as_buffer())  # noqa: S301 - written by our own worker a moment ago
        for partial in batch.column(_PARTIAL)
    ]
