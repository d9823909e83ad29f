"""Values that stand for a missing one: alone at an end of the range, far from all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_MIN_ROWS: Final = 50
_MIN_COUNT: Final = 2
_MAX_FOUND: Final = 3
_MIN_OTHERS: Final = 20
_MANY_TIMES: Final = 10
_KNOWN_NUMBERS: Final = frozenset(sign * (10**digits - 1) for digits in range(2, 11) for sign in (1, -1)) | frozenset(
    {-9, -8888, 8888, -888, 888, -88, 88, -(2**31), 2**31 - 1}
)
_KNOWN_DATES: Final = frozenset(
    np.datetime64(day, "us").astype(np.int64).item()
    for day in ("0001-01-01", "1000-01-01", "1753-01-01", "1900-01-01", "1970-01-01", "2099-12-31", "9999-12-31")
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sentinel:
    """A suspicious value: the number (dates in microseconds), how often it occurs, its share of the values."""

    value: float
    count: int
    share: float


def find_sentinels(
    values: Floats, counts: Integers, *, spike: float, spread: float, is_date: bool = False
) -> list[Sentinel]:
    """The suspicious values at both ends.

    A well-known placeholder has to lie further from all others than they are apart from one another (dates: a third
    of that); any other value but 0 has to have a share of at least `spike`, to be far more frequent than others, and
    to lie more than `spread` interquartile ranges away.

    Args:
        values: different finite values, rising.
        counts: of each.
        spike: share of the rows.
        spread: in interquartile ranges.
        is_date: whether values are microseconds since 1970.
    """
    total = int(counts.sum())
    if total < _MIN_ROWS:
        return []
    is_known = np.isin(values, list(_KNOWN_DATES if is_date else _KNOWN_NUMBERS))
    suspicious = is_known & (counts >= _MIN_COUNT) & _is_apart(values, values[~is_known], 1 / 3 if is_date else 1.0)
    for position in (0, len(values) - 1):
        if not suspicious[position] and values[position] != 0 and counts[position] / total >= spike:
            suspicious[position] = _is_far(position, values, counts, spread)
    chosen = np.flatnonzero(suspicious)[:_MAX_FOUND]
    return [Sentinel(float(values[one]), int(counts[one]), float(counts[one] / total)) for one in chosen]


def _is_apart(values: Floats, others: Floats, widths: float) -> npt.NDArray[np.bool_]:
    """Which values lie outside of the others, by more than `widths` times their range."""
    if len(others) < 2:  # noqa: PLR2004 - one value has no range
        return np.zeros(len(values), np.bool_)
    low, high = others[0], others[-1]
    return np.asarray(np.maximum(low - values, values - high) > widths * (high - low))


def _is_far(position: int, values: Floats, counts: Integers, spread: float) -> bool:
    """Whether the value at one end lies far from the quartiles of the others, and from its neighbour."""
    others, weights = np.delete(values, position), np.delete(counts, position)
    # Among few values, or values that come as often, one more is a category and no spike.
    if len(others) < _MIN_OTHERS or counts[position] < _MANY_TIMES * np.median(weights):
        return False
    upto = np.cumsum(weights) / weights.sum()
    low, high = (float(others[np.searchsorted(upto, share)]) for share in (0.25, 0.75))
    width = high - low
    distance = max(low - values[position], values[position] - high)
    gap = float(np.abs(others - values[position]).min())
    return bool(width > 0 and distance > spread * width and gap > width)
