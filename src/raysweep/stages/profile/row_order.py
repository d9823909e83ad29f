"""Columns whose values grow (or fall) strictly from row to row, found out block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import gt, lt
from typing import Final

import numpy as np
import pyarrow as pa

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, Column, ColumnKind

_LOOKED_AT_FIRST: Final = 1_000

Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that follow one another.

    Attributes:
        first, last: file and number of the first row and of the last.
        ends: the first and the last value of each column that grows or falls strictly inside the run.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    ends: Mapping[str, Ends]


def run_of(block: pa.Table, columns: Sequence[str]) -> Run:
    """The run of a block with at least one row.

    Args:
        block: with the place of each row.
        columns: the numbers to look at.
    """
    files, numbers = (block.column(name).to_numpy() for name in (FILE_OF_ROW, NUMBER_OF_ROW))
    places = (files.astype(np.int64) << 40) + numbers
    if not (places[1:] > places[:-1]).all():
        block = block.take(np.argsort(places, kind="stable"))
        files, numbers = (block.column(name).to_numpy() for name in (FILE_OF_ROW, NUMBER_OF_ROW))
    found = {name: _ends(block.column(name)) for name in columns}
    return Run(
        (int(files[0]), int(numbers[0])),
        (int(files[-1]), int(numbers[-1])),
        {name: ends for name, ends in found.items() if ends is not None},
    )


def increasing_columns(runs: Sequence[Run], columns: Sequence[Column]) -> tuple[str, ...]:
    """The number columns that grow or fall strictly over all runs, which together are the table."""
    ordered = sorted(runs, key=lambda run: run.first)
    if any(after.first <= before.last for before, after in pairwise(ordered)):
        return ()
    return tuple(
        column.name for column in columns if column.kind is ColumnKind.NUMBER and _is_strict(column.name, ordered)
    )


def _is_strict(name: str, runs: Sequence[Run]) -> bool:
    if not runs or not all(name in run.ends for run in runs):
        return False
    values = [value for run in runs for value in (run.ends[name] if run.first != run.last else run.ends[name][:1])]
    steps = list(pairwise(values))
    return bool(steps) and (all(lt(*step) for step in steps) or all(gt(*step) for step in steps))


def _ends(column: pa.ChunkedArray) -> Ends | None:
    if column.null_count or not (_grows(column.slice(0, _LOOKED_AT_FIRST)) and _grows(column)):
        return None
    return column[0].as_py(), column[-1].as_py()


def _grows(column: pa.ChunkedArray) -> bool:
    values = column.to_numpy()
    return bool((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all())
