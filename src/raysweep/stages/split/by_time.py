"""Which part a row belongs to by its time, alone or with its whole group: the earliest train, the latest validate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from raysweep.rows.hashing import Hashes
from raysweep.split_rules import PartsConfig

# Places of rows that are in no part, beside the positions in `PARTS`.
IN_EMBARGO: Final = -1
TOO_LATE: Final = -2
_PARTS: Final = 3

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TimeAssignment:
    """The rule that gives each row its part by its time.

    Attributes:
        cuts: the times at which testing and validation begin, in microseconds (or the column's own numbers).
        embargo: rows that come less than this, or just this, before a cut are left out, in the same units.
    """

    cuts: tuple[float, float]
    embargo: float = 0.0

    def part_of_times(self, times: Times) -> npt.NDArray[np.int8]:
        """Position in `PARTS` of each time, shape (rows,); a row without a time trains, since it may be early."""
        parts = self.window_of(times)
        parts[times >= self.ends_of(parts) - self.embargo] = IN_EMBARGO
        return parts

    def window_of(self, times: Times) -> npt.NDArray[np.int8]:
        """The same without an embargo."""
        parts = np.searchsorted(self.cuts, times, side="right").astype(np.int8)
        parts[np.isnan(times)] = 0
        return parts

    def ends_of(self, parts: npt.NDArray[np.int8]) -> Times:
        """When the part of each row ends; never for validation."""
        return np.array([*self.cuts, np.inf])[parts]


@dataclass(frozen=True, slots=True)
class GroupTimeAssignment:
    """The rule that gives a whole group the part of its first row's time, and leaves out its rows after that part.

    Attributes:
        groups: keys of the groups, ascending, shape (groups,).
        firsts: the first time of each; NaN where it has none.
    """

    time: TimeAssignment
    groups: Hashes = field(repr=False)
    firsts: Times = field(repr=False)

    def part_of_groups(self, keys: Hashes) -> npt.NDArray[np.int8]:
        """Position in `PARTS` of each group, shape (rows,); one without any time trains."""
        if not len(self.groups):
            return np.zeros(len(keys), np.int8)
        places = np.minimum(np.searchsorted(self.groups, keys), len(self.groups) - 1)
        firsts = np.where(self.groups[places] == keys, self.firsts[places], np.nan)
        return self.time.window_of(firsts)

    def part_of_rows(self, keys: Hashes, times: Times) -> npt.NDArray[np.int8]:
        """Position in `PARTS` of each row, or why it is in none; a row without a time goes with its group."""
        parts = self.part_of_groups(keys)
        ends = self.time.ends_of(parts)
        parts[times >= ends - self.time.embargo] = IN_EMBARGO
        parts[times >= ends] = TOO_LATE
        return parts


@dataclass(frozen=True, slots=True)
class GroupTimes:
    """Groups with their first time and how many rows they have; each array of shape (groups,), by ascending key."""

    keys: Hashes
    firsts: Times
    rows: npt.NDArray[np.int64]

    @classmethod
    def of(cls, keys: Hashes, times: Times, rows: npt.NDArray[np.int64] | None = None) -> GroupTimes:
        """Of rows, or of groups that were found in several blocks.

        Args:
            keys: of the group of each row.
            times: of each row; NaN where missing.
            rows: how many each stands for; 1 where absent.
        """
        order = np.lexsort((times, keys))  # NaN comes last
        ordered = keys[order]
        begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
        counted = np.ones(len(keys), np.int64) if rows is None else rows
        summed = np.add.reduceat(counted[order], begins) if len(begins) else np.zeros(0, np.int64)
        return cls(ordered[begins], times[order][begins], summed)

    def assignment(self, parts: PartsConfig, cuts: tuple[float, float] | None, embargo: float) -> GroupTimeAssignment:
        """The rule for these groups: by these cuts, or by those nearest to the shares, by the groups' first times."""
        chosen = cut_times(np.repeat(self.firsts, self.rows), parts).cuts if cuts is None else cuts
        return GroupTimeAssignment(TimeAssignment(chosen, embargo), self.keys, self.firsts)


def cut_times(times: Times, parts: PartsConfig) -> TimeAssignment:
    """The cut points that come nearest to these shares of the rows; rows of one time stay together.

    With fewer than three different times all rows train.

    Args:
        times: of the rows with a target, shape (rows,); NaN where missing.
        parts: the shares.
    """
    known, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    if len(known) < _PARTS:
        return TimeAssignment((np.inf, np.inf))
    before = (np.cumsum(counts) - counts) / counts.sum()  # the share of the rows before each time
    first = 1 + int(np.abs(before[1:-1] - parts.training).argmin())
    second = first + 1 + int(np.abs(before[first + 1 :] - (1 - parts.validation)).argmin())
    return TimeAssignment((float(known[first]), float(known[second])))
