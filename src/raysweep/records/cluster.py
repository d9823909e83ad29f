"""The nodes that a sweep runs on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.records.journal_order import as_it_happened
from raysweep.records.trial import Capacity, Trial


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster.

    Attributes:
        id: by which Ray knows it; a machine that is started again has another one.
        name: of the machine.
        cpus, gpus: that Ray may give away there.
    """

    id: str
    name: str
    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class NodeUse:
    """What a search has had of a machine.

    Attributes:
        cpus, gpus: the most at a time.
        trials: how many had their last report from there.
    """

    name: str
    cpus: float
    gpus: float
    trials: int


def capacity_of(nodes: Iterable[Node]) -> Capacity:
    """What they have together."""
    known = list(nodes)
    return Capacity(float(sum(node.cpus for node in known)), float(sum(node.gpus for node in known)))


def nodes_used(records: Iterable[Mapping[str, Any]], trials: Iterable[Trial]) -> tuple[NodeUse, ...]:
    """The machines that a search ran on, by its journal; a journal of before does not say."""
    there: dict[str, Node] = {}
    most: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for record in as_it_happened(records):
        if record.get("event") == "search":
            there = _nodes(record.get("nodes", ()))
        elif record.get("event") == "cluster":
            there |= _nodes(record["joined"])
            for gone in _nodes(record["left"]):
                there.pop(gone, None)
        for name in {node.name for node in there.values()}:
            has = capacity_of(node for node in there.values() if node.name == name)
            most[name] = max(most[name][0], has.cores), max(most[name][1], has.gpus)
    ran = Counter(trial.node for trial in trials if trial.node)
    return tuple(NodeUse(name, *most[name], ran[name]) for name in sorted(most))


def _nodes(documents: Iterable[Mapping[str, Any]]) -> dict[str, Node]:
    return {str(one["id"]): Node(**one) for one in documents}
