"""What a trial costs beyond its fit: the same candidates through the search, and in a plain loop in one process.

    python tests/benchmarks/search_cost.py [TRIALS]

Prints both in one run, so that the ratio means something on a noisy machine.
"""

import sys
import time

import pandas as pd
import ray
from sklearn.datasets import make_classification

import raysweep
from raysweep.events import SearchPlanned, StageFinished
from raysweep.runtime.ray_session import ray_session
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.trial_data import PreparedRows

SPACE = {
    "version": 1,
    "families": {"logistic_regression": {"params": {"C": {"float": [1e-4, 100.0], "log": True}}}},
}


def table(rows=8_000, columns=10):
    values, y = make_classification(rows, columns, n_informative=5, flip_y=0.2, random_state=0)
    return pd.DataFrame(values, columns=[f"x{number}" for number in range(columns)]).assign(y=y)


def main(trials):
    with ray_session(None):
        result = raysweep.run_sweep(
            data=table(),
            target="y",
            space=SPACE,
            algorithm="random",
            scheduler="none",
            trials=trials,
            listener=lambda event: print(event) if isinstance(event, SearchPlanned | StageFinished) else None,
        )
        prepared = PreparedRows(result.task, ray.get(result.split.search_data), 0)
        rules = TrialRules((1.0,), threads=1)
        list(evaluate(result.search.trials[0].candidate, prepared, rules))
        started = time.perf_counter()
        for trial in result.search.trials:
            list(evaluate(trial.candidate, prepared, rules))
        loop = time.perf_counter() - started
    search = result.search
    began = min(trial.started for trial in search.trials)
    ended = max(trial.started + trial.seconds for trial in search.trials)
    in_trials = sum(trial.rungs[-1].cpu_seconds for trial in search.trials)
    print(f"{len(search.trials)} trials on {search.slots} slots")
    print(f"search {search.seconds:.1f} s; {ended - began:.1f} s from the first trial's start to the last one's end")
    print(f"plain loop in one process {loop:.1f} s: {1000 * loop / len(search.trials):.1f} ms a fit")
    cost = 1000 * ((ended - began) - loop / search.slots) / len(search.trials)
    print(f"beyond the fits: {cost:.1f} ms a trial")
    print(f"CPU seconds in trials over cores x wall: {in_trials / (search.slots * (ended - began)):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
