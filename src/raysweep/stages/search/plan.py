"""What a search will take, by its first trials: seconds, memory, cost, and how many trials fit its limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from raysweep.config import PriceConfig, SearchConfig
from raysweep.records.trial import Trial, TrialState
from raysweep.stages.search.earlier import Slots

_GIB: Final = 1024**3
_SOON_SECONDS: Final = 5.0


class Plan:
    """Tells what is to be expected: when a trial has run to its end, or before that, where it takes long, by its rungs.

    The first trials are the families' defaults, which have to be tried anyway: no time goes into probes that do not
    count. What a scheduler stops takes less than a whole trial.

    Args:
        config: the limits.
        slots: gives how many trials run at a time now.
        price: of cores and GPUs, where it is known.
        say: gets a sentence.
    """

    def __init__(
        self, config: SearchConfig, slots: Callable[[], Slots], price: PriceConfig | None, say: Callable[[str], None]
    ) -> None:
        self._config = config
        self._slots = slots
        self._price = price
        self._say = say
        self._is_estimated = False
        self._is_measured = False

    def tell(self, all_trials: Callable[[], Sequence[Trial]], gone_seconds: float) -> None:
        """Say what the trials so far tell, unless that was said before.

        Args:
            all_trials: gives them.
            gone_seconds: since the search began.
        """
        if self._is_measured:
            return
        trials = all_trials()
        whole = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        begun = [trial for trial in trials if trial.rungs]
        if whole:
            self._is_measured = self._is_estimated = True
            self._say(self.sentence(sum(trial.slot_seconds for trial in whole) / len(whole), whole))
        elif begun and gone_seconds > _SOON_SECONDS and not self._is_estimated:
            self._is_estimated = True
            shares = [trial.rungs[-1].seconds / trial.rungs[-1].effort for trial in begun]
            self._say(self.sentence(sum(shares) / len(shares), begun))

    def sentence(self, each: float, trials: Sequence[Trial]) -> str:
        """What is to be expected of the whole search, where these trials take so many seconds each at full effort."""
        count, at_a_time = self._config.trials, max(1, self._slots().count)
        needed, limit = count * each / at_a_time, self._seconds
        said = [f"a trial at full effort takes about {_duration(each)}", f"{count:,} of them {_duration(needed)}"]
        if limit < needed:
            fit = math.floor(limit * at_a_time / each)
            said[1] = f"{fit:,} or more of {count:,} fit into {_duration(limit)}"
        most = max(trial.rungs[-1].memory_bytes for trial in trials)
        said.append(f"{most / _GIB:.1f} GiB of memory each at most so far")
        if self._per_second is not None:
            said.append(f"about {min(needed, limit) * self._per_second:.2f} by cluster.price_per_hour")
        return f"plan: {', '.join(said)} ({len(trials)} tried)"

    @property
    def _per_second(self) -> float | None:
        """What the slots cost; None where that is not known."""
        return None if self._price is None else self._slots().cost_per_second(self._price)

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
