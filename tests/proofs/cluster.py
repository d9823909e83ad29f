"""The flights on a cluster of several machines, of which one thing after the other breaks: nothing comes out otherwise.

    python tests/proofs/cluster.py [--every 4] [--trials 12] [--rounds 200] [--only driver --only head ...]
    python tests/proofs/cluster.py --every 2 --trials 8 --rounds 800 --at kept

A sweep (`search.deterministic`) is submitted once for each fault, which comes when the first trials have ended: a
worker's raylet is killed, a node added, the driver killed, the head's machine killed and put up again, a cable cut and
joined, and a raylet and the driver killed together. Each has to end as the one that nobody disturbs, after at most one
further submission under the same run id, and no more work may be lost than one trial a slot. With `--at kept` the fault
comes when the state of a trial on a worker has been kept in the store, and hits that worker: a trial has to go on from
there, and no rung up to that may be reached a second time. Exits 1 where something of that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from flights_sweep import FlightsSweep, put_flights
from node_cluster import Node, NodeCluster, node_cluster, wait_until
from raysweep.stages.search.ray_search import KEEP_AFTER_SECONDS
from s3_server import run_s3_server

ENDED = {0, 7}
EARLY = 2  # so many trials have ended
CUT_SECONDS = 75  # Ray takes a node for dead after about a minute
LONGEST_SECONDS = 900
TOLD = ("best", "split", "verdict", "validation", "search")


Fault = Callable[[NodeCluster, Node], None]  # which gets the worker to lose


@dataclass
class Course:
    """How a disturbed sweep went.

    Attributes:
        submissions: how many it took.
        result: as `--json` told it at the end.
        seconds: from the first submission to the end.
    """

    submissions: int
    result: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Sweeps:
    """The sweep, submitted again and again to one cluster."""

    flights: FlightsSweep
    cluster: NodeCluster
    folder: Path
    at: str

    def submit(self, run: str) -> subprocess.Popen[str]:
        words = ["submit", self.flights.file, "--address", self.cluster.dashboard(), "--run", run, "--json"]
        said = (self.folder / f"{run}-{time.time():.0f}.txt").open("w")
        with said:
            return subprocess.Popen(
                [sys.executable, "-m", "raysweep", *map(str, words)],
                env={**os.environ, **self.cluster.client_environment()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def run(self, run: str, disturb: Fault | None) -> Course:
        """Submit it, disturb it in the middle, and submit it again where that has ended it."""
        began = time.monotonic()
        first = self.submit(run)
        if disturb is not None:
            disturb(self.cluster, self.wait_for_moment(run, first))
        out, _ = first.communicate(timeout=LONGEST_SECONDS)
        submissions = 1
        if first.returncode not in ENDED:
            submissions = 2
            again = self.submit(run)
            out, _ = again.communicate(timeout=LONGEST_SECONDS)
            if again.returncode not in ENDED:
                raise RuntimeError(f"{run}: the second submission ended with {again.returncode}; see {self.folder}")
        return Course(submissions, json.loads(out), time.monotonic() - began)

    def wait_for_moment(self, run: str, job: subprocess.Popen[str]) -> Node:
        """Until the sweep is where it is to be disturbed; gives the worker that is to be lost."""
        if self.at == "kept":
            wait_until(lambda: self.count(run, "started") >= 1, "the first trial", LONGEST_SECONDS)
        began = time.monotonic()
        while self.victim(run) is None and job.poll() is None and time.monotonic() < began + LONGEST_SECONDS:
            if self.at == "kept":  # again, where what was long does not go on, or runs on the head
                make_long(self.cluster)
            time.sleep(0.5)
        victim = self.victim(run)
        if job.poll() is not None or victim is None:
            raise RuntimeError(f"{run}: it was over before it could be disturbed")
        return victim

    def victim(self, run: str) -> Node | None:
        """The worker to lose now; None where it is too early."""
        if self.at == "ended":
            return self.cluster.nodes["n2"] if self.count(run, "ended") >= EARLY else None
        journal = self.flights.journal(run)
        over = {one["candidate"] for one in journal if one["event"] == "ended"}
        kept = {one["candidate"] for one in journal if one["event"] == "kept"} - over
        where = {one["candidate"]: one["node"] for one in journal if one["event"] == "rung"}
        names = (where[number] for number in kept if where[number] != self.cluster.head.name)
        return next((self.cluster.nodes[name] for name in names), None)

    def count(self, run: str, event: str) -> int:
        return sum(one["event"] == event for one in self.flights.journal(run))


def make_long(cluster: NodeCluster) -> None:
    """Let what runs take longer than the time after which a trial is kept: it sleeps for so long."""
    slots = [process for node in cluster.nodes.values() for process in node.processes("SlotActor")]
    for one in slots:
        one.suspend()
    time.sleep(KEEP_AFTER_SECONDS + 1)
    for one in slots:
        one.resume()


def kill_raylet(_: NodeCluster, node: Node) -> None:
    node.kill_raylet()


def add_node(cluster: NodeCluster, _: Node) -> None:
    cluster.add(3)


def kill_driver(cluster: NodeCluster, _: Node) -> None:
    for driver in cluster.head.processes("raysweep run"):
        driver.kill()


def kill_head(cluster: NodeCluster, _: Node) -> None:
    """With all that is on its machine; what is put up in its place knows nothing of it."""
    cluster.kill(cluster.head)
    cluster.add(0)
    for node in list(cluster.nodes.values()):
        if node.name != "n0":
            cluster.mend(node)


def cut_cable(_: NodeCluster, node: Node) -> None:
    machine = node.machine
    if machine is None:
        raise RuntimeError("there is no cable between raylets on loopback")
    machine.cut()
    time.sleep(CUT_SECONDS)
    machine.join()


def kill_both(cluster: NodeCluster, node: Node) -> None:
    kill_raylet(cluster, node)
    kill_driver(cluster, node)


FAULTS: dict[str, Fault] = {
    "raylet": kill_raylet,
    "node": add_node,
    "driver": kill_driver,
    "cable": cut_cable,
    "head": kill_head,
    "both": kill_both,
}


def problems_of(found: Course, undisturbed: Course, journal: list[dict[str, Any]], slots: int) -> list[str]:
    """What may not be."""
    problems = [f"{name} differs" for name in TOLD if found.result[name] != undisturbed.result[name]]
    repeated = begun_again(journal)
    if repeated > slots:
        problems.append(f"{repeated} trials were begun again, on {slots} slots")
    ended = Counter(one["candidate"] for one in journal if one["event"] == "ended")
    problems += [f"trial {number} ended {times} times" for number, times in ended.items() if times > 1]
    return problems + rungs_again(journal)


def rungs_again(journal: list[dict[str, Any]]) -> list[str]:
    """Rungs that were reached again though what a trial had come to was kept."""
    kept: dict[int, int] = {}
    found = []
    for one in journal:
        number = one.get("candidate", -1)
        if one["event"] == "kept":
            kept[number] = one["rung"]
        elif one["event"] == "rung" and one["report"]["rung"] <= kept.get(number, -1):
            found.append(f"trial {number} reached rung {one['report']['rung']} again, which was kept")
    return found


def gone_on(journal: list[dict[str, Any]]) -> int:
    """How many attempts went on from what was kept."""
    kept: set[int] = set()
    found = 0
    for one in journal:
        match one["event"]:
            case "kept":
                kept.add(one["candidate"])
            case "anew":
                kept.discard(one["candidate"])
            case "started":
                found += one["candidate"] in kept
    return found


def begun_again(journal: list[dict[str, Any]]) -> int:
    started = Counter(one["candidate"] for one in journal if one["event"] == "started")
    return sum(times - 1 for times in started.values())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--at", choices=["ended", "kept"], default="ended")
    parser.add_argument("--only", action="append", choices=list(FAULTS))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="raysweep-cluster-"))
    os.environ["RAYSWEEP_HOME"] = str(folder / "home")
    with run_s3_server(folder / "s3") as server:
        server.client().create_bucket(Bucket="proofs")
        flights = put_flights(
            folder, server, "proofs", every=options.every, trials=options.trials, rounds=options.rounds
        )
        os.environ |= flights.environment
        port = int(urlsplit(server.endpoint_url).port or 0)
        wrong = 0
        undisturbed: Course | None = None
        for name in ("nothing", *(options.only or FAULTS)):
            (folder / name).mkdir()
            with node_cluster(folder / name, port, flights.credentials) as cluster:
                sweeps = Sweeps(flights, cluster, folder, options.at)
                course = sweeps.run(f"flights-{name}", FAULTS.get(name))
            undisturbed = undisturbed or course
            journal = flights.journal(f"flights-{name}")
            problems = problems_of(course, undisturbed, journal, slots=3)
            if options.at == "kept" and begun_again(journal) and not gone_on(journal):
                problems.append("no trial went on from what was kept")
            wrong += bool(problems)
            print(
                f"{name}: {course.submissions} submissions, {course.seconds:.0f} s, {begun_again(journal)} of "
                f"{options.trials} trials begun again, {gone_on(journal)} of them from what was kept; problems: "
                f"{problems or 'none'}",
                flush=True,
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
