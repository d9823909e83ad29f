"""Where a row of a block came from, in words; and which row of a block it is that something refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW


def file_of(block: pa.Table, row: int, files: Sequence[str]) -> str:
    """The address of the row's file; `the table` of one that is held in memory."""
    file = block.column(FILE_OF_ROW)[row].as_py()
    return files[file] if file >= 0 else "the table"


def place_of(block: pa.Table, row: int, files: Sequence[str]) -> str:
    """File and number of a row, the first being 1.

    Args:
        block: rows with their places.
        row: its position in the block.
        files: addresses, by the number that a row's place names.
    """
    return f"{file_of(block, row, files)}, row {block.column(NUMBER_OF_ROW)[row].as_py() + 1:,}"


def first_refused(block: pa.Table, is_refused: Callable[[pa.Table], bool]) -> int | None:
    """The position of the first row by which a block is refused; None where no number of its rows is refused.

    Args:
        block: rows.
        is_refused: whether something refuses these rows; once it does, it does so with more of them.
    """
    if not is_refused(block):
        return None
    good, bad = 0, int(block.num_rows)
    while bad - good > 1:
        middle = (good + bad) // 2
        if is_refused(block.slice(0, middle)):
            bad = middle
        else:
            good = middle
    return bad - 1
