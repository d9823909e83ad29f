"""The sample: the rows with the smallest hashes, so that the same rows give the same sample in any order and blocks.

Rows are ranked by the hash of their features (so that rows with equal features stand together, or are left out
together), then by the hash of the whole row; only rows that are equal in every column are told apart by their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW
from raysweep.rows.hashing import Hashes

SAMPLE_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class RowHashes:
    """Hashes of some rows: over their features (all columns but the target), all columns, and the key's columns."""

    features: Hashes
    rows: Hashes
    keys: Hashes

    def take(self, order: npt.NDArray[np.int64]) -> RowHashes:
        """Those of the rows at these positions."""
        return RowHashes(self.features[order], self.rows[order], self.keys[order])


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows in the order of their ranks.

    Attributes:
        table: Arrow table of the table's own columns.
        places: Arrow table of `FILE_OF_ROW` and `NUMBER_OF_ROW`.
        hashes: of each row.
    """

    table: Any
    places: Any
    hashes: RowHashes


def sample_of(table: pa.Table, places: pa.Table, hashes: RowHashes, below: int | None = None) -> Sample:
    """The first 100,000 of these rows by rank; of those only whose features have a hash up to `below`, if given."""
    order = _lowest(places, hashes, below)
    return Sample(table.take(order), places.take(order), hashes.take(order))


def merge_samples(parts: Sequence[Sample]) -> Sample:
    """The sample of all rows behind `parts`."""
    return sample_of(
        pa.concat_tables([part.table for part in parts]),
        pa.concat_tables([part.places for part in parts]),
        RowHashes(
            *(np.concatenate([getattr(part.hashes, name) for part in parts]) for name in ("features", "rows", "keys"))
        ),
    )


def sample_size(rows: int) -> int:
    """How many of so many rows are in the sample."""
    return min(rows, SAMPLE_ROWS)


def hash_bound(rows: int) -> int | None:
    """A bound that the sample's hashes will stay below, unless many rows are equal; None: it takes all rows.

    Half as many again as the sample has rows are expected below: 150 standard deviations, where features differ.
    """
    bound = int(1.5 * SAMPLE_ROWS / rows * 2**64) if rows else 2**64
    return bound if bound < 2**64 else None


def _lowest(places: pa.Table, hashes: RowHashes, below: int | None) -> npt.NDArray[np.int64]:
    chosen = np.flatnonzero(hashes.features <= np.uint64(2**64 - 1 if below is None else below))
    if len(chosen) > SAMPLE_ROWS:
        last = np.partition(hashes.features[chosen], SAMPLE_ROWS - 1)[SAMPLE_ROWS - 1]
        chosen = chosen[hashes.features[chosen] <= last]
    files, numbers = (places.column(name).to_numpy()[chosen] for name in (FILE_OF_ROW, NUMBER_OF_ROW))
    ranks = np.lexsort((numbers, files, hashes.rows[chosen], hashes.features[chosen]))
    return np.asarray(chosen[ranks[:SAMPLE_ROWS]])
