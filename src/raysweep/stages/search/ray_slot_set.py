"""The processes of a search: as many of each kind as the cluster has room for, wherever it has."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ray

from raysweep.config import TrialConfig
from raysweep.errors import RayUnavailable
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.ray_nodes import Cluster, no_room
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.stages.search.slot_plan import Kind, Place, Sizes, SlotPlan

LOOK_SECONDS: Final = 1.0
ASKED_LOOK_SECONDS: Final = 0.2  # while a node is asked what it has
_SAID_TO_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class SlotRules:
    """What slots there are.

    Attributes:
        sizes: the kinds of slots.
        kind_of: which kind the candidates of a family need.
        trial: the longest time of a trial, and what it asks for.
        look: gives the cluster as it is now, where so many slots are asked for beyond what fits; about once a second.
        plan: how many slots there should be on a cluster.
        say: gets a sentence that the user should know.
        saw: is told of the cluster and its plan after each look.
    """

    sizes: Sizes
    kind_of: Callable[[str], Kind]
    trial: TrialConfig
    look: Callable[[Mapping[Kind, int]], Cluster]
    plan: Callable[[Cluster], SlotPlan]
    say: Callable[[str], None]
    saw: Callable[[Cluster, SlotPlan], None]


@dataclass(slots=True, eq=False)
class Slot:
    """A process, and what it does.

    Attributes:
        place: the kind of slot that it is, and where it may be.
        pending: what it was asked for last; None while it waits.
        node: the id of its node; empty while it starts.
        deadline: until when its trial may go on, by `time.monotonic`.
        spoiled: as in `Answer`.
        failed_starts: how often one has died in its place before it had started.
    """

    place: Place
    actor: Any
    pending: Any
    node: str = ""
    attempt: Attempt | None = None
    deadline: float = float("inf")
    spoiled: tuple[str, ...] = ()
    failed_starts: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a candidate."""
        return self.pending is None and self.attempt is None


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
        self._config = rules.trial
        self._context = ray.put(context)
        self._seen = _Look()
        self._waits_since: float | None = time.monotonic()
        self._has_started = False
        self.slots: list[Slot] = []
        self.look()

    @property
    def plan(self) -> SlotPlan:
        """How many there should be."""
        return self._seen.plan

    def look_if_due(self) -> None:
        """See what the cluster is now, about once a second."""
        if time.monotonic() >= self._seen.at:
            self.look()
        self._say_if_waiting()

    def end(self) -> None:
        """End all processes, those that never began included."""
        for slot in self.slots:
            ray.kill(slot.actor)

    def started(self, slot: Slot, node: str) -> None:
        """A process has started there."""
        slot.node, slot.failed_starts, self._has_started = node, 0, True
        self._hold_to_node(slot)
        if node not in self._seen.taking:
            self._seen.at = 0.0  # a node that nobody has seen yet, or that is gone again

    def look(self) -> None:
        """See what the cluster is now, and have as many processes as it has room for."""
        cluster = self._rules.look(self._seen.plan.pending)
        taking = frozenset(node.id for node in cluster.taking)
        plan = self._rules.plan(cluster)
        soon = LOOK_SECONDS if not cluster.asked else ASKED_LOOK_SECONDS
        self._seen = _Look(time.monotonic() + soon, plan, taking, cluster)
        self._rules.saw(cluster, plan)
        for slot in self.slots:
            self._hold_to_node(slot)
        for slot in [one for one in self.slots if one.is_idle and not self._counts(one)]:
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

    def may_take(self, slot: Slot) -> bool:
        """Whether its node takes new trials."""
        return slot.node in self._seen.taking

    def replace(self, slot: Slot, failed_starts: int = 0) -> None:
        """Let another process take its place, where there still is one for it."""
        self.drop(slot)
        if self._missing()[slot.place] > 0:
            new = self._start(slot.place)
            new.failed_starts = failed_starts
            self.slots.append(new)

    def drop(self, slot: Slot) -> None:
        """End it."""
        ray.kill(slot.actor)
        self.slots.remove(slot)

    def _start(self, place: Place) -> Slot:
        kind, node = place
        cluster = self._seen.cluster
        actor = self._processes.take(self._rules.sizes[kind], node, cluster.closed | cluster.asked)
        return Slot(place, actor, actor.prepare.remote(self._context, kind is Kind.GPU))

    def _say_if_waiting(self) -> None:
        lacking = self._lacking()
        if lacking is None:
            self._waits_since = None
            return
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        elif now - self._waits_since > _SAID_TO_WAIT_SECONDS:
            self._waits_since = None
            self._say_it_waits(lacking)

    def _lacking(self) -> Kind | None:
        """A kind of slots of which none has started: its families have no place; None where all have one."""
        started = {slot.place[0] for slot in self.slots if slot.node}
        if started and self._seen.plan.mixed:
            return None
        return next((kind for kind in self._rules.sizes if kind not in started), None)

    def _say_it_waits(self, kind: Kind) -> None:
        """Say what is waited for.

        Raises:
            RayUnavailable: it can never come.
        """
        plan, cluster = self._seen.plan, self._seen.cluster
        size = self._rules.sizes[kind]
        asked = f"{size.cpus} CPUs and {size.gpus:g} GPUs"
        if plan.count(kind):
            self._rules.say(f"still waiting for the cluster to give a trial {asked}")
        elif plan.pending.get(kind):
            self._rules.say(f"still waiting for the autoscaler to bring a node with {asked}")
        elif cluster.asked:
            self._rules.say(f"still waiting for a node that has joined to tell whether a trial gets {asked} there")
        elif self._has_started or plan.total:
            self._rules.say(f"no node has {asked} for a trial now: waiting for one to join the cluster")
        else:  # the autoscaler has said so meanwhile
            raise RayUnavailable(no_room(cluster.nodes, self._config))
