"""A user's own schema over every row of the table: each task counts in its blocks, and only counts leave it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from raysweep.config import ChecksConfig
from raysweep.records.table import Finding, Table
from raysweep.stages.validate.user_schema import UserSchema
from raysweep.stages.validate.user_schema_counts import (
    ColumnPlan,
    SchemaCounts,
    block_counter,
    merge_counts,
    plan_columns,
)
from raysweep.stages.validate.user_schema_findings import schema_findings

_COUNTS: Final = "counts"


def findings_of_schema(schema: UserSchema | None, table: Table, checks: ChecksConfig) -> tuple[Finding, ...]:
    """What breaks the schema: the same findings however the rows are cut into blocks; none without a schema."""
    if schema is None:
        return ()
    return tuple(schema_findings(schema, table, _count(table, plan_columns(schema, table)), checks))


def _count(table: Table, plans: tuple[ColumnPlan, ...]) -> SchemaCounts:
    if not plans:
        return SchemaCounts(0, {})

    def count(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        counter = block_counter(plans)
        found = merge_counts([counter.count(block) for block in blocks])
        yield pa.table({_COUNTS: pa.array([pickle.dumps(found, protocol=5)], pa.large_binary())})

    parts = [
        pickle.loads(counts.as_buffer())  # noqa: S301 - written by our own worker a moment ago
        for batch in table.scan(count, [plan.name for plan in plans])
        if _COUNTS in batch.column_names
        for counts in batch.column(_COUNTS)
    ]
    return merge_counts(parts)
