"""What identifies the whole table, whatever the order of its rows: how many there are, and what they hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raysweep.records.table import Table
from raysweep.rows.hashing import digest_of, hash_rows

_ROW = "row"


def count_and_digest(table: Table) -> tuple[int, str]:
    """How many rows there are, and the sha256 over their sorted hashes over all columns, as the profile has it."""

    def convert(batch: pa.Table) -> pa.Table:
        return pa.table({_ROW: hash_rows(batch, table.names)})

    blocks = [block for block in table.scan(lambda found: map(convert, found)) if block.num_columns]
    hashes = np.concatenate([np.zeros(0, np.uint64), *(block.column(_ROW).to_numpy() for block in blocks)])
    return len(hashes), digest_of(hashes)
