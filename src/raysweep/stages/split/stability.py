"""How far the shares of a column differ between two parts: the population stability index (Siddiqi 2006).

Shares are those of tenths of the training rows, or of their frequent categories, less what chance brings.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_BINS: Final = 10
_MAX_CATEGORIES: Final = 20
_FREQUENT: Final = 10
_CHANCE: Final = 3.0  # how many times the expected index may come about by chance
_MIN_ROWS: Final = 50


def stability_index(before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> float:
    """The population stability index of two counts over the same bins, less three times what chance brings."""
    bins = len(before)
    if min(before.sum(), after.sum()) < _MIN_ROWS:
        return 0.0
    p, q = (np.asarray((counts + 0.5) / (counts.sum() + 0.5 * bins), np.float64) for counts in (before, after))
    index = float(((p - q) * np.log(p / q)).sum())
    return max(0.0, index - _CHANCE * (bins - 1) * float(1 / before.sum() + 1 / after.sum()))


def binned(before: pa.ChunkedArray, after: pa.ChunkedArray) -> tuple[Any, Any]:
    """Counts over the same bins: the frequent categories of the first, or its tenths; missing values apart.

    Rare and new categories are left out of both: whether they come back is another check's question.
    """
    if pa.types.is_large_string(before.type):
        counted = pc.value_counts(before.drop_null())
        rows = np.asarray(counted.field("counts"))
        frequent = np.argsort(-rows, kind="stable")[:_MAX_CATEGORIES]
        kept = counted.field("values").take(pa.array(frequent[rows[frequent] >= _FREQUENT]))
        size = len(kept) + 2
        codes = [_codes(values, kept) for values in (before, after)]
        counts = [np.bincount(one, minlength=size) * (np.arange(size) != len(kept)) for one in codes]
    else:
        numbers = [_numbers(values) for values in (before, after)]
        known = np.sort(numbers[0][~np.isnan(numbers[0])])
        edges = np.unique(known[(np.arange(1, _BINS) * len(known)) // _BINS]) if len(known) else np.zeros(0)
        size = len(edges) + 2
        places = [np.where(np.isnan(one), size - 1, np.searchsorted(edges, one, side="left")) for one in numbers]
        counts = [np.bincount(one, minlength=size) for one in places]
    used = (counts[0] + counts[1]) > 0
    return counts[0][used], counts[1][used]


def _codes(values: pa.ChunkedArray, kept: pa.Array) -> npt.NDArray[np.int64]:
    """The position of each value in `kept`; one more for what is not there, two more for what is missing."""
    found = np.asarray(pc.fill_null(pc.index_in(values, value_set=kept), len(kept)).to_numpy(), dtype=np.int64)
    return np.where(np.asarray(values.is_null().to_numpy()), len(kept) + 1, found)


def _numbers(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    if pa.types.is_timestamp(values.type) or pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
