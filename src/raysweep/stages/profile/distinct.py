"""Distinct values: counted exactly up to 10,000, estimated by HyperLogLog beyond.

Whether a column has more than 10,000 distinct values depends on the values alone, never on how they were cut.
The sketch is HyperLogLog (Flajolet et al. 2007), the estimator Ertl's (arXiv:1702.01284, algorithm 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.rows.hashing import Hashes, hash_values

MAX_EXACT: Final = 10_000
_INDEX_BITS: Final = 14
_REST_BITS: Final = 64 - _INDEX_BITS
_REGISTERS: Final = 1 << _INDEX_BITS

Registers = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DistinctValues:
    """The distinct values of a column, without nulls.

    Attributes:
        values: Arrow array of the distinct values; None where there are more than 10,000.
        counts: how often each occurs; None with `values`.
        registers: the sketch, where there are more than 10,000.
    """

    values: Any = None
    counts: Any = None
    registers: Registers | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the values themselves are here."""
        return self.registers is None

    @property
    def count(self) -> int:
        """How many distinct values there are; an estimate (0.8 % standard error) unless exact."""
        return len(self.values) if self.registers is None else estimate(self.registers)

    def ranked(self) -> tuple[Any, list[int]]:
        """The values, most frequent first and equal counts by value, and their counts."""
        table = pa.table({"value": self.values, "count": self.counts})
        table = table.sort_by([("count", "descending"), ("value", "ascending")])
        return table.column("value"), table.column("count").to_pylist()


def bounded(values: pa.Array, counts: pa.Array) -> DistinctValues:
    """Keep the values where they are few, else a sketch of them."""
    if len(values) <= MAX_EXACT:
        return DistinctValues(values, counts)
    return DistinctValues(registers=sketch(hash_values(values)))


def merge_distinct(parts: Sequence[DistinctValues]) -> DistinctValues:
    """The distinct values behind all of `parts`, which must hold one type."""
    if len(parts) == 1:
        return parts[0]
    if all(part.is_exact for part in parts):
        table = pa.table(
            {
                "value": pa.chunked_array([part.values for part in parts]),
                "count": pa.chunked_array([part.counts for part in parts]),
            }
        )
        merged = table.group_by("value").aggregate([("count", "sum")])
        return bounded(merged.column("value").combine_chunks(), merged.column("count_sum").combine_chunks())
    registers = np.zeros(_REGISTERS, np.uint8)
    for part in parts:
        found = sketch(hash_values(part.values)) if part.registers is None else part.registers
        np.maximum(registers, found, out=registers)
    return DistinctValues(registers=registers)


def estimate(registers: Registers) -> int:
    """The number of distinct hashes that a sketch has seen."""
    counts = np.bincount(registers, minlength=_REST_BITS + 2).tolist()
    total = _REGISTERS * _tau(1 - counts[_REST_BITS + 1] / _REGISTERS)
    for rank in range(_REST_BITS, 0, -1):
        total = 0.5 * (total + counts[rank])
    total += _REGISTERS * _sigma(counts[0] / _REGISTERS)
    return round(_REGISTERS * _REGISTERS / (2 * log(2) * total)) if total else 0


def sketch(hashes: Hashes) -> Registers:
    """The sketch of values with these hashes."""
    registers = np.zeros(_REGISTERS, np.uint8)
    rest = hashes & np.uint64((1 << _REST_BITS) - 1)
    _, bit_lengths = np.frexp(rest.astype(np.float64))
    ranks = (_REST_BITS + 1 - bit_lengths).astype(np.uint8)
    np.maximum.at(registers, (hashes >> np.uint64(_REST_BITS)).astype(np.int64), ranks)
    return registers


def _sigma(share: float) -> float:
    if share == 1:
        return float("inf")
    weight, total, before = 1.0, share, -1.0
    while total != before:
        share, before = share * share, total
        total += share * weight
        weight += weight
    return total


def _tau(share: float) -> float:
    if share in {0.0, 1.0}:
        return 0.0
    weight, total, before = 1.0, 1 - share, -1.0
    while total != before:
        share, before = sqrt(share), total
        weight *= 0.5
        total -= (1 - share) ** 2 * weight
    return total / 3
