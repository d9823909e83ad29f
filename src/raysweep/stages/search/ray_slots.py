"""The slots of a search: processes that run candidates, watched, and replaced when they are spoiled, hang or die."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

import ray
import ray.exceptions

from raysweep.errors import RayUnavailable, SealBroken
from raysweep.records.trial import SlotSize
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.memory_plan import MemoryPlan
from raysweep.stages.search.ray_deaths import DEATHS, Deaths, line_of, was_the_nodes
from raysweep.stages.search.ray_processes import Processes, logs_folder, node_of
from raysweep.stages.search.ray_slot import Slot, SlotRules
from raysweep.stages.search.ray_slot_actor import Answer, Ready, SlotContext, is_memory_error, reason_of
from raysweep.stages.search.ray_slot_set import SlotSet
from raysweep.stages.search.slot_events import Broke, Happened, Overdue, Reached
from raysweep.stages.search.slot_plan import Kind

_MAX_FAILED_STARTS: Final = 3
_ROOM_SHARE: Final = 0.9
_NEED_MARGIN: Final = 1.2  # a candidate may take more than its family has so far


class SlotProcesses:
    """Processes, each with what a trial gets of the cluster: as many as its nodes have room for.

    Args:
        processes: starts them.
        context: what every process gets.
        rules: which there are.
    """

    def __init__(self, processes: Processes, context: SlotContext, rules: SlotRules) -> None:
        self._rules = rules
        self._config = rules.trial
        self._deaths = Deaths()
        self._memory = MemoryPlan()
        self._rooms: dict[str, int | None] = {}
        self._said: set[str] = set()
        self._hopeless: list[Attempt] = []  # begun without a slot, to fail
        self._set = SlotSet(processes, context, rules)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set.end()

    @property
    def kept_off(self) -> frozenset[str]:
        """The ids of nodes that get no trials."""
        return self._set.kept_off

    @property
    def has_idle(self) -> bool:
        """Whether a process waits for a candidate."""
        return any(slot.is_idle and self._set.may_take(slot) for slot in self._set.slots)

    def can_begin(self, attempt: Attempt) -> bool:
        """Whether a process waits for such a candidate, and this one fits beside what runs; or none is to come."""
        return self._slot_for(attempt) is not None or (not self._hopeless and self._lacks(attempt))

    def has_idle_for(self, attempt: Attempt) -> bool:
        """Whether a process waits for such a candidate, were there room for it."""
        return any(self._takes(slot, attempt) for slot in self._set.slots)

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
        if slot is None and not self._lacks(attempt):
            raise ValueError("no slot is free for the attempt")
        if slot is None:
            self._hopeless.append(attempt)
            return self._rules.sizes[self._rules.kind_of(attempt.candidate.family)]
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
            self._set.replace(slot)
        elif not self._set.may_take(slot):
            self._set.drop(slot)

    def wait(self, seconds: float) -> list[Happened]:
        """What has happened, after so many seconds at the latest.

        Raises:
            RayUnavailable: processes do not start.
        """
        if self._hopeless:
            self._set.look_if_due()
            attempt = self._hopeless.pop()
            why = self._set.why_given_up(self._rules.kind_of(attempt.candidate.family))
            return [Overdue(attempt, why, answers=False)]
        slots = {slot.pending: slot for slot in self._set.slots if slot.pending is not None}
        nearest = min((slot.deadline for slot in self._set.slots), default=float("inf")) - time.monotonic()
        if slots:
            timeout = max(0.0, min(seconds, nearest))
            ready, rest = ray.wait(list(slots), num_returns=1, timeout=timeout)
            if rest:
                ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        else:
            ready = []
            time.sleep(max(0.0, min(seconds, nearest)))
        reported = set(ready)
        here = self._set.slots  # where one node is set aside, other slots on it go as well
        happened = [self._take(slot) for pending, slot in slots.items() if pending in reported and slot in here]
        # One that has just reported is not pending any more: it is held to its time when it goes on.
        late = [slot for slot in self._set.slots if slot.pending is not None and slot.deadline <= time.monotonic()]
        happened += [self._overdue(slot) for slot in late]
        happened += self._deaths.resolved()
        self._set.look_if_due()
        return [one for one in happened if one is not None]

    def _lacks(self, attempt: Attempt) -> bool:
        """Whether no slot for it is waited for any more."""
        return self._set.is_given_up(self._rules.kind_of(attempt.candidate.family))

    def _take(self, slot: Slot) -> Happened | None:
        attempt, pending = slot.attempt, slot.pending
        slot.pending = None
        try:
            answer = ray.get(pending)
        except DEATHS as error:
            return self._died(slot, error)
        except ray.exceptions.RayTaskError as error:  # by what surrounds the candidate, such as for want of memory
            if attempt is None:
                self._cannot_start(slot, node_of(slot.actor), error, reason_of(error.cause))
                return None
            self._set.replace(slot)
            return Broke(attempt, reason_of(error.cause), str(error), is_memory_error(error.cause))
        if attempt is None:
            self._started(slot, answer)
            return None
        return self._answered(slot, attempt, answer)

    def _started(self, slot: Slot, answer: Ready) -> None:
        room = None if answer.room is None else int(answer.room * _ROOM_SHARE)
        self._rooms.setdefault(answer.node, room)
        self._set.started(slot, answer.node)
        if answer.said and answer.said not in self._said:
            self._said.add(answer.said)
            self._rules.say(answer.said)

    def _answered(self, slot: Slot, attempt: Attempt, answer: Answer) -> Happened:
        slot.spoiled = answer.spoiled
        if answer.report is None:
            self.finish(attempt)
            reason = f"out of memory: {answer.reason}" if answer.memory else answer.reason
            return Broke(attempt, reason, answer.failed, answer.memory)
        self._memory.learn(attempt.candidate.family, answer.report.memory_bytes)
        return Reached(attempt, answer.report, answer.node, answer.state, answer.unkept)

    def _died(self, slot: Slot, error: Exception) -> Happened | None:
        attempt, node = slot.attempt, slot.node
        if attempt is not None:
            self._set.replace(slot)
            return self._deaths.of(attempt, node, error)
        where, starts = node_of(slot.actor), slot.failed_starts.copy()
        starts[where] += 0 if was_the_nodes(error) else 1
        if starts[where] < _MAX_FAILED_STARTS:
            self._set.replace(slot, starts)
            return None
        why = f"a trial's process died {starts[where]} times before it could start: {line_of(error)}"
        self._cannot_start(slot, where, RayUnavailable(f"{why}; see Ray's logs"), why)
        return None

    def _cannot_start(self, slot: Slot, node: str, error: Exception, why: str) -> None:
        """Do without a node where a process cannot start.

        Raises:
            Exception: this one, where there is no other node, or a row is sealed.
        """
        if self._set.is_aside(node):
            self._set.replace(slot)
            return
        ends_all = isinstance(error, SealBroken) or isinstance(getattr(error, "cause", None), SealBroken)
        name = "" if ends_all else self._set.set_aside(slot, node)
        if not name:
            raise error
        self._rules.say(f"{name} is set aside, and takes no more trials: {why}. Ray's logs there: {logs_folder()}")

    def _overdue(self, slot: Slot) -> Happened | None:
        attempt = slot.attempt
        if attempt is None:
            return None
        self._set.replace(slot)
        return Overdue(attempt, f"search.trial.seconds: it took over {self._config.seconds:g} s, and was killed")

    def _slot_for(self, attempt: Attempt) -> Slot | None:
        """An idle slot where the attempt may run now."""
        return next(
            (slot for slot in self._set.slots if self._takes(slot, attempt) and self._fits(slot, attempt)), None
        )

    def _takes(self, slot: Slot, attempt: Attempt) -> bool:
        """Whether it is idle, and of the kind that the attempt needs."""
        if not slot.is_idle or not self._set.may_take(slot):
            return False
        return self._set.plan.mixed or slot.place[0] is self._rules.kind_of(attempt.candidate.family)

    def _fits(self, slot: Slot, attempt: Attempt) -> bool:
        """Whether the attempt may run beside what runs on the same node."""
        beside = [other.attempt for other in self._set.slots if other.attempt is not None and other.node == slot.node]
        if beside and (attempt.alone or any(other.alone for other in beside)):
            return False
        running = [other.candidate.family for other in beside]
        return self._memory.fits(attempt.candidate.family, running, self._rooms.get(slot.node))

    def _allowed(self, slot: Slot, attempt: Attempt) -> int | None:
        """How much memory a trial may take: its share of the node, or more where its family is known to need more.

        One that runs alone may take all of it.
        """
        room = self._rooms.get(slot.node)
        if room is None or slot.place[0] is Kind.GPU:  # a GPU's driver maps more than there is
            return None
        if attempt.alone:
            return room
        there = sum(other.node == slot.node for other in self._set.slots)
        planned = sum(other.place[1] == slot.node for other in self._set.slots)  # some may be starting still
        share = room // max(there, planned)
        return min(room, max(share, int(_NEED_MARGIN * self._memory.need(attempt.candidate.family))))

    def _slot_of(self, attempt: Attempt) -> Slot:
        return next(slot for slot in self._set.slots if slot.attempt is attempt)
