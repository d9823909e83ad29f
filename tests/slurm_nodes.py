"""A Slurm of several nodes on this one machine, for root: each has its own network, processes, TMPDIR and /dev/shm.

Needs Debian's slurmctld, slurmd, slurm-client and munge. Nothing is added to the machine's own network, and whatever
runs on a node ends with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NETWORK = "10.99.7"
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "unshare", "nsenter", "ip")
FIRST_ADDRESS = 10
WAIT_SECONDS = 60


def missing() -> str:
    """What this machine lacks for it; empty where nothing."""
    if os.geteuid() != 0:
        return "root, for namespaces of their own"
    return ", ".join(name for name in PROGRAMS if shutil.which(name, path=_path()) is None)


@dataclass(frozen=True)
class Slurm:
    """A running one.

    Attributes:
        folder: which all nodes see; it holds configuration and logs too.
        controller: the process within whose network the controller runs.
        nodes: their names.
    """

    folder: Path
    controller: int
    nodes: tuple[str, ...]

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """What a user's command prints; it runs where the controller is."""
        line = ["nsenter", "-t", str(self.controller), "-n", *map(str, command)]
        own = {"SLURM_CONF": str(self.folder / "slurm.conf"), "TMPDIR": str(self.folder / "tmp"), "PATH": _path()}
        done = subprocess.run(line, env=os.environ | own, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(map(str, command))}: {done.stderr}{done.stdout}")
        return done.stdout


@contextmanager
def slurm(folder: Path, nodes: int, cpus: int) -> Iterator[Slurm]:
    """Slurm with so many nodes, of so many CPUs each, down again at the end.

    Args:
        folder: which all nodes share, of a short name; each has its own `tmp` in it, which a job finds as TMPDIR.
        nodes: how many.
        cpus: of each, whatever the machine has.
    """
    names = tuple(f"n{number}" for number in range(nodes))
    _write_configuration(folder, names, cpus)
    with ExitStack() as stack:
        _munged(folder, stack)
        switch = stack.enter_context(_namespace(folder, "ctl", _controller(folder)))
        _ip(switch, "link add br0 type bridge", "link set br0 up", f"addr add {NETWORK}.1/24 dev br0")
        for number, name in enumerate(names):
            pid = stack.enter_context(_namespace(folder, name, _node(folder, name)))
            _plug(switch, pid, number)
        found = Slurm(folder, switch, names)
        _wait_until_idle(found)
        yield found


def _wait_until_idle(found: Slurm) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            states = found.run("sinfo", "-h", "-N", "-o", "%T").split()
        except RuntimeError:
            states = []
        if states == ["idle"] * len(found.nodes):
            return
        if time.monotonic() > end:
            logs = "".join(path.read_text(errors="replace")[-2_000:] for path in found.folder.glob("*.log"))
            raise RuntimeError(f"the nodes are {states or 'not there'}\n{logs}")
        time.sleep(0.5)


def _write_configuration(folder: Path, names: tuple[str, ...], cpus: int) -> None:
    lines = {
        "ClusterName": "proof",
        "SlurmctldHost": f"ctl({NETWORK}.1)",
        "AuthInfo": f"socket={folder / 'munge.socket'}",
        "SlurmUser": "root",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool-%n",
        "SlurmctldPidFile": folder / "ctl.pid",
        "SlurmdPidFile": folder / "%n.pid",
        "SlurmctldLogFile": folder / "ctl.log",
        "SlurmdLogFile": folder / "%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "ReturnToService": "2",
        "SlurmdParameters": "config_overrides",
        "KillWait": "5",
        "MpiDefault": "none",
    }
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    for number, name in enumerate(names):
        address = f"{NETWORK}.{FIRST_ADDRESS + number}"
        text += f"NodeName={name} NodeAddr={address} CPUs={cpus} RealMemory=1000 State=UNKNOWN\n"
    text += "PartitionName=all Nodes=ALL Default=YES OverSubscribe=NO MaxTime=INFINITE State=UP\n"
    (folder / "slurm.conf").write_text(text)
    hosts = [f"{NETWORK}.1 ctl", *(f"{NETWORK}.{FIRST_ADDRESS + number} {name}" for number, name in enumerate(names))]
    (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{line}\n" for line in hosts))
    (folder / "state").mkdir()
    (folder / "tmp").mkdir()


def _munged(folder: Path, stack: ExitStack) -> None:
    """One for all nodes: they reach its socket as a file."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    files = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
    options = [f"--{option}={folder / name}" for option, name in files.items()]
    command = ["munged", "--foreground", "--force", f"--key-file={key}", *options]
    process = subprocess.Popen(
        command, env=os.environ | {"PATH": _path()}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    _until((folder / "munge.socket").exists, "munged")


def _controller(folder: Path) -> str:
    return f"slurmctld -D -f {folder / 'slurm.conf'}"


def _node(folder: Path, name: str) -> str:
    own = f"mount -t tmpfs tmpfs {folder / 'tmp'}; mount -t tmpfs -o size=2g tmpfs /dev/shm"
    plugged = f"until ip addr show eth0 2>/dev/null | grep -q {NETWORK}; do sleep 0.1; done"
    return f"{own}; {plugged}; slurmd -D -N {name} -f {folder / 'slurm.conf'}"


@contextmanager
def _namespace(folder: Path, name: str, command: str) -> Iterator[int]:
    """Yield the process whose namespaces a node is; with it every process of the node ends."""
    init = (
        f"hostname {name}; mount --bind {folder / 'hosts'} /etc/hosts; ip link set lo up; touch {folder / name}.ready; "
        f"({command}) & trap : CHLD; while :; do sleep 1000 & wait $!; done"
    )
    flags = ["--uts", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
    env = os.environ | {"PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
    with (folder / f"{name}-init.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", *flags, "--kill-child=SIGKILL", "bash", "-c", init],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _until((folder / f"{name}.ready").exists, name)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        yield int(children.split()[0])
    finally:
        process.kill()  # unshare takes its child along, which takes the node along
        process.wait()


def _plug(switch: int, node: int, number: int) -> None:
    """A cable between a node and the switch."""
    _ip(switch, f"link add p{number} type veth peer name eth0 netns {node}", f"link set p{number} master br0 up")
    address = f"{NETWORK}.{FIRST_ADDRESS + number}/24"
    _ip(node, f"addr add {address} dev eth0", "link set eth0 up")


def _ip(pid: int, *lines: str) -> None:
    for line in lines:
        subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *line.split()], check=True, env={"PATH": _path()})


def _until(holds, what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} has not started")
        time.sleep(0.05)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
