"""Where the core-seconds and GPU-seconds of a sweep have gone, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.config import PriceConfig
from raysweep.records.trial import Capacity, Period, Trial, over_time

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds of all cores, or of all GPUs, of the cluster, by what they were for: the others add up to `total`.

    Attributes:
        preparation: before the search: Ray starts, and the table is read, profiled, checked and split.
        trials: held by trials with a score.
        failed: held by trials without one.
        idle: held by no trial while the search ran: processes that start, wait for a candidate, or for the slowest of a
            batch, and cores that are too few for another trial.
        final_check: after the search, until the bundle is written.
    """

    total: float
    preparation: float
    trials: float
    failed: float
    idle: float
    final_check: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a sweep took of its cluster, with all drivers that it has had.

    Attributes:
        core_seconds, gpu_seconds: by what they were for.
        fitting: CPU seconds measured in the trials, in fit and predict; a part of `core_seconds.trials`.
        cost: by `cluster.price_per_hour`; None where that is not known.
        lost: core-seconds of what trials had done when they lost their process, and did again; a part of what trials
            held.
    """

    core_seconds: Seconds
    gpu_seconds: Seconds
    fitting: float
    cost: float | None = None
    lost: float = 0.0

    @classmethod
    def of(cls, periods: Sequence[Period], trials: Sequence[Trial], price: PriceConfig | None = None) -> Usage:
        """What was used.

        Args:
            periods: of each driver, on the cluster that it ran on.
            trials: all of the search; none where it did not come to that.
            price: of an hour of a core and of a GPU.
        """
        cpu_held = _held((bool(trial.rungs), trial.core_seconds) for trial in trials)
        gpu_held = _held((bool(trial.rungs), trial.gpu_seconds) for trial in trials)
        cores = _add_up(periods, lambda capacity: capacity.cores, cpu_held)
        gpus = _add_up(periods, lambda capacity: capacity.gpus, gpu_held)
        cost = None if price is None else (cores.total * price.cpu + gpus.total * price.gpu) / _HOUR
        fitting = sum(trial.rungs[-1].cpu_seconds for trial in trials if trial.rungs)
        return cls(cores, gpus, fitting, cost, sum(trial.lost_core_seconds for trial in trials))

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Usage:
        """From the document in a manifest."""
        cores, gpus = (Seconds(**document[name]) for name in ("core_seconds", "gpu_seconds"))
        return cls(cores, gpus, float(document["fitting"]), document["cost"], float(document.get("lost", 0.0)))


def _add_up(periods: Sequence[Period], units: Callable[[Capacity], float], held: tuple[float, float]) -> Seconds:
    """The seconds of what each period had, of which trials with and without a score have held so many."""
    trials, failed = held
    before = sum(one.before * units(one.capacity) for one in periods)
    after = sum(one.after * units(one.last) for one in periods)
    searching = sum(
        over_time(units(one.capacity), [(at, units(now)) for at, now in one.changes], one.searching) for one in periods
    )
    return Seconds(
        total=before + searching + after,
        preparation=before,
        trials=trials,
        failed=failed,
        idle=max(0.0, searching - trials - failed),
        final_check=after,
    )


def _held(seconds: Iterable[tuple[bool, float]]) -> tuple[float, float]:
    """The seconds of trials with a score, and of those without."""
    known = list(seconds)
    return sum(one for scored, one in known if scored), sum(one for scored, one in known if not scored)
