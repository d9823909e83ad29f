"""What was seen on the nodes, judged: what is alike is said once, what would spoil a search is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from raysweep.errors import RaysweepError, RayUnavailable, StorageFailed
from raysweep.runtime.versions import CODE, differences, listed, unlike

_LITTLE_BYTES: Final = 1024**3
_CLOCK_SECONDS: Final = 5.0
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node, as it was found.

    Attributes:
        name: by which its machine calls itself, with its address where two share one.
        gpus: as Ray counts them.
        store_bytes: the size of its object store.
        versions: what is installed there; empty where that was not to be found out.
        room: free bytes of `shared`, `disk` and `memory`; None where that is not known.
        devices: the names of its GPUs, as their driver tells.
        reach: why it cannot reach the `data` and the `store`, empty where it can; what was not asked is absent.
        clock: by how many seconds its clock is ahead of the driver's, at least and at most.
        failed: why nothing can be run there.
        lost: why it was not seen: nodes come and go, and a sweep can do without this one.
    """

    name: str
    gpus: float = 0.0
    store_bytes: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    room: Mapping[str, int | None] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    reach: Mapping[str, str] = field(default_factory=dict)
    clock: tuple[float, float] = (0.0, 0.0)
    failed: str = ""
    lost: str = ""


class Grade(StrEnum):
    """What follows for a sweep."""

    FINE = "fine"
    DOUBTFUL = "doubtful"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class Judged:
    """One thing about one or more nodes.

    Attributes:
        what: that was looked at.
        said: what was found, and where it is not fine, what to do.
        error: as which a sweep ends because of it.
    """

    what: str
    said: str
    grade: Grade = Grade.FINE
    error: type[RaysweepError] = RayUnavailable


def judge(seen: Sequence[NodeSeen], here: Mapping[str, str], *, is_local: bool = False) -> tuple[Judged, ...]:
    """Judge all nodes of a cluster.

    Args:
        seen: at least one.
        here: the driver's own versions.
        is_local: whether the data lie in files of a machine, which the driver reads where they are few.
    """
    looked = [node for node in seen if not node.failed and not node.lost]
    return (
        *_failures(seen),
        *_versions(looked, here),
        *_gpus(looked),
        *_room(looked),
        *_clocks(looked),
        *_reach(looked, is_local=is_local),
    )


def check(judged: Iterable[Judged]) -> None:
    """Refuse a cluster on which a sweep would go wrong.

    Raises:
        RayUnavailable, StorageFailed: all that is fatal, in one message.
    """
    fatal = [one for one in judged if one.grade is Grade.FATAL]
    if fatal:
        error = next((one.error for one in fatal if one.error is not StorageFailed), StorageFailed)
        raise error("; ".join(f"{one.what}: {one.said}" for one in fatal))


def named(nodes: Sequence[NodeSeen]) -> str:
    """The nodes in words: `n1`, `n1 and n2`, `12 nodes (n1, n2, n3, n4, n5, ...)`."""
    names = [node.name for node in nodes]
    if len(names) <= 2:  # noqa: PLR2004 - a pair
        return " and ".join(names)
    return f"{len(names)} nodes ({', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''})"


def _grouped(nodes: Iterable[NodeSeen], key: Callable[[NodeSeen], str]) -> dict[str, list[NodeSeen]]:
    found: dict[str, list[NodeSeen]] = {}
    for node in nodes:
        found.setdefault(key(node), []).append(node)
    return found


def _failures(seen: Sequence[NodeSeen]) -> list[Judged]:
    failed = _grouped([node for node in seen if node.failed], lambda node: node.failed)
    lost = _grouped([node for node in seen if node.lost], lambda node: node.lost)
    all_lost = Grade.FATAL if all(node.lost for node in seen) else Grade.DOUBTFUL
    return [
        *(Judged("node", f"{named(nodes)}: {why}", Grade.FATAL) for why, nodes in failed.items()),
        *(Judged("node", f"{named(nodes)}: {why}", all_lost) for why, nodes in lost.items()),
    ]


def _versions(looked: Sequence[NodeSeen], here: Mapping[str, str]) -> list[Judged]:
    found = []
    groups: dict[tuple[tuple[str, str, str], ...], list[NodeSeen]] = {}
    for node in looked:
        groups.setdefault(differences(here, node.versions), []).append(node)
    for different, nodes in groups.items():
        wrong = unlike(here, nodes[0].versions)
        if wrong:
            said = (
                f"{named(nodes)} {_have(nodes)} {listed(wrong, 2)}, the driver {listed(wrong, 1)}: scores would "
                "not be comparable, or models not load. Install the same on every node, such as by one image"
            )
            found.append(Judged("versions", said, Grade.FATAL))
        elif different:
            said = f"{named(nodes)} {_have(nodes)} {listed(different, 2)}, the driver {listed(different, 1)}"
            found.append(Judged("versions", said, Grade.DOUBTFUL))
        else:
            alike = ", ".join(f"{name} {one}" for name, one in here.items() if name != CODE)
            found.append(Judged("versions", f"{named(nodes)}: {alike}"))
    return found


