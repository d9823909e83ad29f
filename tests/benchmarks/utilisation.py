"""How much of the cores a search spends in fits: sweeps of 0.3-second and of 3-second fits.

    python tests/benchmarks/utilisation.py

CPU seconds measured in the trials over cores x wall, between the first report and the last, on two slots; with ASHA,
whose rungs take a word between slot and driver each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import ray

sys.path.insert(0, str(Path(__file__).parents[1]))

from overhead import SLOTS, empty_task

from noop_family import FAMILY
from raysweep.config import SearchConfig
from raysweep.events import RungReached
from raysweep.records.table import Split
from raysweep.runtime.ray_session import ray_session
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.training import families


def share_in_fits(seconds: float, trials: int, scheduler: str) -> float:
    task, rows = empty_task()
    family = {"params": {"x": {"float": [0.0, 1.0]}}, "fixed": {"seconds": seconds}}
    reported: list[float] = []

    def tell(event: object) -> None:
        if isinstance(event, RungReached):
            reported.append(time.perf_counter())

    request = SearchRequest(
        task=task,
        split=Split("random", 0, (), {}, 1, 0, 0, search_data=ray.put(rows)),
        space=load_space({"version": 1, "families": {"noop": family}}, base=Path()),
        tell=tell,
        record=lambda _: None,
        interrupted=lambda: False,
    )
    outcome = run_search(request, SearchConfig(trials=trials, scheduler=scheduler, concurrency=SLOTS))
    first = outcome.trials[0].rungs[0].cpu_seconds  # was over when the first report came
    spent = sum(trial.rungs[-1].cpu_seconds for trial in outcome.trials) - first
    return spent / (SLOTS * (reported[-1] - reported[0]))


def main() -> None:
    families.register(FAMILY)
    with ray_session(None):
        for seconds, trials in ((0.3, 150), (3.0, 24)):
            for scheduler in ("none", "asha"):
                share = share_in_fits(seconds, trials, scheduler)
                print(
                    f"{trials} trials of {seconds} s, {scheduler}: {share:.1%} of the core-seconds in fit and predict"
                )


if __name__ == "__main__":
    main()
