"""The flights on a cluster of several machines: the same as at home; what is wrong with it is said before any trial."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import raysweep
from flights_sweep import FlightsSweep
from network_namespaces import GATEWAY
from node_cluster import BIN, Node, NodeCluster, other_raysweep, wait_until
from raysweep.config import S3Config

SOON_SECONDS = 30


def trials_of(flights: FlightsSweep, run: str):
    return pq.read_table(io.BytesIO(flights.store(run).get("trials.parquet")))


def told(result: dict) -> dict:
    """What has to be the same wherever a sweep runs."""
    return {name: result[name] for name in ("best", "split", "verdict", "validation", "search")}


def done_by(journal: list[dict]) -> set[str]:
    """The nodes on which trials have ended."""
    ended = {one["candidate"] for one in journal if one["event"] == "ended"}
    return {one["node"] for one in journal if one["event"] == "rung" and one["candidate"] in ended}


def submit(flights: FlightsSweep, cluster: NodeCluster, run: str, *further: str) -> list[str]:
    words = ["submit", str(flights.file), "--address", cluster.dashboard(), "--run", run, "--json", *further]
    return [sys.executable, "-m", "raysweep", *words]


def client(cluster: NodeCluster) -> dict[str, str]:
    return {**os.environ, **cluster.client_environment()}


@pytest.fixture(scope="module")
def running_at_home(flights: FlightsSweep, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The sweep, run on this machine beside what the first tests do."""
    environment = {**os.environ, **flights.environment, "RAYSWEEP_HOME": str(tmp_path_factory.mktemp("home"))}
    command = [sys.executable, "-m", "raysweep", "run", str(flights.file), "--run", "at-home", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    ) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def at_home(running_at_home: subprocess.Popen[str]) -> dict:
    """What it came to."""
    out, err = running_at_home.communicate()
    assert running_at_home.returncode in {0, 7}, err
    return json.loads(out)


def refused(node: Node, *words: str | Path, environment: dict[str, str] | None = None, code: int = 5) -> str:
    """What a command on a node says that ends soon, with this code, before any trial."""
    began = time.monotonic()
    done = node.run([BIN / "raysweep", *words], environment=environment)
    seconds = time.monotonic() - began
    print(done.stderr)  # whole, where a test fails on it
    assert done.returncode == code, done.stdout + done.stderr
    assert seconds < SOON_SECONDS
    assert "search:" not in done.stderr
    return done.stdout + done.stderr


def run_there(flights: FlightsSweep, cluster: NodeCluster, *further: str, code: int = 5, **environment: str) -> str:
    words = ("run", flights.file, "--run", "refused", *further)
    return refused(cluster.head, *words, environment={"RAY_ADDRESS": cluster.address, **environment}, code=code)


@pytest.mark.usefixtures("running_at_home")
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RAY_ADDRESS": "127.0.0.1:9"}, "nothing listens at 127.0.0.1:9"),
        ({"RAY_ADDRESS": "nowhere.invalid:6379"}, "there is no machine of the name nowhere.invalid"),
        ({"RAY_AUTH_MODE": "", "RAY_AUTH_TOKEN": ""}, "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN": "0" * 32}, "the cluster refuses the token"),
    ],
)
def test_a_cluster_that_does_not_open_is_said_soon(
    flights: FlightsSweep, cluster: NodeCluster, environment: dict[str, str], words: str
) -> None:
    assert words in run_there(flights, cluster, **environment)


def test_gpus_that_no_node_has_are_said_soon(flights: FlightsSweep, cluster: NodeCluster) -> None:
    assert "of 3 nodes none has both" in run_there(flights, cluster, "--set", "search.trial.gpus=1")


VET = """
import json, sys, time, ray
from raysweep.runtime.ray_session import ray_session
from raysweep.runtime.ray_vetting import Vetting

with ray_session("auto"):
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    late = {node["NodeID"] for node in ray.nodes() if node["NodeManagerAddress"] == sys.argv[1]}
    said = []
    vetting = Vetting(said.append, nodes.keys() - late)
    began = time.monotonic()
    vetted = vetting.look(nodes)
    assert (vetted.asked, vetted.unfit) == (late, set())
    while not vetted.unfit and time.monotonic() < began + 30:
        time.sleep(0.1)
        vetted = vetting.look(nodes)
        assert vetted.asked | vetted.unfit == late
    time.sleep(1)
    assert vetting.look(nodes).unfit == late
print(json.dumps(said))
"""


