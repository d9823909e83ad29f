"""Follows a cluster that changes: which nodes have come and gone, how many slots they hold, and what these cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from raysweep.config import PriceConfig
from raysweep.documents import plain_record
from raysweep.records.cluster import Node, capacity_of
from raysweep.records.trial import Capacity
from raysweep.stages.search.earlier import Slots
from raysweep.stages.search.slot_plan import Kind, Sizes, SlotPlan


@dataclass(frozen=True, slots=True)
class Change:
    """The cluster is another one from now on.

    Attributes:
        nodes: that are alive now.
        slots: that fit on them.
        joined, left: nodes.
        leaving: nodes that take no new trials from now on.
    """

    nodes: tuple[Node, ...]
    slots: Slots
    joined: tuple[Node, ...] = ()
    left: tuple[Node, ...] = ()
    leaving: tuple[Node, ...] = ()

    @property
    def capacity(self) -> Capacity:
        """The cores and GPUs of all nodes."""
        return capacity_of(self.nodes)

    @property
    def words(self) -> str:
        """What has happened."""
        said = [
            f"{_named(nodes)} {verb}"
            for nodes, verb in ((self.joined, "joined"), (self.left, "left"), (self.leaving, "is about to leave"))
            if nodes
        ]
        return "; ".join(said) or "the nodes have room for another number of slots"

    @property
    def document(self) -> dict[str, Any]:
        """What the journal says of it."""
        return {
            **self.slots.document,
            "capacity": plain_record(self.capacity),
            "joined": plain_record(self.joined),
            "left": plain_record(self.left),
        }


class ClusterWatch:
    """Compares the cluster with how it was.

    Args:
        sizes: of the slots.
        price: of cores and GPUs, where it is known.
    """

    def __init__(self, sizes: Sizes, price: PriceConfig | None) -> None:
        self._sizes = sizes
        self._price = price
        self._nodes: dict[str, Node] = {}
        self._leaving: frozenset[str] = frozenset()
        self._slots = slots_of(SlotPlan({}), sizes)

    @property
    def slots(self) -> Slots:
        """Those that fit on the nodes now."""
        return self._slots

    @property
    def cost_per_second(self) -> float:
        """Of these slots; 0 where no price is known."""
        return self._slots.cost_per_second(self._price)

    def see(self, nodes: Iterable[Node], leaving: Iterable[str], plan: SlotPlan) -> Change | None:
        """What has changed since the last time; None where nothing has."""
        now, slots = {node.id: node for node in nodes}, slots_of(plan, self._sizes)
        going = frozenset(leaving) & now.keys()
        change = Change(
            tuple(now.values()),
            slots,
            joined=tuple(node for key, node in now.items() if key not in self._nodes),
            left=tuple(node for key, node in self._nodes.items() if key not in now),
            leaving=tuple(now[key] for key in sorted(going - self._leaving)),
        )
        is_same = now == self._nodes and slots == self._slots and not change.leaving
        self._nodes, self._leaving, self._slots = now, going, slots
        return None if is_same else change


def slots_of(plan: SlotPlan, sizes: Sizes) -> Slots:
    """The slots of a plan, and what each of them holds."""
    plain = plan.count(Kind.CPU)
    return Slots(plan.total, next(iter(sizes.values())), plain if len(sizes) > 1 else 0)


def _named(nodes: Iterable[Node]) -> str:
    counted = Counter(
        f"{node.name} ({node.cpus:g} CPUs{f', {node.gpus:g} GPUs' if node.gpus else ''})" for node in nodes
    )
    return ", ".join(f"{count} times {name}" if count > 1 else name for name, count in counted.items())
