"""What a search will take, by its first trials: seconds, memory, cost, and how many trials fit its limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raysweep.config import PriceConfig, SearchConfig
from raysweep.records.trial import Trial, TrialState

_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Rates:
    """What a search uses up.

    Attributes:
        slots: how many trials run at a time.
        per_second: the price of all slots; None where no price is known.
    """

    slots: int
    per_second: float | None

    @classmethod
    def of(cls, config: SearchConfig, slots: int, price: PriceConfig | None) -> Rates:
        """The rates of so many slots."""
        if price is None:
            return cls(slots, None)
        trial = config.trial
        return cls(slots, slots * (trial.cpus * price.cpu + trial.gpus * price.gpu) / 3600)


def plan_sentence(trials: Sequence[Trial], config: SearchConfig, rates: Rates) -> str | None:
    """What is to be expected, once the first trials have run to their end; None before.

    The first ones are the families' defaults with full effort; what a scheduler stops takes less.
    """
    whole = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not whole:
        return None
    seconds = sum(trial.slot_seconds for trial in whole) / len(whole)
    limit = config.stop.seconds
    rest = config.trials * seconds / rates.slots
    said = [f"a trial takes about {_duration(seconds)}", f"{config.trials:,} of them at most {_duration(rest)}"]
    if limit is not None and limit < rest:
        said[1] = f"{math.floor(limit * rates.slots / seconds):,} or more fit into {_duration(limit)}"
    most = max(trial.rungs[-1].memory_bytes for trial in whole)
    said.append(f"{most / _GIB:.1f} GiB of memory each at most so far")
    if rates.per_second is not None:
        said.append(f"about {min(rest, limit or rest) * rates.per_second:.2f} by cluster.price_per_hour")
    return f"plan: {', '.join(said)} ({len(whole)} tried)"


def _duration(seconds: float) -> str:
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.2g} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
