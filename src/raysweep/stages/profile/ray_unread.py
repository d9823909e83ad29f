"""Why a table cannot be prepared as declared, counted over all of its rows once the pass has met such a value."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import pyarrow as pa

from raysweep.errors import DataUnsuitable
from raysweep.prepare_rules import Rule
from raysweep.records.table import Table
from raysweep.rows.prepare import Unread, find_unread, refusal
from raysweep.runtime.ray_failures import ray_errors_translated

_FOUND: Final = "found"
_ROWS: Final = "rows"


@contextmanager
def refusals_counted(table: Table, rules: Sequence[Rule]) -> Iterator[None]:
    """Where the block meets a value that cannot be prepared, say how many there are in the whole table.

    Raises:
        DataUnsuitable: the same for the same rows, with a finding for each column.
    """
    try:
        yield
    except DataUnsuitable:
        if not rules:
            raise
        with ray_errors_translated("counting what cannot be prepared"):
            refused = count_unread(table, rules)
        if not refused.findings:
            raise
        raise refused from None


def count_unread(table: Table, rules: Sequence[Rule]) -> DataUnsuitable:
    """The refusal with every column concerned, however the table is cut into blocks."""

    def find(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for block in blocks:
            found = pickle.dumps(find_unread(block, rules), protocol=5)
            yield pa.table({_FOUND: pa.array([found], pa.large_binary()), _ROWS: [block.num_rows]})

    rows, found = 0, []
    for batch in table.scan(find):
        if _FOUND not in batch.column_names:
            continue
        rows += sum(batch.column(_ROWS).to_pylist())
        for part in batch.column(_FOUND):
            found += pickle.loads(part.as_buffer())  # noqa: S301 - written by our own worker a moment ago
    return refusal(_merge(found), rows)


def _merge(found: Iterable[Unread]) -> list[Unread]:
    merged: dict[tuple[str, str], Unread] = {}
    for one in found:
        known = merged.setdefault((one.rule.rule, one.column), replace(one, count=0))
        example = min(known.example, one.example)
        merged[one.rule.rule, one.column] = replace(known, count=known.count + one.count, example=example)
    return [merged[key] for key in sorted(merged)]
