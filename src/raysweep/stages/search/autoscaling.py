"""What Ray's autoscalers say of themselves: how far a cluster may grow, and what they can never bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from raysweep.records.cluster import Node
from raysweep.records.trial import SlotSize
from raysweep.stages.search.slot_plan import Kind, Sizes

_ASKED_AGAIN_SECONDS: Final = 60.0
_STALE_SECONDS: Final = 15.0
_READ_ONLY: Final = "node_"  # what Ray's autoscaler calls every node where it may start none


def growth_of_groups(
    groups: Iterable[tuple[Mapping[str, float], int]], sizes: Sizes, nodes: Iterable[Node]
) -> dict[Kind, float]:
    """How many slots may come beyond those on the nodes.

    Args:
        groups: what a node of each group has, and how many of them there may be; -1 for any number.
        sizes: of the slots.
        nodes: that are there.
    """
    known, found = list(nodes), {}
    for kind, size in sizes.items():
        most = 0.0
        for resources, count in groups:
            each = size.count_on(resources.get("CPU", 0.0), resources.get("GPU", 0.0))
            most += each * (inf if count < 0 else count) if each else 0
        here = sum(size.count_on(node.cpus, node.gpus) for node in known)
        found[kind] = max(0.0, most - here)
    return found


def count_among(size: SlotSize, requests: Iterable[Mapping[str, float]]) -> int:
    """How many of the requests ask for a slot of that size."""
    wanted = {"CPU": float(size.cpus)} | ({"GPU": float(size.gpus)} if size.gpus else {})
    return sum({key: float(value) for key, value in one.items() if value} == wanted for one in requests)


@dataclass(frozen=True, slots=True)
class Refused:
    """How many of the slots that are asked for an autoscaler cannot bring.

    Attributes:
        version: of what it says; another one each time that it has looked.
    """

    count: int
    version: int


class Refusals:
    """How many more slots may come where an autoscaler only says of what is asked for which part it cannot bring.

    What it has refused is asked for again after a minute: it may be told of more nodes meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[Kind, tuple[float, float]] = {}
        self._heard: dict[Kind, int] = {}

    def growth(self, kind: Kind, asked: int, refused: Refused, now: float) -> float:
        """How many more may come; infinity where that is not known.

        Args:
            kind: of the slots.
            asked: how many are asked for beyond what fits.
            refused: what it says that it cannot bring of these.
            now: by `time.monotonic`.
        """
        most, since = self._known.get(kind, (inf, -inf))
        is_new = refused.version != self._heard.get(kind) and now - since >= _STALE_SECONDS
        if refused.count and is_new:  # else it speaks of what was asked earlier
            self._heard[kind] = refused.version
            most, since = self._known[kind] = max(0.0, float(asked - refused.count)), now
        return most if now - since < _ASKED_AGAIN_SECONDS else inf


def may_start_nodes(status: Mapping[str, Any]) -> bool:
    """Whether an autoscaler with this status may start nodes: it knows their kinds by names of their own."""
    report = status.get("autoscaler_report") or {}
    return any(not str(kind).startswith(_READ_ONLY) for kind in report.get("active_nodes") or {})
