"""What Ray's autoscalers say of themselves: how far a cluster may grow, and what they can never bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, Final

from raysweep.records.cluster import Node
from raysweep.records.trial import SlotSize
from raysweep.stages.search.slot_plan import Kind, Sizes, slots_on

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
            each = slots_on(resources.get("CPU", 0.0), resources.get("GPU", 0.0), size)
            most += each * (inf if count < 0 else count) if each else 0
        here = sum(slots_on(node.cpus, node.gpus, size) for node in known)
        found[kind] = max(0.0, most - here)
    return found


def is_among(size: SlotSize, requests: Iterable[Mapping[str, float]]) -> bool:
    """Whether a slot of that size is what one of the requests asks for."""
    wanted = {"CPU": float(size.cpus)} | ({"GPU": float(size.gpus)} if size.gpus else {})
    return any({key: float(value) for key, value in one.items() if value} == wanted for one in requests)


def may_start_nodes(status: Mapping[str, Any]) -> bool:
    """Whether an autoscaler with this status may start nodes: it knows their kinds by names of their own."""
    report = status.get("autoscaler_report") or {}
    return any(not str(kind).startswith(_READ_ONLY) for kind in report.get("active_nodes") or {})
