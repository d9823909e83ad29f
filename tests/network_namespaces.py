"""Machines that are none: a network, pid and mount namespace each, plugged into a bridge of their own; needs root.

The bridge lives in a namespace too, so that nothing is added to the network of this machine and two test runs may use
the same addresses. Pid 1 of each is a `cat` on a pipe that this process holds: it reaps what dies, and however this
process ends, all of them end with it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

NETWORK = "10.99.0"
GATEWAY = f"{NETWORK}.1"
_CLONE_NEWNET = 0x40000000
_TOOLS = ("unshare", "nsenter", "ip", "mount")
_BUFFER_BYTES = 1 << 16
ResultT = TypeVar("ResultT")

# A bridge without an address of its own takes the lowest of its ports': it may change with a machine that joins, and
# the others reach the gateway no more until their kernels ask anew.
BRIDGE = "link add br0 address 02:00:00:00:00:01 type bridge"
_SWITCH = f"""
ip link set lo up
ip {BRIDGE} && ip link set br0 up && ip addr add {GATEWAY}/24 dev br0
"""
_MACHINE = """
hostname {name}
mkdir -p /tmp/ray
mount --bind {folder}/hosts /etc/hosts
mount --bind {folder}/resolv.conf /etc/resolv.conf
mount --bind {folder}/ray /tmp/ray
mount -t tmpfs -o size={shared_bytes} tmpfs /dev/shm
ip link set lo up
"""
_PID_ONE = "set -e; {setup}\necho ready; exec env --ignore-signal=CHLD cat >/dev/null"


def why_not() -> str | None:
    """Why this machine cannot do it, if so."""
    if os.name != "posix" or os.geteuid() != 0:
        return "namespaces need root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    script = "ip link add br0 type bridge && ip link add v0 type veth peer name v1 && mount -t tmpfs t /dev/shm"
    tried = subprocess.run(
        ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", "sh", "-c", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else f"namespaces: {tried.stderr.strip()}"


class _Namespaces:
    """A process that holds namespaces open until it is ended."""

    def __init__(self, kinds: Sequence[str], setup: str) -> None:
        command = ["unshare", *kinds, "sh", "-c", _PID_ONE.format(setup=setup)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        stdout = self._process.stdout
        if stdout is None or stdout.readline() != b"ready\n":
            self._process.kill()
            raise RuntimeError(f"no namespace: {self._process.communicate()[1].decode(errors='replace')}")
        forked = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self.pid = int(forked[0]) if "-f" in kinds else self._process.pid

    def end(self) -> None:
        """Kill it; with a pid namespace, all that runs in there."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        self._process.kill()
        self._process.communicate()


class Switch:
    """The bridge that the machines are plugged into; its own address on it is `GATEWAY`."""

    def __init__(self) -> None:
        self._namespaces = _Namespaces(["-n"], _SWITCH)
        self._relays: list[Relay] = []

    def ip(self, *arguments: str) -> None:
        """Carry out an `ip` command there."""
        subprocess.run(
            ["nsenter", "-t", str(self._namespaces.pid), "-n", "ip", *arguments], check=True, capture_output=True
        )

    def inward(self, port: int) -> Relay:
        """What listens on this machine's loopback, reached by the machines at the gateway's address."""
        return self._relay(lambda: _listening(GATEWAY), lambda: socket.create_connection(("127.0.0.1", port)))

    def outward(self, address: str, port: int) -> Relay:
        """What listens on a machine, reached by this machine on its loopback."""
        return self._relay(lambda: _listening("127.0.0.1"), lambda: self._connected(address, port), listen_inside=False)

    def _relay(
        self, listen: Callable[[], socket.socket], connect: Callable[[], socket.socket], *, listen_inside: bool = True
    ) -> Relay:
        relay = Relay(self.inside(listen) if listen_inside else listen(), connect)
        self._relays.append(relay)
        return relay

    def _connected(self, address: str, port: int) -> socket.socket:
        return self.inside(lambda: socket.create_connection((address, port), 10))

    def inside(self, call: Callable[[], ResultT]) -> ResultT:
        """What a call gives in the switch's network, made by a thread that has moved there; its sockets stay there."""
        found: list[ResultT] = []
        failed: list[BaseException] = []

        def enter() -> None:
            try:
                with Path(f"/proc/{self._namespaces.pid}/ns/net").open() as namespace:
                    _move_to(namespace.fileno())
                found.append(call())
            except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
                failed.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def end(self) -> None:
        for relay in self._relays:
            relay.end()
        self._namespaces.end()


