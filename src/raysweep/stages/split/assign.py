"""Which part and which fold a row belongs to, by the hash of its key: a function of seed and key alone.

A row's key is hashed together with the seed to a number in [0, 1), and the shares of the parts cut that interval. Rows
that are added later move no other row, and rows with equal keys are always together. Classes with fewer than 200 rows
are ranked by that number instead and dealt out by quota, so that each part has some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from raysweep.records.table import Part
from raysweep.rows.hashing import Hashes, uniform
from raysweep.split_rules import PartsConfig

AUTO_FOLDS: Final = 5
AUTO_FOLDS_BELOW_ROWS: Final = 5_000
PARTS: Final = (Part.TRAINING, Part.TESTING, Part.VALIDATION)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The rule that gives each row its part.

    Attributes:
        bounds: upper ends of training and testing in [0, 1).
        rare: part (position in `PARTS`) of the keys of rare classes, by key.
    """

    seed: int
    bounds: tuple[float, float]
    rare: Mapping[int, int] = field(default_factory=dict)

    def part_of(self, keys: Hashes) -> npt.NDArray[np.int8]:
        """Position in `PARTS` of each key, shape (rows,)."""
        parts = np.searchsorted(self.bounds, uniform(keys, self.seed), side="right").astype(np.int8)
        if self.rare:
            rare = np.fromiter(self.rare, dtype=np.uint64)
            for row in np.flatnonzero(np.isin(keys, rare)):
                parts[row] = self.rare[int(keys[row])]
        return parts


def make_assignment(parts: PartsConfig, seed: int, rare_keys: Mapping[str, Hashes] | None = None) -> Assignment:
    """The assignment for these shares.

    Args:
        parts: the shares.
        seed: of the split.
        rare_keys: for each class with fewer than 200 rows, the keys of its rows.
    """
    bounds = (parts.training, parts.training + parts.testing)
    rare: dict[int, int] = {}
    # A key that occurs in two rare classes goes where the rarer one puts it.
    for keys in sorted((rare_keys or {}).values(), key=lambda keys: (-len(keys), keys.tolist())):
        distinct = np.unique(keys)
        ordered = distinct[np.argsort(uniform(distinct, seed), kind="stable")]
        rare |= dict(zip(ordered.tolist(), _quota(len(ordered), parts), strict=True))
    return Assignment(seed, bounds, rare)


def _quota(count: int, parts: PartsConfig) -> list[int]:
    """Parts of `count` ranked keys: shares by largest remainder, at least one key a part where there are three."""
    shares = np.array([parts.training, parts.testing, parts.validation])
    exact = shares * count
    quota = np.floor(exact).astype(int)
    for position in np.argsort(-(exact - quota), kind="stable")[: count - quota.sum()]:
        quota[position] += 1
    for position in range(len(PARTS)):
        if quota[position] == 0 and quota.max() > 1:
            quota[quota.argmax()] -= 1
            quota[position] += 1
    return [int(part) for part in np.repeat(np.arange(len(PARTS)), quota)]


def count_folds(wanted: int | str, search_rows: int) -> int:
    """How many folds: as asked for, or cross-validation where training and testing rows are few."""
    if isinstance(wanted, int):
        return wanted
    return AUTO_FOLDS if search_rows < AUTO_FOLDS_BELOW_ROWS else 1


def assign_folds(keys: Hashes, strata: npt.NDArray[np.float64] | None, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each row: keys ranked by hash within their class and dealt out in turn.

    Args:
        keys: of the rows, shape (rows,).
        strata: class codes, shape (rows,); None deals out all rows together.
        folds: how many.
        seed: of the split.

    Returns:
        Fold numbers, shape (rows,); rows with equal keys are in the same fold.
    """
    distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    classes = np.zeros(len(distinct)) if strata is None else strata[first]
    order = np.lexsort((uniform(distinct, seed + 1), classes))
    fold_of_key = np.empty(len(distinct), dtype=np.int64)
    fold_of_key[order] = np.arange(len(distinct)) % folds
    return fold_of_key[inverse]
