"""Where the core-seconds of a sweep have gone, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.config import PriceConfig
from raysweep.records.trial import SearchOutcome

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the cluster has while a sweep runs on it.

    Attributes:
        cores, gpus: of all nodes.
        price: of an hour of one of each; None where it is not known.
    """

    cores: float
    gpus: float = 0.0
    price: PriceConfig | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Core-seconds of a whole cluster, by what they were for; but for `fitting` they add up to `core_seconds`.

    Attributes:
        core_seconds: of all cores, from the moment that Ray runs until the bundle is written.
        preparation: before the search: reading, profile, data checks, split.
        trials: held by trials with a score.
        failed: held by trials without one.
        idle: held by no trial while the search ran: processes that start, wait for a candidate, or for the slowest of a
            batch, and cores that are too few for another trial.
        final_check: after the search.
        fitting: CPU seconds measured in the trials, in fit and predict; a part of `trials`.
        gpu_seconds: of all GPUs.
        cost: by `cluster.price_per_hour`; None where that is not known.
    """

    core_seconds: float
    preparation: float
    trials: float
    failed: float
    idle: float
    final_check: float
    fitting: float
    gpu_seconds: float = 0.0
    cost: float | None = None

    @classmethod
    def of(cls, capacity: Capacity, before: float, search: SearchOutcome | None, after: float) -> Usage:
        """What was used.

        Args:
            capacity: of the cluster.
            before: wall seconds until the search.
            search: what came of it, with what earlier drivers spent on it; None where it did not come to that.
            after: wall seconds since the search.
        """
        seconds = before + after + (search.seconds if search is not None else 0.0)
        trials = failed = idle = fitting = 0.0
        if search is not None:
            trials = search.cpus * sum(trial.slot_seconds for trial in search.trials if trial.rungs)
            failed = search.cpus * sum(trial.slot_seconds for trial in search.trials if not trial.rungs)
            idle = max(0.0, search.seconds * capacity.cores - trials - failed)
            fitting = sum(trial.rungs[-1].cpu_seconds for trial in search.trials if trial.rungs)
        price = capacity.price
        hourly = None if price is None else capacity.cores * price.cpu + capacity.gpus * price.gpu
        return cls(
            core_seconds=seconds * capacity.cores,
            preparation=before * capacity.cores,
            trials=trials,
            failed=failed,
            idle=idle,
            final_check=after * capacity.cores,
            fitting=fitting,
            gpu_seconds=seconds * capacity.gpus,
            cost=None if hourly is None else hourly * seconds / _HOUR,
        )
