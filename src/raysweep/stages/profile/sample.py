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


def sample_of(table: pa.Table, places: pa.Table, hashes: RowHashes) -> Sample:
    """The first 100,000 of these rows by rank."""
    order = _lowest(places, hashes)
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


def _lowest(places: pa.Table, hashes: RowHashes) -> npt.NDArray[np.int64]:
    chosen = np.arange(len(hashes.features))
    if len(chosen) > SAMPLE_ROWS:
        last = np.partition(hashes.features, SAMPLE_ROWS - 1)[SAMPLE_ROWS - 1]
        chosen = np.flatnonzero(hashes.features <= last)
    files, numbers = (places.column(name).to_numpy()[chosen] for name in (FILE_OF_ROW, NUMBER_OF_ROW))
    ranks = np.lexsort((numbers, files, hashes.rows[chosen], hashes.features[chosen]))
    return np.asarray(chosen[ranks[:SAMPLE_ROWS]])
