"""Sums and sums of squares without rounding: the same whatever the order in which numbers are added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import frexp, isqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Every finite float64 is a whole multiple of 2**-1126 once its mantissa is written as a 53-bit integer.
_UNIT_BITS: Final = 1126
_MANTISSA_BITS: Final = 53
_ROOT_BITS: Final = 128
# 2**14 products of two slices stay below 2**53, and their memory in the cache.
_SLICE_BITS: Final = 19
_CHUNK_ROWS: Final = 1 << 14
_MAX_SLICES: Final = 12
_LARGEST_EXPONENT: Final = 700
_LARGEST_EXACT: Final = 1 << 53

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares of finite numbers, exact.

    Attributes:
        total: in units of 2**-1126.
        squares: in units of 2**-2252.
    """

    count: int = 0
    total: int = 0
    squares: int = 0

    @property
    def mean(self) -> float | None:
        """The mean, rounded once; None without numbers."""
        return self.total / (self.count << _UNIT_BITS) if self.count else None

    @property
    def std(self) -> float | None:
        """The standard deviation with n - 1; None for fewer than two numbers, or beyond float64."""
        if self.count < 2:  # noqa: PLR2004
            return None
        numerator = self.count * self.squares - self.total * self.total
        return _root(numerator, (self.count * (self.count - 1)) << (2 * _UNIT_BITS))


def moments_of(values: Numbers) -> Moments:
    """The moments of finite numbers.

    Args:
        values: int64 or float64 array without NaN and infinities.
    """
    wide = values.dtype.kind != "f" and len(values) and max(-int(values.min()), int(values.max())) > _LARGEST_EXACT
    chunks = [values[start : start + _CHUNK_ROWS] for start in range(0, len(values), _CHUNK_ROWS)]
    return merge_moments((None if wide else _by_slices(chunk)) or _by_exponents(chunk) for chunk in chunks)


def _by_slices(values: Numbers) -> Moments | None:
    """By cutting the numbers into whole numbers of 20 bits, whose products float64 adds up without rounding.

    None where that takes too many slices: numbers of too different sizes.
    """
    rest = values.astype(np.float64)
    exponent = frexp(max(-rest.min(), rest.max()))[1]
    if abs(exponent) > _LARGEST_EXPONENT:
        return None
    slices: list[npt.NDArray[np.float64]] = []
    units: list[int] = []
    unit = exponent - _SLICE_BITS
    while rest.any():
        if len(slices) == _MAX_SLICES:
            return None
        anchor = 1.5 * 2.0 ** (unit + 52)  # float64 has no room there for bits below the unit
        part = rest + anchor
        part -= anchor
        rest -= part
        part *= 2.0**-unit
        slices.append(part)
        units.append(unit)
        unit -= _SLICE_BITS + 1
    if not slices:
        return Moments(len(values))
    return _add_slices(np.array(slices), units)


def _add_slices(slices: npt.NDArray[np.float64], units: Sequence[int]) -> Moments:
    # Exact in any order; not by BLAS, whose threads take longer to meet than these sums do.
    sums, products = slices.sum(axis=1).tolist(), np.einsum("ik,jk->ij", slices, slices).tolist()
    total = sum(int(value) << (unit + _UNIT_BITS) for value, unit in zip(sums, units, strict=True))
    squares = sum(
        int(products[i][j]) << (first + second + 2 * _UNIT_BITS)
        for i, first in enumerate(units)
        for j, second in enumerate(units)
    )
    return Moments(slices.shape[1], total, squares)


def _by_exponents(values: Numbers) -> Moments:
    mantissas, starts, shifts = _mantissas_by_exponent(values)
    sums = zip(_sums(mantissas, starts), shifts, strict=True)
    squares = zip(_sums_of_squares(mantissas, starts), shifts, strict=True)
    return Moments(
        len(values),
        sum(value << shift for value, shift in sums),
        sum(value << (2 * shift) for value, shift in squares),
    )


def merge_moments(parts: Iterable[Moments]) -> Moments:
    """The moments of all the numbers behind `parts`."""
    count = total = squares = 0
    for part in parts:
        count += part.count
        total += part.total
        squares += part.squares
    return Moments(count, total, squares)


def _mantissas_by_exponent(values: Numbers) -> tuple[Integers, Integers, list[int]]:
    """Whole mantissas grouped by exponent, where each group starts, and its shift to the unit."""
    if values.dtype.kind != "f":
        return values.astype(np.int64), np.zeros(1, np.int64), [_UNIT_BITS]
    fractions, exponents = np.frexp(values)
    order = np.argsort(exponents.astype(np.int16), kind="stable")
    exponents = exponents[order]
    mantissas = np.ldexp(fractions[order], _MANTISSA_BITS).astype(np.int64)
    starts = np.append(0, np.flatnonzero(np.diff(exponents)) + 1)
    return mantissas, starts, [_UNIT_BITS - _MANTISSA_BITS + int(exponents[start]) for start in starts]


def _sums(values: npt.NDArray[Any], starts: Integers) -> list[int]:
    """Exact sums by group of 64-bit integers: halves of 32 bits cannot overflow below 2**31 rows."""
    bits = values.dtype.type(32)
    mask = values.dtype.type(0xFFFFFFFF)
    upper = np.add.reduceat(values >> bits, starts).tolist()
    lower = np.add.reduceat(values & mask, starts).tolist()
    return [(high << 32) + low for high, low in zip(upper, lower, strict=True)]


def _sums_of_squares(values: Integers, starts: Integers) -> list[int]:
    magnitudes = np.abs(values).astype(np.uint64)  # the smallest int64 wraps to the right value
    upper = magnitudes >> np.uint64(32)
    lower = magnitudes & np.uint64(0xFFFFFFFF)
    terms = zip(_sums(upper * upper, starts), _sums(upper * lower, starts), _sums(lower * lower, starts), strict=True)
    return [(high << 64) + (middle << 33) + low for high, middle, low in terms]


def _root(numerator: int, denominator: int) -> float | None:
    shift = max(0, _ROOT_BITS - numerator.bit_length() + denominator.bit_length())
    shift += shift % 2
    root = isqrt((numerator << shift) // denominator)
    try:
        return root / (1 << (shift // 2))
    except OverflowError:
        return None
