"""How many rows a search gets: all, or a sample, by what the driver, a trial and Ray's object store can hold.

What a row takes was measured (XGBoost, 3,000,000 rows of 19 inputs, two of them text): the driver that deals rows out
holds 3.1 times the table, a fit with its matrices 28 bytes a value, the object store the table's rows themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raysweep.records.room import GIB, Room
from raysweep.records.table import Column, ColumnKind

LEAST_ROWS: Final = 10_000  # fewer say too little, however small the machine is
_DRIVER_COPIES: Final = 3.5
_FIT_BYTES: Final = 32  # of a value: canonical, as float64, as float32, binned
_BESIDE_BYTES: Final = 40  # of a row in the driver: hashes, target, part
_USED_SHARE: Final = 0.7  # of memory that is free now; others use the machine, too
_STORE_SHARE: Final = 0.5  # what is read passes through it as well
_VALUE_BYTES: Final = {ColumnKind.BOOLEAN: 1, ColumnKind.STRING: 24, ColumnKind.NESTED: 64}
_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class TableSize:
    """How large a table is.

    Attributes:
        rows: of all parts.
        search_rows: of training and testing.
        inputs: columns that are learned from.
        row_bytes: what a row takes in canonical types, inputs alone.
    """

    rows: int
    search_rows: int
    inputs: int
    row_bytes: int


@dataclass(frozen=True, slots=True)
class RowBudget:
    """How many rows a search gets.

    Attributes:
        rows: about so many; None: all.
        why: in one sentence with the numbers; empty where all are taken.
    """

    rows: int | None
    why: str = ""


def size_of(rows: int, search_share: float, inputs: Sequence[Column]) -> TableSize:
    """The size of a table by the kinds of its columns.

    Args:
        rows: of the whole table.
        search_share: of training and testing, 0 to 1.
        inputs: columns that are learned from.
    """
    row_bytes = sum(_VALUE_BYTES.get(column.kind, 8) for column in inputs)
    return TableSize(rows, math.ceil(rows * search_share), max(1, len(inputs)), max(1, row_bytes))


def budget_for(asked: str | int, size: TableSize, room: Room) -> RowBudget:
    """How many rows the search gets.

    Args:
        asked: `search.rows`: `auto`, `all`, or a number.
        size: of the table.
        room: what there is for it.
    """
    if asked == "all":
        return RowBudget(None)
    if isinstance(asked, int):
        return RowBudget(asked, f"search.rows is {asked:,}") if asked < size.search_rows else RowBudget(None)
    limits = {
        "a trial's share of a node's memory": (room.trial * _USED_SHARE / (size.inputs * _FIT_BYTES), room.trial),
        "Ray's object store": (room.store * _STORE_SHARE / size.row_bytes, room.store),
    }
    dealt = (room.driver * _USED_SHARE) / (_DRIVER_COPIES * size.row_bytes + _BESIDE_BYTES)
    if dealt < size.rows:  # the driver would hold the whole table: what the search gets is dealt out in a stream
        limits["the driver's memory"] = (dealt / 2, room.driver)
    what, (fitting, has) = min(limits.items(), key=lambda one: one[1][0])
    if fitting >= size.search_rows:
        return RowBudget(None)
    rows = max(LEAST_ROWS, _rounded(fitting))
    if rows >= size.search_rows:
        return RowBudget(None)
    return RowBudget(
        rows,
        f"{size.search_rows:,} rows of {size.inputs:,} inputs are more than {what} ({has / GIB:.1f} GiB) has room for",
    )


def _rounded(rows: float) -> int:
    """Down to two digits, so that a little more or less memory changes nothing."""
    unit = int(10 ** max(0, int(math.log10(max(1.0, rows))) - _DIGITS + 1))
    return int(rows // unit) * unit
