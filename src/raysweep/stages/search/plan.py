"""What a search will take, by its first trials: seconds, memory, cost, and how many trials fit its limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from raysweep.config import PriceConfig, SearchConfig
from raysweep.records.trial import Trial, TrialState
from raysweep.stages.search.earlier import Slots

_GIB: Final = 1024**3


class Plan:
    """Tells what is to be expected, once the first trials have run to their end.

    The first ones are the families' defaults with full effort, which have to be tried anyway: no time goes into probes
    that do not count. What a scheduler stops takes less.

    Args:
        config: the limits.
        slots: how many trials run at a time.
        price: of cores and GPUs, where it is known.
        say: gets the sentence.
    """

    def __init__(
        self, config: SearchConfig, slots: Slots, price: PriceConfig | None, say: Callable[[str], None]
    ) -> None:
        self._config = config
        self._slots = slots
        self._per_second = None if price is None else slots.cost_per_second(price)
        self._say = say
        self._is_told = False

    def tell_once(self, trials: Sequence[Trial]) -> None:
        """Say what these trials tell, unless it was said before, or none of them has run to its end."""
        if self._is_told:
            return
        sentence = self.sentence(trials)
        if sentence is not None:
            self._is_told = True
            self._say(sentence)

    def sentence(self, trials: Sequence[Trial]) -> str | None:
        """What is to be expected of the whole search; None before a trial has run to its end."""
        whole = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        if not whole:
            return None
        count = self._config.trials
        each = sum(trial.slot_seconds for trial in whole) / len(whole)
        needed, limit = count * each / self._slots.count, self._seconds
        said = [f"a trial takes about {_duration(each)}", f"{count:,} of them at most {_duration(needed)}"]
        if limit < needed:
            fit = math.floor(limit * self._slots.count / each)
            said[1] = f"{fit:,} or more of {count:,} fit into {_duration(limit)}"
        most = max(trial.rungs[-1].memory_bytes for trial in whole)
        said.append(f"{most / _GIB:.1f} GiB of memory each at most so far")
        if self._per_second is not None:
            said.append(f"about {min(needed, limit) * self._per_second:.2f} by cluster.price_per_hour")
        return f"plan: {', '.join(said)} ({len(whole)} tried)"

    @property
    def _seconds(self) -> float:
        """How long the search may go on, by its limits on time and on cost."""
        stop = self._config.stop
        affordable = stop.cost / self._per_second if stop.cost is not None and self._per_second else math.inf
        return min(affordable, math.inf if stop.seconds is None else stop.seconds)


def _duration(seconds: float) -> str:
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.2g} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
