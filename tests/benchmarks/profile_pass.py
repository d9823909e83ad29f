"""The pass over a big table against pandas doing the same: time and peak memory, as ratios.

    python tests/benchmarks/profile_pass.py [--rows 10000000] [--seed 0] [--files 6]

Both read the same parquet files in a process of their own. Memory is the highest sum of the proportional set sizes of
the process and all its children (for Ray: raylet, GCS, workers; pages of the object store count once). The pass runs in
a session that is warm: a small table was profiled before. The whole gate is timed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK_ROWS = 250_000
WARM_ROWS = 400_000  # enough for two tasks, so that two workers have started
SAMPLE_SECONDS = 0.15
WORDS = np.array([f"word{number:05}" for number in range(40_000)])


def chunk_of(rng: np.random.Generator, first: int, rows: int) -> pa.Table:
    """22 columns as tables have them: keys, counts, measurements, money, flags, categories, texts, times."""
    amount = rng.normal(100, 20, rows)
    age = rng.integers(18, 90, rows)
    member = rng.random(rows) < 0.3
    plan = rng.choice(["basic", "plus", "pro"], rows)
    start = np.datetime64("2020-01-01", "us")
    columns = {
        "id": np.arange(first, first + rows),
        "code": np.char.add("c", rng.integers(0, 10**12, rows).astype(str)),
        "age": age,
        "visits": rng.poisson(4, rows),
        "postcode": rng.integers(10_000, 99_999, rows),
        "amount": amount,
        "balance": np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(3, 1, rows)),
        "income": rng.pareto(1.5, rows) * 1_000,
        "price": rng.integers(1, 100_000, rows) / 100,
        "ratio": rng.random(rows),
        "temperature": np.round(rng.normal(15, 8, rows), 1),
        "score": np.where(rng.random(rows) < 0.4, np.nan, rng.normal(0, 1, rows)),
        "member": member,
        "active": pd.array(np.where(rng.random(rows) < 0.05, None, rng.random(rows) < 0.5), dtype="boolean"),
        "plan": plan,
        "city": rng.choice(WORDS[:300], rows),
        "product": rng.choice(WORDS, rows),
        "channel": pd.Series(rng.choice(["web", "shop", "phone"], rows)).mask(rng.random(rows) < 0.2),
        "comment": np.char.add(rng.choice(WORDS, rows), np.char.add(" ", rng.choice(WORDS, rows))),
        "joined": start + rng.integers(0, 1_500, rows).astype("timedelta64[D]").astype("timedelta64[us]"),
        "seen": start + rng.integers(0, 10**14, rows).astype("timedelta64[us]"),
        "target": ((amount - 100) / 20 + (age - 50) / 20 + member + rng.normal(0, 1, rows) > 0.5).astype(int),
    }
    return pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)


def write_files(folder: Path, rows: int, seed: int, files: int) -> None:
    """The table in several files of several row groups, some rows repeated, chunk by chunk."""
    writers: list[pq.ParquetWriter] = []
    for number, first in enumerate(range(0, rows, CHUNK_ROWS)):
        table = chunk_of(np.random.default_rng([seed, number]), first, min(CHUNK_ROWS, rows - first))
        repeated = table.num_rows // 500
        table = pa.concat_tables([table.slice(0, table.num_rows - repeated), table.slice(0, repeated)])
        if len(writers) < files:
            writers.append(pq.ParquetWriter(folder / f"{len(writers)}.parquet", table.schema))
        writers[number % files].write_table(table, row_group_size=CHUNK_ROWS)
    for writer in writers:
        writer.close()


def with_pandas(folder: Path) -> dict[str, float]:
    """What a user would run."""
    started = time.perf_counter()
    with PeakMemory() as memory:
        frame = pd.read_parquet(folder)
        frame.describe(include="all")
        duplicates = int(frame.duplicated().sum())
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "mib": memory.peak_mib, "rows": len(frame), "duplicates": duplicates}


def with_the_pass(folder: Path, small: Path) -> dict[str, float]:
    """Read and profile in a warm session, then the whole gate over the same files."""
    from raysweep.config import load_config
    from raysweep.examine import examine
    from raysweep.runtime.ray_session import ray_session
    from raysweep.stages.profile.ray_profile import profile_table
    from raysweep.stages.profile.request import ProfileRequest
    from raysweep.stages.source.ray_source import open_table

    def config_of(source: Path):
        return load_config({"version": 1, "data": {"source": str(source), "target": "target"}})

    def profiled(source: Path):
        table = open_table(config_of(source))
        features = tuple(name for name in table.names if name != "target")
        return profile_table(table, ProfileRequest("target", features, features))

    with ray_session(None):
        profiled(small)
        with PeakMemory() as memory:
            idle = memory.now_mib()
            started = time.perf_counter()
            profile = profiled(folder)
            seconds = time.perf_counter() - started
        started = time.perf_counter()
        examine(config_of(folder), None, lambda _: None, None)
        gate = time.perf_counter() - started
    return {
        "seconds": seconds,
        "mib": memory.peak_mib,
        "idle_mib": idle,
        "gate_seconds": gate,
        "rows": profile.rows,
        "duplicates": profile.duplicate_rows,
    }


class PeakMemory:
    """The highest memory of this process and its children while the block runs."""

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def now_mib(self) -> float:
        return sum(_pss_kib(pid) for pid in _family(os.getpid())) / 1024

    def _watch(self) -> None:
        while not self._done.is_set():
            self.peak_mib = max(self.peak_mib, self.now_mib())
            self._done.wait(SAMPLE_SECONDS)


def _family(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting += parents.get(current, [])
    return found


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def measured(*arguments: str) -> dict[str, float]:
    """One side in a fresh process."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(rows: int, seed: int, files: int) -> None:
    with tempfile.TemporaryDirectory(prefix="profile-pass-") as name:
        sizes = {"small": WARM_ROWS, "tenth": rows // 10, "whole": rows}
        folders = {size: Path(name) / size for size in sizes}
        for size, folder in folders.items():
            folder.mkdir()
            write_files(folder, sizes[size], seed, files)
        tenth = measured("--pass", str(folders["tenth"]), str(folders["small"]))
        ours = measured("--pass", str(folders["whole"]), str(folders["small"]))
        theirs = measured("--pandas", str(folders["whole"]))
    assert (ours["rows"], ours["duplicates"]) == (theirs["rows"], theirs["duplicates"])
    for label, found in ((f"pandas, {rows:,} rows", theirs), ("the pass", ours), ("the pass, a tenth", tenth)):
        print(f"{label:28}", "  ".join(f"{key} {value:,.1f}" for key, value in found.items()))
    print(f"time, pass : pandas      {ours['seconds'] / theirs['seconds']:.2f}  (at most 1)")
    print(f"memory, pass : pandas    {ours['mib'] / theirs['mib']:.2f}  (at most 0.33)")
    print(f"time, a tenth : whole    {tenth['seconds'] / ours['seconds']:.2f}  (at most 0.17)")
    print(f"time, whole gate : pass  {ours['gate_seconds'] / ours['seconds']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--pandas", type=Path)
    parser.add_argument("--pass", type=Path, nargs=2, dest="the_pass")
    arguments = parser.parse_args()
    if arguments.pandas:
        print(json.dumps(with_pandas(arguments.pandas)))
    elif arguments.the_pass:
        print(json.dumps(with_the_pass(*arguments.the_pass)))
    else:
        compare(arguments.rows, arguments.seed, arguments.files)


if __name__ == "__main__":
    main()
