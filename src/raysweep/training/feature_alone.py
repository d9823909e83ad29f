"""What a feature alone tells: targets predicted by their means over its values, for rows that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.training.learner import Floats

_BINS: Final = 32
_PRIOR_ROWS: Final = 10.0  # as many rows of the overall mean are added to each bin


@dataclass(frozen=True, slots=True)
class Binning:
    """Bins of a column: its values where it is text, quantiles of numbers and times; then missing and unseen values.

    Attributes:
        edges: upper ends of the bins but the last; None for text.
        values: an Arrow array, a bin each; None for what has an order.
    """

    edges: Floats | None = None
    values: Any = None

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self:
        """The bins that these rows suggest."""
        if _is_text(column):
            return cls(values=pc.unique(column.drop_null()))
        numbers = _numbers(column)
        known = numbers[np.isfinite(numbers)]
        if not len(known):
            return cls(edges=np.zeros(0))
        return cls(edges=np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS, method="lower")))

    @property
    def count(self) -> int:
        """How many bins, with those of missing and of unseen values."""
        return 2 + (len(self.values) if self.edges is None else len(self.edges) + 1)

    def place(self, column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The bin of each row."""
        missing, unseen = self.count - 2, self.count - 1
        if self.edges is None:
            codes = pc.fill_null(pc.index_in(column, value_set=self.values), unseen).to_numpy().astype(np.int64)
            return np.where(np.asarray(column.is_null()), missing, codes)
        numbers = _numbers(column)
        return np.where(np.isfinite(numbers), np.searchsorted(self.edges, numbers, side="left"), missing)


@dataclass(frozen=True, slots=True)
class FeatureAlone:
    """Means of the targets over the bins of one column, shape (bins, targets), drawn a little to the overall mean."""

    binning: Binning
    means: Floats

    @classmethod
    def fit(cls, column: pa.ChunkedArray, targets: Floats) -> Self:
        """Learn from rows.

        Args:
            column: in canonical types.
            targets: numbers, or one column a class; shape (rows, targets).
        """
        binning = Binning.of(column)
        place = binning.place(column)
        rows = np.bincount(place, minlength=binning.count)[:, np.newaxis]
        sums = np.stack([np.bincount(place, weights=one, minlength=binning.count) for one in targets.T], axis=1)
        return cls(binning, (sums + _PRIOR_ROWS * targets.mean(axis=0)) / (rows + _PRIOR_ROWS))

    def predict(self, column: pa.ChunkedArray) -> Floats:
        """Means for other rows, shape (rows, targets)."""
        return np.asarray(self.means[self.binning.place(column)], dtype=np.float64)


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_large_string(column.type) or pa.types.is_string(column.type))


def _numbers(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
