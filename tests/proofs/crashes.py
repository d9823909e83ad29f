"""Kills the driver of a sweep with -9 at random moments, goes on with it each time, and reads the journal.

    python tests/proofs/crashes.py [--kills 20] [--seed 0] [--trials 60] [--store folder|s3] [--victim driver|worker]

No finished trial may be run again, none may be lost, every rung is decided once, and the winner has to be the one of
a sweep that nobody disturbed (`search.deterministic`). Exits 1 where something of that does not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from builders import clean_table
from raysweep.bundle.locate import open_run
from raysweep.config import S3Config
from raysweep.storage.run_journal import read_run_journal
from s3_server import run_s3_server
from sweep_builders import quick_space, sweep_keys

ENDED = {0, 7}
LONGEST_SECONDS = 300
SLOT_ACTOR = "ray::SlotActor"


@dataclass(frozen=True)
class Place:
    """Where the sweeps run, and where they publish."""

    folder: Path
    to: str
    s3: S3Config

    def store(self, run: str):
        return open_run(f"{self.to.rstrip('/')}/{run}", self.s3)

    def start(self, run: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{run}.log").open("ab")
        command = [sys.executable, "-m", "raysweep", "run", "sweep.yaml", "--run", run]
        return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def finish(self, run: str) -> float:
        """Run it to its end; returns the seconds."""
        started = time.monotonic()
        code = self.start(run).wait(LONGEST_SECONDS)
        assert code in ENDED, f"{run} ended with {code}: {(self.folder / f'{run}.log').read_text()[-2000:]}"
        return time.monotonic() - started


def write_sweep(place: Place, trials: int) -> None:
    clean_table(6_000, 5).to_csv(place.folder / "table.csv", index=False)
    keys = sweep_keys(
        place.to,
        source=place.folder / "table.csv",
        search={
            "trials": trials,
            "deterministic": True,
            "scheduler": "asha",
            "space": quick_space(["xgboost", "random_forest"], rounds=300),
        },
        split={"folds": 1},
        export={"top": 1, "s3": place.s3.model_dump(mode="json")},
    )
    (place.folder / "sweep.yaml").write_text(yaml.safe_dump(keys))


def kill_driver(process: subprocess.Popen[bytes]) -> bool:
    process.kill()
    process.wait()
    return True


def kill_worker(process: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """Kill a process that runs trials; the sweep itself goes on."""
    slots = [one for one in psutil.Process(process.pid).children(recursive=True) if _is_slot(one)]
    if slots:
        rng.choice(slots).send_signal(signal.SIGKILL)
    return bool(slots)


def _is_slot(process: psutil.Process) -> bool:
    try:
        return SLOT_ACTOR in " ".join(process.cmdline())
    except psutil.Error:
        return False


def disturb(place: Place, run: str, options: argparse.Namespace, usual_seconds: float) -> int:
    """Kill so many times, then let it end; returns how many kills there were."""
    rng, kills = random.Random(options.seed), 0
    while kills < options.kills:
        process = place.start(run)
        deadline = time.monotonic() + rng.uniform(0.05, 0.55) * usual_seconds
        while process.poll() is None and kills < options.kills:
            if time.monotonic() < deadline:
                time.sleep(0.05)
            elif options.victim == "worker":
                kills += kill_worker(process, rng)
                deadline = time.monotonic() + rng.uniform(0.5, 2.0)
            else:
                kills += kill_driver(process)
        if process.poll() in ENDED:
            break
        process.wait(LONGEST_SECONDS)
    return kills


def problems_of(records: list[dict[str, object]], trials: int) -> list[str]:
    """What a journal may not tell of."""
    found, ended, reached = [], set(), Counter()
    for record in records:
        number = record.get("candidate")
        if record["event"] == "started" and number in ended:
            found.append(f"trial {number} was run again after it had ended")
        if record["event"] == "rung":
            reached[number, record["report"]["rung"]] += 1
            if number in ended:
                found.append(f"trial {number} reported after it had ended")
        if record["event"] == "ended":
            if number in ended:
                found.append(f"trial {number} ended twice")
            ended.add(number)
    found += [
        f"rung {rung} of trial {number} was decided {count} times"
        for (number, rung), count in reached.items()
        if count > 1
    ]
    if len(ended) != trials:
        found.append(f"{len(ended)} trials ended, not {trials}")
    return found


def trials_of(place: Place, run: str) -> list[tuple[object, ...]]:
    """What must not differ: candidates, rungs, scores and states."""
    local = place.folder / f"{run}.parquet"
    place.store(run).download("trials.parquet", local)
    columns = ["trial", "rung", "params_digest", "seed", "score", "state"]
    return [tuple(row.values()) for row in pq.read_table(local, columns=columns).to_pylist()]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--store", choices=["folder", "s3"], default="folder")
    parser.add_argument("--victim", choices=["driver", "worker"], default="driver")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raysweep-crashes-")))
        os.environ["RAYSWEEP_HOME"] = str(folder / "home")
        place = Place(folder, str(folder / "runs"), S3Config())
        if options.store == "s3":
            server = stack.enter_context(run_s3_server(folder / "s3"))
            os.environ |= {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
            server.client().create_bucket(Bucket="crashes")
            place = Place(folder, "s3://crashes/runs", S3Config(endpoint_url=server.endpoint_url))
        write_sweep(place, options.trials)
        seconds = place.finish("undisturbed")
        kills = disturb(place, "disturbed", options, seconds)
        place_is_done = "manifest.json" in {one.key for one in place.store("disturbed").list("manifest.json")}
        if not place_is_done:
            place.finish("disturbed")
        records = read_run_journal(place.store("disturbed"))
        problems = problems_of(records, options.trials)
        if trials_of(place, "undisturbed") != trials_of(place, "disturbed"):
            problems.append("candidates, rungs, scores or states differ from those of the undisturbed sweep")
        drivers = sum(record["event"] == "search" for record in records)
        again = sum(record["event"] == "started" and record["attempt"] > 1 for record in records)
        print(f"undisturbed {seconds:.0f} s; {options.victim} killed {kills} times, {drivers} drivers searched,")
        print(f"{again} trials in flight were begun again; problems: {problems or 'none'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
