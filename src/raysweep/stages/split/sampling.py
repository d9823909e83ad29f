"""Which rows of a part a search gets where it cannot get all: those whose keys have the smallest numbers.

A bottom-k sample (Cohen & Kaplan 2007) by the hash of a row's key: it depends on the rows and the seed alone, rows with
equal keys (a group) are in it together or not at all. Of a class of which it would hold fewer than 200 rows, so many
are taken, or all; of many classes fewer, so that they are no more than half of the sample. The rows of such keys count
less in return, by the inverse of how likely they were to be taken (Horvitz & Thompson 1952), so that scores on the
sample mean what they would mean on all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from raysweep.rows.hashing import Hashes, uniform
from raysweep.split_rules import RARE_CLASS_ROWS
from raysweep.training.learner import Floats

_LEAST: Final = 2
_SEED_STEP: Final = 2  # parts are dealt out by the seed itself, folds by the next one


@dataclass(frozen=True, slots=True)
class PartSample:
    """The rule by which the rows of a part are in the sample.

    Attributes:
        seed: of the split.
        below: keys with a smaller number are in it.
        raised: further keys, and those of them that were in it already, because of a class that is rare; ascending.
        chances: how likely each of these was to be taken.
    """

    seed: int
    below: float
    raised: Hashes
    chances: Floats

    def contains(self, keys: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each row is in it, shape (rows,)."""
        return np.asarray((_numbers(keys, self.seed) < self.below) | np.isin(keys, self.raised), dtype=np.bool_)

    def weights(self, keys: Hashes) -> Floats | None:
        """What each row of the sample counts, shape (rows,); None where all count 1."""
        if not len(self.raised):
            return None
        places = np.minimum(np.searchsorted(self.raised, keys), len(self.raised) - 1)
        found = np.asarray(self.raised[places] == keys)
        return np.where(found, self.below / self.chances[places], 1.0)


def sample_part(keys: Hashes, classes: Floats | None, wanted: int, seed: int) -> PartSample:
    """The sample of a part's rows.

    Args:
        keys: of its rows, shape (rows,).
        classes: codes, shape (rows,); None for a regression.
        wanted: how many rows; a few more where keys repeat or a class is rare.
        seed: of the split.
    """
    numbers = _numbers(keys, seed)
    below = _bound(numbers, wanted)
    found = list[tuple[Hashes, float]]()
    codes = np.unique(classes) if classes is not None else np.zeros(0)
    most = min(RARE_CLASS_ROWS, max(_LEAST, wanted // (2 * max(1, len(codes)))))  # many classes are half of it at most
    for code in codes:
        of_class = np.asarray(classes == code)
        enough = min(int(of_class.sum()), most)
        if np.count_nonzero(numbers[of_class] < below) < enough:
            bound = _bound(numbers[of_class], enough)
            found.append((np.unique(keys[of_class & (numbers < bound)]), bound))
    raised = np.unique(np.concatenate([np.zeros(0, np.uint64), *(one for one, _ in found)]))
    chances = np.zeros(len(raised))
    for one, bound in found:
        places = np.searchsorted(raised, one)
        chances[places] = np.maximum(chances[places], bound)
    return PartSample(seed, below, raised, chances)


def share_out(wanted: int, training: int, testing: int) -> tuple[int, int]:
    """How many rows of each of two parts, by their sizes; at least one of each."""
    of_training = round(wanted * training / max(1, training + testing))
    return max(1, min(training, of_training)), max(1, min(testing, wanted - of_training))


def _bound(numbers: Floats, count: int) -> float:
    """The number below which there are so many, or more where the last one repeats."""
    if count >= len(numbers):
        return 1.0
    ordered = np.sort(numbers)
    after = np.searchsorted(ordered, ordered[count - 1], side="right")
    return float(ordered[after]) if after < len(ordered) else 1.0


def _numbers(keys: Hashes, seed: int) -> Floats:
    return uniform(keys, seed + _SEED_STEP)
