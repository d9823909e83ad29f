"""The slots of a search: processes that run candidates, watched, and replaced when they are spoiled, hang or die."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import ray
import ray.exceptions

from raysweep.config import TrialConfig
from raysweep.errors import RayUnavailable
from raysweep.records.trial import SlotSize
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.memory_plan import MemoryPlan
from raysweep.stages.search.ray_deaths import DEATHS, Deaths, was_the_nodes
from raysweep.stages.search.ray_nodes import Cluster, no_room
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot_actor import Answer, Ready, SlotContext, is_memory_error, reason_of
from raysweep.stages.search.slot_events import Broke, Happened, Overdue, Reached
from raysweep.stages.search.slot_plan import Kind, Place, Sizes, SlotPlan

LOOK_SECONDS: Final = 1.0
_MAX_FAILED_STARTS: Final = 3
_ROOM_SHARE: Final = 0.9
_SAID_TO_WAIT_SECONDS: Final = 30.0
_NEED_MARGIN: Final = 1.2  # a candidate may take more than its family has so far


@dataclass(frozen=True, slots=True)
class SlotRules:
    """What slots there are.

    Attributes:
        sizes: the kinds of slots.
        kind_of: which kind the candidates of a family need.
        trial: the longest time of a trial, and what it asks for.
        look: gives the cluster as it is now; called about once a second.
        plan: how many slots there should be on a cluster.
        say: gets a sentence that the user should know.
        saw: is told of the cluster and its plan after each look.
    """

    sizes: Sizes
    kind_of: Callable[[str], Kind]
    trial: TrialConfig
    look: Callable[[], Cluster]
    plan: Callable[[Cluster], SlotPlan]
    say: Callable[[str], None]
    saw: Callable[[Cluster, SlotPlan], None]


@dataclass(slots=True, eq=False)
class _Slot:
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
    cluster: Cluster | None = None


class SlotProcesses:
    """Processes, each with what a trial gets of the cluster: as many as its nodes have room for.

    Args:
        processes: starts them.
        context: what every process gets.
        rules: which there are.
    """

    def __init__(self, processes: Processes, context: SlotContext, rules: SlotRules) -> None:
        self._processes = processes
        self._rules = rules
        self._config = rules.trial
        self._context = ray.put(context)
        self._deaths = Deaths()
        self._memory = MemoryPlan()
        self._rooms: dict[str, int | None] = {}
        self._slots: list[_Slot] = []
        self._seen = _Look()
        self._waits_since: float | None = time.monotonic()
        self._has_started = False
        self._look()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in self._slots:
            ray.kill(slot.actor)

    @property
    def has_idle(self) -> bool:
        """Whether a process waits for a candidate."""
        return any(slot.is_idle and self._may_take(slot) for slot in self._slots)

    def can_begin(self, attempt: Attempt) -> bool:
        """Whether a process waits for such a candidate, and this one fits beside what runs."""
        return self._slot_for(attempt) is not None

    def has_idle_for(self, attempt: Attempt) -> bool:
        """Whether a process waits for such a candidate, were there room for it."""
        return any(self._takes(slot, attempt) for slot in self._slots)

    def begin(self, attempt: Attempt, state: bytes | None = None) -> SlotSize:
        """Run a candidate that can begin.

        Args:
            attempt: what to run.
            state: of the rung that it goes on from.

        Returns:
            What it holds.

        Raises:
            ValueError: it cannot.
        """
        slot = self._slot_for(attempt)
        if slot is None:
            raise ValueError("no slot is free for the attempt")
        slot.attempt = attempt
        if self._config.seconds is not None:
            slot.deadline = time.monotonic() + self._config.seconds
        slot.pending = slot.actor.begin.remote(attempt.candidate, self._allowed(slot, attempt), state)
        return self._rules.sizes[slot.place[0]]

    def go_on(self, attempt: Attempt) -> None:
        """Let a trial that has reached a rung work up to the next one."""
        slot = self._slot_of(attempt)
        slot.pending = slot.actor.go_on.remote()

    def finish(self, attempt: Attempt) -> None:
        """The trial is over: its process may take another candidate, unless it was spoiled, or its node is leaving."""
        slot = self._slot_of(attempt)
        slot.attempt, slot.deadline = None, float("inf")
        if slot.spoiled:
            self._replace(slot)
        elif not self._may_take(slot):
            self._drop(slot)

    def wait(self, seconds: float) -> list[Happened]:
        """What has happened, after so many seconds at the latest.

        Raises:
            RayUnavailable: processes do not start.
        """
        slots = {slot.pending: slot for slot in self._slots if slot.pending is not None}
        nearest = min((slot.deadline for slot in self._slots), default=float("inf")) - time.monotonic()
        if slots:
            timeout = max(0.0, min(seconds, nearest))
            ready, rest = ray.wait(list(slots), num_returns=1, timeout=timeout)
            if rest:
                ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        else:
            ready = []
            time.sleep(max(0.0, min(seconds, nearest)))
        reported = set(ready)
        happened = [self._take(slots[pending]) for pending in slots if pending in reported]
        # One that has just reported is not pending any more: it is held to its time when it goes on.
        late = [slot for slot in self._slots if slot.pending is not None and slot.deadline <= time.monotonic()]
        happened += [self._overdue(slot) for slot in late]
        happened += self._deaths.resolved()
        if time.monotonic() >= self._seen.at:
            self._look()
        self._say_if_waiting()
        return [one for one in happened if one is not None]

    def _look(self) -> None:
        """See what the cluster is now, and have as many processes as it has room for."""
        cluster = self._rules.look()
        taking = frozenset(node.id for node in cluster.taking)
        plan = self._rules.plan(cluster)
        self._seen = _Look(time.monotonic() + LOOK_SECONDS, plan, taking, cluster)
        self._rules.saw(cluster, plan)
        for slot in [one for one in self._slots if one.is_idle and not self._may_take(one)]:
            self._drop(slot)
        missing = self._missing()
        for slot in sorted(self._slots, key=lambda one: bool(one.node)):  # those first that have not started
            if missing[slot.place] < 0 and slot.attempt is None and self._counts(slot):
                self._drop(slot)
                missing[slot.place] += 1
        for place in sorted(missing):
            for _ in range(missing[place]):
                self._slots.append(self._start(place))

    def _missing(self) -> Counter[Place]:
        """How many processes there are too few of each kind; negative where there are too many."""
        missing = Counter(self._seen.plan.places)
        missing.subtract(slot.place for slot in self._slots if self._counts(slot))
        return missing

    def _counts(self, slot: _Slot) -> bool:
        """Whether it is not on a node that is gone or leaving."""
        return not slot.node or self._may_take(slot)

    def _may_take(self, slot: _Slot) -> bool:
        """Whether its node takes new trials."""
        return slot.node in self._seen.taking

    def _take(self, slot: _Slot) -> Happened | None:
        attempt, pending = slot.attempt, slot.pending
        slot.pending = None
        try:
            answer = ray.get(pending)
        except DEATHS as error:
            return self._died(slot, error)
        except (
            ray.exceptions.RayTaskError
        ) as error:  # raised by what surrounds the candidate, such as for want of memory
            if attempt is None:
                raise
            self._replace(slot)
            return Broke(attempt, reason_of(error.cause), str(error), is_memory_error(error.cause))
        if attempt is None:
            self._started(slot, answer)
            return None
        return self._answered(slot, attempt, answer)

    def _started(self, slot: _Slot, answer: Ready) -> None:
        slot.node = answer.node
        room = None if answer.room is None else int(answer.room * _ROOM_SHARE)
        self._rooms.setdefault(answer.node, room)
        slot.failed_starts, self._has_started = 0, True
        kind = slot.place[0]
        if (kind, slot.node) in self._seen.plan.places:  # was asked for before its node was there
            slot.place = kind, slot.node
        if slot.node not in self._seen.taking:
            self._seen.at = 0.0  # a node that nobody has seen yet, or that is gone again

    def _answered(self, slot: _Slot, attempt: Attempt, answer: Answer) -> Happened:
        slot.spoiled = answer.spoiled
        if answer.report is None:
            self.finish(attempt)
            reason = f"out of memory: {answer.reason}" if answer.memory else answer.reason
            return Broke(attempt, reason, answer.failed, answer.memory)
        self._memory.learn(attempt.candidate.family, answer.report.memory_bytes)
        return Reached(attempt, answer.report, answer.node, answer.state, answer.unkept)

    def _died(self, slot: _Slot, error: Exception) -> Happened | None:
        attempt, node = slot.attempt, slot.node
        if attempt is not None:
            self._replace(slot)
            return self._deaths.of(attempt, node, error)
        starts = slot.failed_starts + (0 if was_the_nodes(error) else 1)
        if starts >= _MAX_FAILED_STARTS:
            raise RayUnavailable(
                f"a trial's process died {starts} times before it could start: {_first_line(error)}; see Ray's logs"
            ) from error
        self._replace(slot, starts)
        return None

    def _overdue(self, slot: _Slot) -> Happened | None:
        attempt = slot.attempt
        if attempt is None:
            return None
        self._replace(slot)
        return Overdue(attempt, f"search.trial.seconds: it took over {self._config.seconds:g} s, and was killed")

    def _replace(self, slot: _Slot, failed_starts: int = 0) -> None:
        """Let another process take its place, where there still is one for it."""
        self._drop(slot)
        if self._missing()[slot.place] > 0:
            new = self._start(slot.place)
            new.failed_starts = failed_starts
            self._slots.append(new)

    def _drop(self, slot: _Slot) -> None:
        ray.kill(slot.actor)
        self._slots.remove(slot)

    def _start(self, place: Place) -> _Slot:
        kind, node = place
        actor = self._processes.take(self._rules.sizes[kind], node)
        return _Slot(place, actor, actor.prepare.remote(self._context, kind is Kind.GPU))

    def _slot_for(self, attempt: Attempt) -> _Slot | None:
        """An idle slot where the attempt may run now."""
        return next((slot for slot in self._slots if self._takes(slot, attempt) and self._fits(slot, attempt)), None)

    def _takes(self, slot: _Slot, attempt: Attempt) -> bool:
        """Whether it is idle, and of the kind that the attempt needs."""
        if not slot.is_idle or not self._may_take(slot):
            return False
        return self._seen.plan.mixed or slot.place[0] is self._rules.kind_of(attempt.candidate.family)

    def _fits(self, slot: _Slot, attempt: Attempt) -> bool:
        """Whether the attempt may run beside what runs on the same node."""
        beside = [other.attempt for other in self._slots if other.attempt is not None and other.node == slot.node]
        if beside and (attempt.alone or any(other.alone for other in beside)):
            return False
        running = [other.candidate.family for other in beside]
        return self._memory.fits(attempt.candidate.family, running, self._rooms.get(slot.node))

    def _allowed(self, slot: _Slot, attempt: Attempt) -> int | None:
        """How much memory a trial may take: its share of the node, or more where its family is known to need more.

        One that runs alone may take all of it.
        """
        room = self._rooms.get(slot.node)
        if room is None or slot.place[0] is Kind.GPU:  # a GPU's driver maps more than there is
            return None
        if attempt.alone:
            return room
        share = room // sum(other.node in {slot.node, ""} for other in self._slots)  # those that start may come here
        return min(room, max(share, int(_NEED_MARGIN * self._memory.need(attempt.candidate.family))))

    def _slot_of(self, attempt: Attempt) -> _Slot:
        return next(slot for slot in self._slots if slot.attempt is attempt)

    def _say_if_waiting(self) -> None:
        if any(slot.node for slot in self._slots):
            self._waits_since = None
            return
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        elif now - self._waits_since > _SAID_TO_WAIT_SECONDS:
            self._waits_since = None
            self._say_it_waits()

    def _say_it_waits(self) -> None:
        """Say what is waited for.

        Raises:
            RayUnavailable: it can never come.
        """
        plan, cluster = self._seen.plan, self._seen.cluster
        asked = f"{self._config.cpus} CPUs and {self._config.gpus:g} GPUs"
        if plan.total:
            self._rules.say(f"still waiting for the cluster to give a trial {asked}")
        elif plan.pending:
            self._rules.say(f"still waiting for the autoscaler to bring a node with {asked}")
        elif self._has_started or cluster is None:
            self._rules.say(f"no node with {asked} is left: waiting for one to join the cluster")
        else:  # the autoscaler has said so meanwhile
            raise RayUnavailable(no_room(cluster.nodes, self._config))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), repr(error))
