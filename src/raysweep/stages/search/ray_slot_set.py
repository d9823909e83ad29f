"""The processes of a search: as many of each kind as the cluster has room for, wherever it has."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import ray

from raysweep.stages.search.ray_nodes import Cluster
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot import Slot, SlotRules
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.stages.search.ray_waiting import Waiting
from raysweep.stages.search.slot_plan import Kind, Place, SlotPlan

LOOK_SECONDS: Final = 1.0
ASKED_LOOK_SECONDS: Final = 0.2  # while a node is asked what it has


@dataclass(slots=True)
class _Look:
    """The last look at the cluster.

    Attributes:
        at: when the next one is due.
        taking: the nodes that take new trials.
    """

    at: float = 0.0
    plan: SlotPlan = field(default_factory=lambda: SlotPlan({}))
    taking: frozenset[str] = frozenset()
    cluster: Cluster = field(default_factory=lambda: Cluster((), frozenset(), {}))


class SlotSet:
    """Processes that are started and ended as nodes come and go.

    Args:
        processes: starts them.
        context: what every process gets.
        rules: which there are.

    Attributes:
        slots: all of them, those that are still starting included.
        plan: how many there should be.
    """

    def __init__(self, processes: Processes, context: SlotContext, rules: SlotRules) -> None:
        self._processes = processes
        self._rules = rules
        self._context = ray.put(context)
        self._seen = _Look()
        self._waiting = Waiting(rules)
        self._worked: set[Kind] = set()
        self._aside: set[str] = set()
        self.slots: list[Slot] = []
        self.look()

    @property
    def plan(self) -> SlotPlan:
        """How many there should be."""
        return self._seen.plan

    @property
    def kept_off(self) -> frozenset[str]:
        """The ids of nodes that get no trials, or none yet."""
        return self._seen.cluster.closed | self._seen.cluster.asked

    def look_if_due(self) -> None:
        """See what the cluster is now, about once a second.

        Raises:
            RayUnavailable: what the search needs does not come.
        """
        if time.monotonic() >= self._seen.at:
            self.look()
        self._waiting.look(self.slots, self._seen.plan, self._seen.cluster, time.monotonic())

    def is_given_up(self, kind: Kind) -> bool:
        """Whether no slot of this kind is waited for any more."""
        return kind in self._waiting.given_up

    def why_given_up(self, kind: Kind) -> str:
        """In words."""
        return self._waiting.words(kind)

    def end(self) -> None:
        """End all processes, those that never began included, but for those that are of use after the search."""
        for slot in self.slots:
            is_well = slot.attempt is None and not slot.spoiled
            if not (is_well and self._processes.give_back(slot.actor)):
                ray.kill(slot.actor)

    def started(self, slot: Slot, node: str) -> None:
        """A process has started there."""
        slot.node, slot.failed_starts = node, Counter()
        self._worked.add(slot.place[0])
        self._hold_to_node(slot)
        if node not in self._seen.taking:
            self._seen.at = 0.0  # a node that nobody has seen yet, or that is gone again

    def look(self) -> None:
        """See what the cluster is now, and have as many processes as it has room for."""
        cluster = self._rules.look(self._seen.plan.pending).without(self._aside)
        taking = frozenset(node.id for node in cluster.taking)
        plan = self._rules.plan(cluster)
        soon = LOOK_SECONDS if not cluster.asked else ASKED_LOOK_SECONDS
        self._seen = _Look(time.monotonic() + soon, plan, taking, cluster)
        self._rules.saw(cluster, plan)
        for slot in self.slots:
            self._hold_to_node(slot)
        for slot in [one for one in self.slots if self._is_misplaced(one)]:
            self.drop(slot)
        missing = self._missing()
        for slot in sorted(self.slots, key=lambda one: bool(one.node)):  # those first that have not started
            if missing[slot.place] < 0 and slot.attempt is None and self._counts(slot):
                self.drop(slot)
                missing[slot.place] += 1
        for place in sorted(missing):
            for _ in range(missing[place]):
                self.slots.append(self._start(place))

    def _hold_to_node(self, slot: Slot) -> None:
        """One that was asked for before its node was there belongs to that node now, where slots are held to nodes."""
        kind = slot.place[0]
        if (kind, slot.node) in self._seen.plan.places:
            slot.place = kind, slot.node

    def _missing(self) -> Counter[Place]:
        """How many processes there are too few of each kind; negative where there are too many."""
        missing = Counter(self._seen.plan.places)
        missing.subtract(slot.place for slot in self.slots if self._counts(slot))
        return missing

    def _counts(self, slot: Slot) -> bool:
        """Whether it is not on a node that is gone, leaving or closed."""
        return not slot.node or slot.node in self._seen.cluster.asked or self.may_take(slot)

    def _is_misplaced(self, slot: Slot) -> bool:
        """Whether it waits where it may not work, or may not be where there is room now."""
        if slot.node:
            return slot.is_idle and not self._counts(slot)
        return bool(slot.apart_from & self._seen.taking)

    def set_aside(self, slot: Slot, node: str) -> str:
        """Let a node on which this slot cannot start take no more trials, where the search can do without it.

        Args:
            slot: goes elsewhere.
            node: its id; empty where that is not known.

        Returns:
            By which name the user knows the node; empty where it cannot be done without.
        """
        kind, cluster = slot.place[0], self._seen.cluster
        left = self._rules.plan(cluster.without({node}))
        serves = left.count(kind) or left.mixed or (left.total and kind in self._worked)
        if not node or not serves:
            return ""
        self._aside.add(node)
        self.drop(slot)
        self.look()
        return cluster.name_of(node)

    def is_aside(self, node: str) -> bool:
        """Whether this node was set aside."""
        return node in self._aside

    def may_take(self, slot: Slot) -> bool:
        """Whether its node takes new trials."""
        return slot.node in self._seen.taking

    def replace(self, slot: Slot, failed_starts: Counter[str] | None = None) -> None:
        """Let another process take its place, where there still is one for it."""
        self.drop(slot)
        if self._missing()[slot.place] > 0:
            new = self._start(slot.place)
            new.failed_starts = failed_starts or Counter()
            self.slots.append(new)

    def drop(self, slot: Slot) -> None:
        """End it."""
        ray.kill(slot.actor)
        self.slots.remove(slot)

    def _start(self, place: Place) -> Slot:
        kind, node = place
        actor = self._processes.take(self._rules.sizes[kind], node, self.kept_off)
        pending = actor.prepare.remote(self._context, kind is Kind.GPU)
        return Slot(place, actor, pending, apart_from=frozenset() if node else self.kept_off)
