"""By what the rows of a table are dealt out: everything that has to be known to deal them out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from raysweep.split_rules import BY_TIME, Moment, PartsConfig

# Why rows are in no part.
WITHOUT_TARGET: Final = "without a target"
EMBARGOED: Final = "embargo"
AFTER_ITS_PART: Final = "after the end of their group's part"


@dataclass(frozen=True, slots=True)
class SplitRule:
    """A split's kind with all that it depends on.

    Attributes:
        key: the columns whose values say which rows stay together.
        parts: shares of the rows.
        group, time: `data.group` and `data.time`, whatever the kind.
        column: kind column: the column that says the part.
        embargo: kinds by time: how long before a cut rows are left out.
        cuts: kinds by time: when testing and validation begin; empty: chosen by the shares.
    """

    kind: str
    seed: int
    key: tuple[str, ...]
    parts: PartsConfig
    group: str | None = None
    time: str | None = None
    column: str | None = None
    embargo: Moment | None = None
    cuts: tuple[Moment, ...] = ()

    @property
    def is_by_time(self) -> bool:
        """Whether earlier rows train and later ones validate."""
        return self.kind in BY_TIME
