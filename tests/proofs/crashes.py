"""Kills the driver of a sweep with -9 at random moments, goes on with it each time, and reads what is left.

    python tests/proofs/crashes.py [--kills 20] [--seed 0] [--trials 60] [--store folder|s3] [--victim driver|worker]

What a driver has told as ended (`--events jsonl`) is not run again, is not told twice, and stands in the table of
trials as it was told; on S3 too, since the next driver works on the same machine. Every rung is decided once, and the
winner has to be the one of a sweep that nobody disturbed (`search.deterministic`). A sweep that ends before all kills
were made is followed by another one. Exits 1 where something of that does not hold, or a driver ends otherwise than
well or killed.
"""

from __future__ import annotations

import argparse
import json
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
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from builders import clean_table
from raysweep.bundle.locate import open_run
from raysweep.config import S3Config
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.storage.run_journal import read_run_journal
from s3_server import run_s3_server
from sweep_builders import quick_space, sweep_keys

ENDED = {0, 7}
LONGEST_SECONDS = 300
SLOT_ACTOR = "ray::SlotActor"
SAME_MOMENT_SECONDS = 1e-3
SHARE_IN_SEARCH = 0.7
MOST_RUNS = 40


class WrongEnd(Exception):
    """A driver ended as none may, or no kill was possible."""


@dataclass(frozen=True)
class Told:
    """A trial as it was told, or published."""

    state: str
    score: float | None
    started: float
    attempts: int

    def is_same(self, other: Told) -> bool:
        """Whether it is the same trial, not run again."""
        seconds = abs(self.started - other.started)
        same = (self.state, self.score, self.attempts) == (other.state, other.score, other.attempts)
        return same and seconds < SAME_MOMENT_SECONDS


@dataclass(frozen=True)
class Driver:
    """A process that runs a sweep, and the file of its events."""

    process: subprocess.Popen[bytes]
    events: Path

    def end(self, *, killed: bool) -> int:
        """Wait for its end; its exit code.

        Raises:
            WrongEnd: it has not ended well, nor by the kill.
        """
        code = self.process.wait(LONGEST_SECONDS)
        if code in ENDED or (killed and code == -signal.SIGKILL):
            return code
        raise WrongEnd(f"{self.events.name} ended with {code}: {self.events.read_text()[-3000:]}")


def read_events(events: Path, kind: str) -> list[dict[str, Any]]:
    """What a driver has told of that kind; a line that its kill has torn is none."""
    lines = [line for line in events.read_text().split("\n")[:-1] if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def search_seconds(events: Path) -> float:
    return next(one["seconds"] for one in read_events(events, "StageFinished") if one["stage"] == "search")


def told_by(events: Path) -> list[tuple[int, Told]]:
    """The trials that a driver has told as ended."""
    trials = [event["trial"] for event in read_events(events, "TrialEnded")]
    return [(trial["candidate"]["number"], _as_told(trial)) for trial in trials]


def _as_told(trial: dict[str, Any]) -> Told:
    score = trial["rungs"][-1]["score"] if trial["rungs"] else None
    return Told(trial["state"], score, trial["started"], trial["attempts"])


@dataclass(frozen=True)
class Place:
    """Where the sweeps run, and where they publish."""

    folder: Path
    to: str
    s3: S3Config

    def store(self, run: str):
        return open_run(f"{self.to.rstrip('/')}/{run}", self.s3)

    def start(self, run: str) -> Driver:
        number = len(self.drivers_of(run))
        command = [sys.executable, "-m", "raysweep", "run", "sweep.yaml", "--run", run, "--events", "jsonl"]
        events = self.folder / f"{run}.{number:03d}.jsonl"
        with events.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file
            )
        return Driver(process, events)

    def drivers_of(self, run: str) -> list[Path]:
        """The events of each driver of a run, in order."""
        return sorted(self.folder.glob(f"{run}.*.jsonl"))


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


@dataclass(frozen=True)
class Usual:
    """How long a sweep takes that nobody disturbs, and its search."""

    whole_seconds: float
    search_seconds: float


