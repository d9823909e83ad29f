"""What a trial costs that does nothing: raysweep beside Ray Tune as it comes and with its actors used again.

    python tests/benchmarks/overhead.py [--trials 200,1000,5000] [--algorithm random] [--tune 100]

All in one run and one Ray, so that the ratios mean something on a noisy machine. For raysweep it shows the milliseconds
a trial over all trials, over the first and the last 500, what asking for candidates takes of that, the growth of the
driver's memory, and how many files were left behind.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import ray
from ray import tune

sys.path.insert(0, str(Path(__file__).parents[1]))

from noop_family import FAMILY, SPACE
from raysweep.config import SearchConfig, TaskKind
from raysweep.documents import plain_record
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask, Split
from raysweep.runtime.ray_session import ray_session
from raysweep.space import load_space
from raysweep.stages.search import proposals
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.storage.journal import Journal
from raysweep.training import families
from raysweep.training.trial_data import RowBlock, SearchRows

SLOTS = 2
SHOWN = 500


def empty_task() -> tuple[LearningTask, SearchRows]:
    """Two rows of one number, to be regressed."""
    block = RowBlock(pa.table({"x": [0.0, 1.0]}), np.array([0.0, 1.0]), None)
    column = Column("x", ColumnKind.NUMBER, "double")
    task = LearningTask(TaskKind.REGRESSION, "y", METRICS["rmse"], (column,))
    return task, SearchRows(block, block, np.zeros(0, np.int64), 1)


def with_raysweep(trials: int, algorithm: str, folder: Path) -> dict[str, float]:
    task, rows = empty_task()
    asking = [0.0]
    original = proposals.Proposer.propose

    def timed(self):
        started = time.perf_counter()
        try:
            return original(self)
        finally:
            asking[0] += time.perf_counter() - started

    proposals.Proposer.propose = timed
    ended: list[float] = []
    memory: list[int] = []
    process = psutil.Process()

    def tell(event: object) -> None:
        if type(event).__name__ == "TrialEnded":
            ended.append(time.perf_counter())
            if len(ended) % SHOWN == 0:
                memory.append(process.memory_info().rss)

    with Journal(folder / f"{trials}.jsonl") as journal:
        request = SearchRequest(
            task=task,
            split=Split("random", 0, (), {}, 1, 0, 0, search_data=ray.put(rows)),
            space=load_space(SPACE, base=Path()),
            tell=tell,
            record=lambda record: journal.append(plain_record(record)),
            interrupted=lambda: False,
        )
        config = SearchConfig(trials=trials, algorithm=algorithm, scheduler="none", concurrency=SLOTS)
        outcome = run_search(request, config)
    proposals.Proposer.propose = original
    assert sum(trial.score is not None for trial in outcome.trials) == trials
    steps = np.diff(ended)
    growth = (memory[-1] - memory[0]) / (SHOWN * (len(memory) - 1)) if len(memory) > 1 else float("nan")
    return {
        "ms a trial": 1000 * (ended[-1] - ended[0]) / (trials - 1),
        "first": 1000 * float(steps[:SHOWN].mean()),
        "last": 1000 * float(steps[-SHOWN:].mean()),
        "asking": 1000 * asking[0] / trials,
        "KiB a trial": growth / 1024,
        "files": sum(len(files) for _, _, files in os.walk(folder)),
    }


class NoOp(tune.Trainable):
    """As little as a trial of Tune's can be."""

    def step(self):
        return {"score": 1.0, "done": True}

    def reset_config(self, new_config):  # noqa: ARG002 - Tune's signature
        return True

    def save_checkpoint(self, checkpoint_dir):
        """Nothing to be saved; Tune asks when a trial ends."""

    def load_checkpoint(self, checkpoint):
        """Nothing to be loaded."""


def with_tune(trials: int, folder: Path, *, reuse: bool) -> float:
    """Milliseconds a trial, from the first to the last."""
    ended: list[float] = []

    class Watch(tune.Callback):
        def on_trial_complete(self, iteration, trials, trial, **info):  # noqa: ARG002 - Tune's signature
            ended.append(time.perf_counter())

    tune.Tuner(
        tune.with_resources(NoOp, {"cpu": 1}),
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=reuse, max_concurrent_trials=SLOTS),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0, callbacks=[Watch()]),
    ).fit()
    return 1000 * (ended[-1] - ended[0]) / (trials - 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", default="200,1000,5000")
    parser.add_argument("--algorithm", default="random")
    parser.add_argument("--tune", type=int, default=100, help="trials of Tune; 0: none")
    options = parser.parse_args()
    families.register(FAMILY)
    with tempfile.TemporaryDirectory() as place, ray_session(None):
        for trials in map(int, options.trials.split(",")):
            folder = Path(place) / str(trials)
            folder.mkdir()
            found = with_raysweep(trials, options.algorithm, folder)
            print(
                f"raysweep, {options.algorithm}, {trials} trials:", ", ".join(f"{k} {v:.2f}" for k, v in found.items())
            )
        if options.tune:
            reused = with_tune(max(300, options.tune), Path(place) / "reused", reuse=True)
            plain = with_tune(options.tune, Path(place) / "plain", reuse=False)
            ours = found["ms a trial"]
            print(f"Tune with actors used again {reused:.1f} ms a trial, {reused / ours:.0f} times raysweep's")
            print(f"Tune as it comes {plain:.0f} ms a trial, {plain / ours:.0f} times raysweep's")


if __name__ == "__main__":
    main()
