"""How a search speeds up with slots, what a trial costs the driver, and whether that cost grows with the trials.

    python tests/benchmarks/speed_up.py [--slots 2,4,8,16,32] [--rounds 4] [--flat 10000] [--tpe 3000]

Slots are logical: at most four raylets on this machine have so many CPUs, and trials sleep. What is measured is how
much of the slots' time was slept through, from the moment at which all of them run a trial, which is after the start of
their processes, to the start of the last trial. Linear is all of it.

    trials of 5 s      95 % of linear with any number of slots
    trials of 0.5 s    80 % up to 16 slots; beyond, 90 % of what the measured driver cost a trial allows
    driver cost        the last thousand trials of 10,000 cost at most 1.5 times what the first thousand did

Exits 1 where a bound is not met.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
import ray
from overhead import empty_task
from ray.cluster_utils import Cluster

from noop_family import FAMILY
from raysweep.config import SearchConfig
from raysweep.documents import plain_record
from raysweep.events import TrialEnded, TrialStarted
from raysweep.records.table import Split
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.storage.journal import Journal
from raysweep.training import families

RAYLETS = 4
STORE_BYTES = 100_000_000
LONG, SHORT = 5.0, 0.5
LONG_SHARE, SHORT_SHARE, BEYOND_SHARE, FLAT = 0.95, 0.8, 0.9, 1.5
BEYOND_SLOTS = 16
WINDOW = 1_000
COST_TRIALS = 400


@dataclass(frozen=True)
class Measured:
    """A search: when trials began and ended, by `time.perf_counter`, in the order of what happened."""

    began: dict[int, float]
    ended: dict[int, float]

    def slept(self, slots: int, seconds: float) -> tuple[int, float, float]:
        """While all slots had work: how many trials began, how long that was, and the share slept through."""
        moments = sorted([(at, 1) for at in self.began.values()] + [(at, -1) for at in self.ended.values()])
        running = np.cumsum([step for _, step in moments])
        first, last = moments[int(np.argmax(running == slots))][0], max(self.began.values())
        work = 0.0
        for number, ended in self.ended.items():
            began = self.began[number]
            work += seconds * max(0.0, min(ended, last) - max(began, first)) / (ended - began)
        count = sum(first < began <= last for began in self.began.values())
        return count, last - first, work / (slots * (last - first))

    def gap(self) -> float:
        """Median seconds from one trial's end to the next one's, of trials that take no time."""
        return float(np.median(np.diff(sorted(self.ended.values()))))

    def costs(self, window: int) -> tuple[float, float]:
        """Mean seconds a trial over the first and the last `window` trials, the very first left out."""
        gaps = np.diff(sorted(self.ended.values()))[1:]
        return float(gaps[:window].mean()), float(gaps[-window:].mean())


def search(folder: Path, slots: int, trials: int, sleep: float, algorithm: str = "random") -> Measured:
    task, rows = empty_task()
    family = {"params": {"x": {"float": [0.0, 1.0]}}, "fixed": {"sleep": sleep}}
    began: dict[int, float] = {}
    ended: dict[int, float] = {}

    def tell(event: object) -> None:
        if isinstance(event, TrialStarted):
            began[event.trial.candidate.number] = time.perf_counter()
        elif isinstance(event, TrialEnded):
            ended[event.trial.candidate.number] = time.perf_counter()

    with Journal(folder / f"{slots}-{trials}-{sleep}-{algorithm}.jsonl") as journal:
        request = SearchRequest(
            task=task,
            split=Split("random", 0, (), {}, 1, 0, 0, search_data=ray.put(rows)),
            space=load_space({"version": 1, "families": {"noop": family}}, base=Path()),
            tell=tell,
            record=lambda record: journal.append(plain_record(record)),
            interrupted=lambda: False,
        )
        config = SearchConfig(trials=trials, algorithm=algorithm, scheduler="none", concurrency=slots)
        outcome = run_search(request, config)
    assert sum(trial.score is not None for trial in outcome.trials) == trials
    return Measured(began, ended)


def speed_up(folder: Path, slots: int, rounds: int, cost: float) -> list[str]:
    """Bounds that are not met."""
    problems = []
    for seconds in (LONG, SHORT):
        each = rounds if seconds == LONG else rounds * 5
        measured = search(folder, slots, slots * (each + 1), seconds)
        count, took, slept = measured.slept(slots, seconds)
        allowed, share = 1.0, LONG_SHARE if seconds == LONG else SHORT_SHARE
        if seconds == SHORT and slots > BEYOND_SLOTS:
            allowed, share = min(1.0, seconds / slots / cost), BEYOND_SHARE
        reached = slept / allowed
        verdict = "" if reached >= share else f"  short of {share:.0%}"
        print(
            f"{slots} slots, {count} trials of {seconds} s in {took:.2f} s: {slept:.1%} of linear, "
            f"{reached:.1%} of what is allowed{verdict}",
            flush=True,
        )
        if verdict:
            problems.append(f"{slots} slots, trials of {seconds} s: {reached:.1%}")
    return problems


def flatness(folder: Path, trials: int, algorithm: str) -> list[str]:
    window = min(WINDOW, trials // 3)
    first, last = search(folder, 2, trials, 0.0, algorithm).costs(window)
    print(
        f"{trials} trials, {algorithm}: {1000 * first:.2f} ms each of the first {window}, {1000 * last:.2f} the last",
        flush=True,
    )
    return [f"{algorithm}: the cost of a trial grew {last / first:.2f} times"] if last > FLAT * first else []


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slots", default="2,4,8,16,32")
    parser.add_argument("--rounds", type=int, default=4, help="trials of 5 s a slot; five times as many of 0.5 s")
    parser.add_argument("--flat", type=int, default=10_000, help="random trials for the driver's cost; 0: none")
    parser.add_argument("--tpe", type=int, default=3_000, help="the same with tpe; 0: none")
    options = parser.parse_args()
    families.register(FAMILY)
    counts = [int(one) for one in options.slots.split(",") if one]
    problems: list[str] = []
    each = -(-max([2, *counts]) // RAYLETS)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": each, "object_store_memory": STORE_BYTES})
    for _ in range(RAYLETS - 1):
        cluster.add_node(num_cpus=each, object_store_memory=STORE_BYTES)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        with TemporaryDirectory() as place:
            folder = Path(place)
            cost = search(folder, 4, COST_TRIALS, 0.0).gap()
            print(f"a trial costs the driver {1000 * cost:.2f} ms (4 slots, trials that do nothing)", flush=True)
            for slots in counts:
                problems += speed_up(folder, slots, options.rounds, cost)
            for trials, algorithm in ((options.flat, "random"), (options.tpe, "tpe")):
                problems += flatness(folder, trials, algorithm) if trials else []
    finally:
        ray.shutdown()
        cluster.shutdown()
    print(f"problems: {problems or 'none'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