class Moment:
    """When to strike: most often while the search runs, which is the shorter part of a small sweep."""

    def __init__(self, driver: Driver, usual: Usual, rng: random.Random) -> None:
        self._events = driver.events
        is_for_search = rng.random() < SHARE_IN_SEARCH
        self._since = None if is_for_search else time.monotonic()
        seconds = rng.uniform(0.0, 0.8) * usual.search_seconds
        self._wait = seconds if is_for_search else rng.uniform(0.05, 0.95) * usual.whole_seconds

    def has_come(self) -> bool:
        """Whether it is now or was before."""
        if self._since is None and b'"SearchPlanned"' in self._events.read_bytes():
            self._since = time.monotonic()
        return self._since is not None and time.monotonic() >= self._since + self._wait


def disturb(place: Place, run: str, options: argparse.Namespace, usual: Usual, rng: random.Random) -> int:
    """Kill at most `options.kills` times, and go on until it has ended; returns how many kills there were."""
    kills = 0
    while True:
        driver = place.start(run)
        killed, moment = False, Moment(driver, usual, rng)
        while not killed and driver.process.poll() is None and kills < options.kills:
            if not moment.has_come():
                time.sleep(0.02)
            elif options.victim == "worker":
                kills += kill_worker(driver.process, rng)
                moment = Moment(driver, usual, rng)
            else:
                driver.process.kill()
                killed = True
        ended = driver.end(killed=killed) in ENDED
        kills += killed
        if ended or place.store(run).exists(MANIFEST_FILE):  # killed when it had published, before it could say so
            return kills


def told_of(place: Place, run: str) -> tuple[dict[int, Told], list[str]]:
    """What all drivers of a run have told as ended, and which trials more than once."""
    found: dict[int, Told] = {}
    problems = []
    for events in place.drivers_of(run):
        for number, told in told_by(events):
            if number in found:
                problems.append(f"trial {number} was told as ended again by {events.name}")
            found[number] = told
    return found, problems


def published(place: Place, run: str) -> dict[int, Told]:
    """The trials as they stand in the bundle."""
    columns = ["trial", "state", "score", "started", "attempt"]
    rows = pq.read_table(table_of(place, run), columns=columns).to_pylist()
    return {row["trial"]: Told(row["state"], row["score"], row["started"].timestamp(), row["attempt"]) for row in rows}


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


def table_of(place: Place, run: str) -> Path:
    local = place.folder / f"{run}.parquet"
    if not local.exists():
        place.store(run).download("trials.parquet", local)
    return local


def trials_of(place: Place, run: str) -> list[tuple[object, ...]]:
    """What must not differ: candidates, rungs, scores and states."""
    columns = ["trial", "rung", "params_digest", "seed", "score", "state"]
    return [tuple(row.values()) for row in pq.read_table(table_of(place, run), columns=columns).to_pylist()]


def check(place: Place, run: str, trials: int) -> tuple[list[str], str]:
    """What is wrong with a run that was disturbed, and what became of it in words."""
    records = read_run_journal(place.store(run))
    told, problems = told_of(place, run)
    final = published(place, run)
    problems += problems_of(records, trials)
    for number, one in told.items():
        if number not in final or not one.is_same(final[number]):
            problems.append(f"trial {number} was told as {one}, but published as {final.get(number)}")
    if trials_of(place, "undisturbed") != trials_of(place, run):
        problems.append("candidates, rungs, scores or states differ from those of the undisturbed sweep")
    drivers = sum(record["event"] == "search" for record in records)
    again = sum(record["event"] == "started" and record["attempt"] > 1 for record in records)
    said = f"{drivers} drivers searched and told of {len(told)} trials; {again} in flight were begun again"
    return [f"{run}: {problem}" for problem in problems], said


def prove(place: Place, options: argparse.Namespace) -> list[str]:
    """Run the sweep in peace, then disturb it until all kills were made."""
    started = time.monotonic()
    driver = place.start("undisturbed")
    driver.end(killed=False)
    usual = Usual(time.monotonic() - started, search_seconds(driver.events))
    print(f"undisturbed {usual.whole_seconds:.0f} s, the search {usual.search_seconds:.0f} s of it", flush=True)
    rng, problems, number = random.Random(options.seed), [], 0
    while options.kills:
        if number == MOST_RUNS:
            raise WrongEnd(f"{options.kills} kills are left after {number} runs")
        run = f"disturbed-{number}"
        kills = disturb(place, run, options, usual, rng)
        options.kills -= kills
        found, said = check(place, run, options.trials)
        problems += found
        print(f"{run}: {options.victim} killed {kills} times; {said}", flush=True)
        number += 1
    return problems


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
        problems = prove(place, options)
    print(f"problems: {problems or 'none'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
