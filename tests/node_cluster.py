"""A real Ray cluster of several nodes on this machine: started, broken, mended.

Each node is a machine of its own where root may make namespaces (`network_namespaces.py`), so that cables can be cut
and nodes be lost with all that runs there. Elsewhere the nodes are raylets on loopback, with a folder each: `is_real`
says which. Every cluster asks for a token.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from network_namespaces import GATEWAY, Machine, Switch, switch, why_not

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ON_LOOPBACK = "NODE_CLUSTER_ON_LOOPBACK"  # set: no namespaces, also where they can be made
STORE_BYTES = 120_000_000  # of each node's objects
START_SECONDS = 120
_GONE_SECONDS = 30
_NOTICED_SECONDS = 3


class Node:
    """One node; made by `NodeCluster.add`.

    Attributes:
        name: `n0` is the head.
        address: by which the others reach it.
        environment: what its processes get, and may be changed before they start.
    """

    def __init__(self, name: str, address: str, folder: Path, machine: Machine | None) -> None:
        self.name, self.address, self.folder, self.machine = name, address, folder, machine
        self.environment: dict[str, str] = {}

    @property
    def temporary(self) -> str:
        """Ray's own folder there."""
        return "/tmp/ray" if self.machine is not None else str(self.folder / "ray")  # noqa: S108

    def start(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
        """Run a command there, without waiting for its end."""
        inside = [str(word) for word in command] if self.machine is None else self.machine.inside(command)
        return subprocess.Popen(inside, env=self.environment, stdin=subprocess.DEVNULL, **options)

    def run(
        self, command: Sequence[str | Path], *, seconds: float = 120, environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a command there to its end.

        Args:
            environment: beside what the node's processes get; an empty value takes a variable away.
        """
        inside = [str(word) for word in command] if self.machine is None else self.machine.inside(command)
        both = {name: value for name, value in (self.environment | dict(environment or {})).items() if value}
        return subprocess.run(
            inside, env=both, capture_output=True, text=True, check=False, timeout=seconds, cwd=cwd or self.folder
        )

    def python(self, *words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run([sys.executable, *words], **options)

    def processes(self, name: str) -> list[psutil.Process]:
        """What runs there with this in its command line, by the pids of this machine."""
        return [one for one in psutil.process_iter() if name in _command_of(one) and self._is_here(one)]

    def _is_here(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            if self.machine is not None:
                return self.machine.holds(process.pid)
            return process.environ().get("NODE_CLUSTER_FOLDER") == str(self.folder)
        return False

    def kill_raylet(self) -> None:
        """`kill -9` of the process that is Ray on this node; its workers end themselves."""
        for one in self.processes("raylet/raylet"):
            one.send_signal(signal.SIGKILL)


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class NodeCluster:
    """A head and its workers; made by `node_cluster`.

    Args:
        folder: for what the nodes keep.
        plug: what the machines are plugged into; None: raylets on loopback.
        s3_port: of a server on this machine's loopback, which the nodes reach as http://s3:PORT.
        environment: of every process of theirs.
    """

    def __init__(self, folder: Path, plug: Switch | None, s3_port: int, environment: Mapping[str, str]) -> None:
        self.folder, self.token = folder, secrets.token_hex(16)
        self.nodes: dict[str, Node] = {}
        self._switch = plug
        self._s3_port = s3_port if plug is None else plug.inward(s3_port).port
        self._environment = dict(environment)
        self._ports = {"gcs": 6379, "dashboard": 8265} if plug is not None else _free_ports("gcs", "dashboard")

    @property
    def is_real(self) -> bool:
        """Whether each node is a machine of its own."""
        return self._switch is not None

    @property
    def head(self) -> Node:
        return self.nodes["n0"]

    @property
    def address(self) -> str:
        """As `cluster.address` takes it."""
        return f"{self.head.address}:{self._ports['gcs']}"

    @property
    def s3_endpoint(self) -> str:
        """Of the S3 server, as the nodes reach it: over the network where there is one."""
        return f"http://{'127.0.0.1' if self._switch is None else 's3'}:{self._s3_port}"

    def dashboard(self) -> str:
        """The address of the Jobs API, as this process reaches it."""
        port = self._ports["dashboard"]
        return (
            f"http://127.0.0.1:{port if self._switch is None else self._switch.outward(self.head.address, port).port}"
        )

    def client_environment(self) -> dict[str, str]:
        """What a client on this machine needs to be let in."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def add(
        self, number: int, *, cpus: int = 1, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> Node:
        """Start a node, anew where one of that number was; it has joined when this returns."""
        node = self.place(number)
        node.environment |= dict(environment or {})
        self.start_ray(node, cpus=cpus, options=options)
        return node

    def add_all(self, numbers: Iterable[int], environments: Iterable[Mapping[str, str]] | None = None) -> list[Node]:
        """Start nodes at a time; all have joined when this returns."""
        nodes = [self.place(number) for number in numbers]
        for node, environment in zip(nodes, environments or [{}] * len(nodes), strict=True):
            node.environment |= environment
        if not self.is_real:  # their free ports are found one after the other
            for node in nodes:
                self.start_ray(node)
            return nodes
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.start_ray, nodes))
        return nodes

    def place(self, number: int) -> Node:
        """A machine without Ray."""
        folder = self.folder / f"n{number}-{secrets.token_hex(2)}"
        folder.mkdir()
        machine = None if self._switch is None else Machine(self._switch, number, folder, {"s3": GATEWAY})
        node = Node(f"n{number}", "127.0.0.1" if machine is None else machine.address, folder, machine)
        node.environment = self._environment_of(node)
        self.nodes[node.name] = node
        return node

    def start_ray(self, node: Node, *, cpus: int = 1, options: Sequence[str] = ()) -> None:
        """Start Ray on a node that has none (any more), as the head where it is `n0`."""
        is_head = node.name == "n0"
        command = [
            BIN / "ray", "start", f"--node-ip-address={node.address}", f"--num-cpus={cpus}",
            f"--object-store-memory={STORE_BYTES}", "--disable-usage-stats", f"--temp-dir={node.temporary}",
            "--include-log-monitor=false",  # nobody reads what it publishes
            *self._role(is_head=is_head), *options,
        ]  # fmt: skip
        if not self.is_real:
            command += [f"--{name}={port}" for name, port in _free_ports(*_LOOPBACK_PORTS).items()]
        done = node.run(command, seconds=START_SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"{node.name} does not start: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _role(self, *, is_head: bool) -> list[str]:
        if not is_head:
            return [f"--address={self.address}"]
        host = "127.0.0.1" if self._switch is None else "0.0.0.0"  # noqa: S104 - in a network of its own
        gcs, dashboard = self._ports["gcs"], self._ports["dashboard"]
        return ["--head", f"--port={gcs}", f"--dashboard-host={host}", f"--dashboard-port={dashboard}"]

    def _environment_of(self, node: Node) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_"))}
        paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {
            "HOME": str(node.folder / "home"),
            "RAYSWEEP_HOME": str(node.folder / "home" / ".raysweep"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join(paths),
            "NODE_CLUSTER_FOLDER": str(node.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "AWS_ENDPOINT_URL": self.s3_endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        (node.folder / "home").mkdir(exist_ok=True)
        return kept | own | self.client_environment() | self._environment

    def kill(self, node: Node) -> None:
        """The node is gone at once, with all that runs there."""
        del self.nodes[node.name]
        if node.machine is not None:
            node.machine.end()
            return
        _kill_all(node.processes(""))

    def mend(self, node: Node) -> None:
        """Start Ray again on a node where it was killed."""
        self.stop_ray(node)
        self.start_ray(node)

    def remove(self, *nodes: Node) -> None:
        """Take nodes away so that Ray knows it at once: their connections are closed before the machines go."""
        for node in nodes:
            node.kill_raylet()
        time.sleep(_NOTICED_SECONDS)
        for node in nodes:
            self.kill(node)

    def label(self, node: Node) -> str:
        """What its machine calls itself, as raysweep tells it apart from the others."""
        return node.name if self.is_real else os.uname().nodename

    def stop_ray(self, node: Node) -> None:
        """Kill all of Ray's processes there; the machine stays."""
        _kill_all([one for one in node.processes("ray") if _is_ray(one)])

    def end(self) -> None:
        for node in list(self.nodes.values()):
            self.kill(node)


_LOOPBACK_PORTS = (
    "object-manager-port", "node-manager-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
    "runtime-env-agent-port", "metrics-export-port",
)  # fmt: skip


def _is_ray(process: psutil.Process) -> bool:
    command = _command_of(process)
    return any(part in command for part in ("/site-packages/ray/", "ray::", " -m ray."))


def _kill_all(processes: Sequence[psutil.Process]) -> None:
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(processes, timeout=_GONE_SECONDS)


def _free_ports(*names: str) -> dict[str, int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: probe.getsockname()[1] for name, probe in zip(names, probes, strict=True)}
    for probe in probes:
        probe.close()
    return ports


def other_raysweep(folder: Path) -> dict[str, str]:
    """The environment of a node where a raysweep of another version lies in front of the installed one."""
    shutil.copytree(ROOT / "src" / "raysweep", folder / "raysweep")
    init = folder / "raysweep" / "__init__.py"
    init.write_text(init.read_text().replace('__version__ = "', '__version__ = "0.0.'))
    return {"PYTHONPATH": str(folder)}


def wait_until(condition, what: str, seconds: float = 60) -> None:
    """Look again and again.

    Raises:
        TimeoutError: it does not come true.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.1)


@contextmanager
def node_cluster(
    folder: Path, s3_port: int, environment: Mapping[str, str], *, workers: int = 2, real: bool | None = None
) -> Iterator[NodeCluster]:
    """A head and workers for the length of a `with` block.

    Args:
        folder: for what the nodes keep; short, since sockets lie below.
        s3_port: of the S3 server on this machine's loopback.
        environment: of all nodes, such as the credentials of the server.
        workers: how many nodes beside the head.
        real: whether with namespaces; None: where they can be made.
    """
    if real is None:
        real = why_not() is None and not os.environ.get(ON_LOOPBACK)
    if not real:
        yield from _run(NodeCluster(folder, None, s3_port, environment), workers)
        return
    with switch() as plug:
        yield from _run(NodeCluster(folder, plug, s3_port, environment), workers)


def _run(cluster: NodeCluster, workers: int) -> Iterator[NodeCluster]:
    try:
        cluster.add(0)
        cluster.add_all(range(1, workers + 1))
        yield cluster
    finally:
        cluster.end()
