"""Canaries: hashes of some validation rows, by which every process that gets rows of the search knows a sealed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from raysweep.errors import SealBroken
from raysweep.rows.hashing import Hashes, hash_rows
from raysweep.training.trial_data import RowBlock, SearchRows

SKETCH_ROWS: Final = 1_024
# No column of a source can be called so.
TARGET_OF_ROW: Final = "\x00target"


def smallest(hashes: Hashes, count: int = SKETCH_ROWS) -> Hashes:
    """A bottom-k sketch (Cohen & Kaplan 2007): the smallest different hashes, in order.

    Args:
        hashes: shape (rows,), evenly spread.
        count: how many at most.
    """
    several = 4 * count  # rows that repeat have one hash
    while several < len(hashes):
        found = np.unique(np.partition(hashes, several)[:several])
        if len(found) >= count:
            return found[:count]
        several *= 4
    return np.unique(hashes)[:count]


def pick_canaries(validation: Hashes, search: Sequence[Hashes]) -> Hashes:
    """The smallest hashes of validation rows, without those that a row of the search has as well.

    Args:
        validation: hashes of the rows' inputs and target code, shape (rows,).
        search: the same of training and of testing rows.
    """
    alone = validation
    for hashes in search:
        alone = alone[~np.isin(alone, hashes)]
    return smallest(alone)


def check_unsealed(rows: SearchRows) -> None:
    """Refuse rows of which one is sealed.

    Raises:
        SealBroken: a row of the search is one of the validation rows whose hashes came with them.
    """
    if not len(rows.canaries):
        return
    for part, block in (("training", rows.training), ("testing", rows.testing)):
        found = int(np.isin(hash_block(block), rows.canaries).sum())
        if found:
            raise SealBroken(
                f"a sealed validation row was handed to the search: {found:,} of {block.rows:,} {part} rows are among "
                f"{len(rows.canaries):,} validation rows that were looked for. No score of this run can be trusted: "
                "report it, and start a new run"
            )


def hash_block(block: RowBlock) -> Hashes:
    """A hash of each row's inputs and target code, shape (rows,)."""
    table = block.features.append_column(TARGET_OF_ROW, pa.array(block.y))
    return hash_rows(table, table.column_names)