def _move_to(network: int) -> None:
    """This thread alone; `os.setns` is of Python 3.12."""
    if ctypes.CDLL(None, use_errno=True).setns(network, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _listening(host: str) -> socket.socket:
    listener = socket.create_server((host, 0))
    listener.settimeout(0.2)
    return listener


class Relay:
    """Hands bytes on between two networks, by threads of this process.

    Attributes:
        port: where it listens.
    """

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self.port = int(listener.getsockname()[1])
        self._listener, self._connect = listener, connect
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                accepted, _ = self._listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self._carry, args=(accepted,), daemon=True).start()

    def _carry(self, accepted: socket.socket) -> None:
        with accepted:
            try:
                connected = self._connect()
            except OSError:
                return
            accepted.settimeout(None)
            connected.settimeout(None)
            with connected:
                back = threading.Thread(target=_pump, args=(connected, accepted), daemon=True)
                back.start()
                _pump(accepted, connected)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_BUFFER_BYTES):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class Machine:
    """One machine: its own network, processes, /tmp/ray, /dev/shm, /etc/hosts and home.

    Args:
        switch: into which it is plugged.
        number: makes its name and its address.
        folder: for what it keeps; a new machine of the same number begins with an empty one.
        hosts: further names that it knows, with their addresses.
        shared_bytes: the size of its /dev/shm.
    """

    def __init__(
        self, switch: Switch, number: int, folder: Path, hosts: Mapping[str, str], shared_bytes: int = 400_000_000
    ) -> None:
        self.name, self.address = f"n{number}", f"{NETWORK}.{10 + number}"
        self.folder = folder
        self._switch, self._port = switch, f"port{number}"
        for one in ("ray", "home"):
            (folder / one).mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", f"{self.address} {self.name}"]
        lines += [f"{address} {name}" for name, address in hosts.items()]
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # nobody: an unknown name is refused at once
        setup = _MACHINE.format(name=self.name, folder=folder, shared_bytes=shared_bytes)
        kinds = ["-u", "-n", "-m", "-p", "-f", "--mount-proc", "--propagation", "private"]
        self._namespaces = _Namespaces(kinds, setup)
        self._plug_in()

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """The command that runs this one there."""
        enter = ["nsenter", "-t", str(self._namespaces.pid), "-u", "-n", "-m", "-p"]
        return [*enter, *map(str, command)]

    def holds(self, pid: int) -> bool:
        """Whether a process of this machine's runs in there."""
        own, other = (os.stat(f"/proc/{one}/ns/pid") for one in (self._namespaces.pid, pid))  # noqa: PTH116
        return os.path.samestat(own, other)

    def cut(self) -> None:
        """Pull its network cable."""
        self._switch.ip("link", "set", self._port, "down")

    def join(self) -> None:
        """Plug it in again."""
        self._switch.ip("link", "set", self._port, "up")

    def end(self) -> None:
        """It is gone at once, with all that runs on it; so is its cable."""
        self._namespaces.end()
        with suppress(subprocess.CalledProcessError):  # the kernel has been quicker
            self._switch.ip("link", "del", self._port)

    def _plug_in(self) -> None:
        self._switch.ip(
            "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", str(self._namespaces.pid)
        )
        self._switch.ip("link", "set", self._port, "master", "br0", "up")
        for arguments in (
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", GATEWAY),
        ):
            subprocess.run(self.inside(["ip", *arguments]), check=True, capture_output=True)


@contextmanager
def switch() -> Iterator[Switch]:
    """A bridge for the length of a `with` block."""
    made = Switch()
    try:
        yield made
    finally:
        made.end()