def vetted(cluster: NodeCluster, late: Node) -> list[str]:
    """What is said of a node that joins while a search runs."""
    done = cluster.head.python("-c", VET, late.address)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _only(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


def test_nodes_on_which_a_sweep_would_go_wrong_are_named_before_any_trial(
    flights: FlightsSweep, cluster: NodeCluster, tmp_path: Path
) -> None:
    wrong = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, other_raysweep(tmp_path)
    poor, old = cluster.add_all((3, 4), wrong)
    said = run_there(flights, cluster)
    assert f"versions: {cluster.label(old)} has raysweep 0.0." in said
    assert f"not reached from {cluster.label(poor)}, though the driver reaches it" in said
    assert "no usable credentials were found" in said
    there = _only(said, r"has (raysweep 0\.0\.[^,]*),")
    (shut,) = vetted(cluster, old)
    name, here = cluster.label(old).split()[0], f"raysweep {raysweep.__version__}"
    assert shut.startswith(
        f"{name} has joined, but gets no trials: it has {there}, the driver {here}. Install the same"
    )
    doctor = refused(cluster.head, "doctor", flights.file, "--address", "auto")
    assert f"✗ nodes      versions: {cluster.label(old)} has raysweep 0.0." in doctor

    if not cluster.is_real:  # elsewhere the next test has the store's own exit code
        cluster.remove(old)
        assert f"not reached from {cluster.label(poor)}" in run_there(flights, cluster, code=6)
        cluster.remove(poor)
        return
    cluster.remove(poor, old)


def test_a_way_to_the_store_that_only_the_driver_has_is_said_soon(flights: FlightsSweep, cluster: NodeCluster) -> None:
    if not cluster.is_real:
        pytest.skip("raylets on loopback have one network")
    route = ["unreachable", f"{GATEWAY}/32"]
    assert cluster.nodes["n1"].run(["ip", "route", "add", *route]).returncode == 0
    said = run_there(flights, cluster, code=6)
    cluster.nodes["n1"].run(["ip", "route", "del", *route])

    assert "data: not reached from n1, though the driver reaches it" in said
    assert "store: not reached from n1, though the driver reaches it" in said


def test_a_submitted_sweep_is_the_one_at_home_though_a_raylet_and_its_driver_are_killed(
    flights: FlightsSweep, cluster: NodeCluster, at_home: dict
) -> None:
    first = subprocess.Popen(
        submit(flights, cluster, "disturbed"),
        env=client(cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    at_work = set(cluster.nodes) if cluster.is_real else {os.uname().nodename}
    wait_until(lambda: done_by(flights.journal("disturbed")) >= at_work, "a trial of each node's", 120)
    cluster.nodes["n2"].kill_raylet()
    (driver,) = cluster.head.processes("raysweep run")
    driver.kill()
    said, _ = first.communicate(timeout=120)
    assert first.returncode == 5, said
    if cluster.is_real:
        assert "versions: 3 nodes (" in said
        assert "store: reached from 3 nodes (" in said

    again = subprocess.run(
        submit(flights, cluster, "disturbed"), env=client(cluster), capture_output=True, text=True, check=False
    )
    assert again.returncode in {0, 7}, again.stderr
    assert told(json.loads(again.stdout)) == told(at_home)
    assert raysweep.verify(flights.address("disturbed"), s3=S3Config(endpoint_url=flights.server.endpoint_url)).ok
    if cluster.is_real:
        assert set(trials_of(flights, "disturbed")["node"].to_pylist()) == {"n0", "n1", "n2"}
    columns = ["trial", "params_digest", "rung", "score", "state"]
    there, here = (trials_of(flights, run).select(columns).to_pylist() for run in ("disturbed", "at-home"))
    assert there == here


def test_a_dead_head_is_said_soon(flights: FlightsSweep, cluster: NodeCluster) -> None:
    cluster.stop_ray(cluster.head)

    assert "nothing listens at" in run_there(flights, cluster)