def _have(nodes: Sequence[NodeSeen]) -> str:
    return "has" if len(nodes) == 1 else "have"


def _gpus(looked: Sequence[NodeSeen]) -> list[Judged]:
    groups = _grouped([node for node in looked if node.gpus or node.devices], _gpu_words)
    found = []
    for words, nodes in groups.items():
        lacking = nodes[0].gpus > len(nodes[0].devices)
        unused = len(nodes[0].devices) > nodes[0].gpus
        said = f"{named(nodes)}: {words}"
        if lacking:
            said += (
                "; what runs there finds fewer GPUs than Ray gives out: check the driver, and the image's GPU support"
            )
        elif unused:
            said += "; Ray gives out fewer than there are: start it there with --num-gpus"
        found.append(Judged("gpus", said, Grade.DOUBTFUL if lacking or unused else Grade.FINE))
    return found


def _gpu_words(node: NodeSeen) -> str:
    kinds = {name: node.devices.count(name) for name in node.devices}
    there = ", ".join(f"{count} x {name}" for name, count in kinds.items()) or "none that nvidia-smi sees"
    return f"Ray counts {node.gpus:g}, the machine has {there}"


def _room(looked: Sequence[NodeSeen]) -> list[Judged]:
    """The least of each, since the smallest node is the one that breaks."""
    if not looked:
        return []
    stores = {node.name: node.store_bytes for node in looked}
    rooms = {kind: _known(looked, kind) for kind in ("shared", "disk", "memory")}
    least = [f"object store {_least(stores)}"]
    words = {"shared": "free in /dev/shm", "disk": "free on the disk of Ray's folder", "memory": "memory available"}
    least += [f"{words[kind]} {_least(known)}" for kind, known in rooms.items() if known]
    found = [Judged("room", f"the least of {named(looked)}: {', '.join(least)}")]
    small = {kind: min(known.values()) for kind, known in rooms.items() if known and kind != "shared"}
    for kind, amount in small.items():
        if amount < _LITTLE_BYTES:
            said = f"{words[kind]} {_least(rooms[kind])}: "
            said += (
                "objects that do not fit into memory, and Ray's logs, go there"
                if kind == "disk"
                else "trials die there"
            )
            found.append(Judged("room", said, Grade.DOUBTFUL))
    return found


def _known(looked: Sequence[NodeSeen], kind: str) -> dict[str, int]:
    amounts = ((node.name, node.room.get(kind)) for node in looked)
    return {name: amount for name, amount in amounts if amount is not None}


def _least(amounts: Mapping[str, int]) -> str:
    name = min(amounts, key=lambda one: amounts[one])
    where = f" ({name})" if len(set(amounts.values())) > 1 else ""
    return f"{amounts[name] / 1024**3:,.1f} GiB{where}"


def _clocks(looked: Sequence[NodeSeen]) -> list[Judged]:
    found = []
    for node in looked:
        low, high = node.clock
        if low > _CLOCK_SECONDS or high < -_CLOCK_SECONDS:
            ahead, by = ("ahead of", low) if low > 0 else ("behind", -high)
            said = (
                f"the clock of {node.name} is at least {by:.0f} s {ahead} the driver's: S3 refuses requests that are "
                "signed a quarter of an hour off, and the times of trials will be wrong. Let NTP set it"
            )
            found.append(Judged("clock", said, Grade.DOUBTFUL))
    return found


def _reach(looked: Sequence[NodeSeen], *, is_local: bool) -> list[Judged]:
    found = []
    for what in ("data", "store"):
        groups: dict[str, list[NodeSeen]] = {}
        for node in looked:
            if what in node.reach:
                groups.setdefault(node.reach[what], []).append(node)
        for problem, nodes in groups.items():
            if not problem:
                found.append(Judged(what, f"reached from {named(nodes)}"))
            elif what == "data" and is_local:
                said = (
                    f"not reached from {named(nodes)}: {problem}. A small table is read by the driver; put a large one "
                )
                found.append(Judged(what, f"{said}where every node reaches it", Grade.DOUBTFUL))
            else:
                said = f"not reached from {named(nodes)}, though the driver reaches it: {problem}. {_WAY_OUT}"
                found.append(Judged(what, said, Grade.FATAL, StorageFailed))
    return found


_WAY_OUT: Final = (
    "Each node needs its own credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role), "
    "AWS_ENDPOINT_URL where the sweep file names no endpoint, and a way through the network"
)
