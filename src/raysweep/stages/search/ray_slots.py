"""The slots of a search: processes that run candidates, watched, and replaced when they are spoiled, hang or die."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import ray
import ray.exceptions

from raysweep.config import TrialConfig
from raysweep.errors import RayUnavailable
from raysweep.stages.search.memory_plan import MemoryPlan
from raysweep.stages.search.ray_processes import Processes, answers, ask, is_alive
from raysweep.stages.search.ray_slot_actor import Answer, Ready, SlotContext
from raysweep.stages.search.slot_events import Broke, Happened, Lost, Overdue, Reached
from raysweep.stages.search.steering import Attempt

_MAX_FAILED_STARTS: Final = 3
_ROOM_SHARE: Final = 0.9
_DOUBT_SECONDS: Final = 60.0  # Ray notices within half a minute that a node does not answer
_SAID_TO_WAIT_SECONDS: Final = 30.0
_DEATHS: Final = (
    ray.exceptions.RayActorError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A process has died, alone or with its node: a task that can run there alone will tell.

    Attributes:
        sign: of life, pending.
        until: when a node that has not answered counts as gone.
    """

    attempt: Attempt
    node: str
    sign: Any
    until: float


@dataclass(slots=True)
class _Slot:
    actor: Any
    pending: Any
    node: str = ""
    attempt: Attempt | None = None
    deadline: float = float("inf")
    spoiled: tuple[str, ...] = field(default=())

    @property
    def is_idle(self) -> bool:
        return self.pending is None and self.attempt is None


class Slots:
    """So many processes, each with what a trial gets of the cluster.

    Args:
        processes: starts them.
        context: what every process gets.
        count: how many.
        config: the resources and the longest time of a trial.
        say: gets a sentence that the user should know.
    """

    def __init__(
        self,
        processes: Processes,
        context: SlotContext,
        count: int,
        config: TrialConfig,
        say: Callable[[str], None],
    ) -> None:
        self._processes = processes
        self._config = config
        self._say = say
        self._context = ray.put(context)
        self._failed_starts = 0
        self._memory = MemoryPlan()
        self._rooms: dict[str, int | None] = {}
        self._doubts: list[_Doubt] = []
        self._slots = [_Slot(*self._start()) for _ in range(count)]
        self._waits_since: float | None = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in self._slots:
            ray.kill(slot.actor)

    @property
    def busy(self) -> bool:
        """Whether a trial runs."""
        return any(slot.attempt is not None for slot in self._slots)

    @property
    def has_idle(self) -> bool:
        """Whether a process waits for a candidate."""
        return any(slot.is_idle for slot in self._slots)

    def can_begin(self, attempt: Attempt) -> bool:
        """Whether a process waits for a candidate, and this one fits beside what runs."""
        return self._slot_for(attempt) is not None

    def begin(self, attempt: Attempt) -> None:
        """Run a candidate that can begin.

        Raises:
            ValueError: it cannot.
        """
        slot = self._slot_for(attempt)
        if slot is None:
            raise ValueError("no slot is free for the attempt")
        slot.attempt = attempt
        if self._config.seconds is not None:
            slot.deadline = time.monotonic() + self._config.seconds
        slot.pending = slot.actor.begin.remote(attempt.candidate, self._allowed(slot, attempt))

    def go_on(self, attempt: Attempt) -> None:
        """Let a trial that has reached a rung work up to the next one."""
        slot = self._slot_of(attempt)
        slot.pending = slot.actor.go_on.remote()

    def finish(self, attempt: Attempt) -> None:
        """The trial is over: its process may take another candidate, unless it was spoiled."""
        slot = self._slot_of(attempt)
        slot.attempt, slot.deadline = None, float("inf")
        if slot.spoiled:
            self._replace(slot)

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
        happened = [self._take(slots[pending]) for pending in slots if pending in set(ready)]
        happened += [self._overdue(slot) for slot in self._slots if slot.deadline <= time.monotonic()]
        happened += self._resolved()
        self._say_if_waiting()
        return [one for one in happened if one is not None]

    def _take(self, slot: _Slot) -> Happened | None:
        attempt, pending = slot.attempt, slot.pending
        slot.pending = None
        try:
            answer = ray.get(pending)
        except (
            ray.exceptions.RayActorError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.WorkerCrashedError,
        ) as error:
            return self._died(slot, error)
        if attempt is None:
            self._started(slot, answer)
            return None
        return self._answered(slot, attempt, answer)

    def _started(self, slot: _Slot, answer: Ready) -> None:
        slot.node = answer.node
        room = None if answer.room is None else int(answer.room * _ROOM_SHARE)
        self._rooms.setdefault(answer.node, room)
        self._failed_starts = 0
        self._waits_since = None

    def _answered(self, slot: _Slot, attempt: Attempt, answer: Answer) -> Happened:
        slot.spoiled = answer.spoiled
        if answer.report is None:
            reason = answer.failed.strip().splitlines()[-1]
            reason = f"out of memory: {reason}" if answer.memory else reason
            self.finish(attempt)
            return Broke(attempt, reason, answer.failed, answer.memory)
        self._memory.learn(attempt.candidate.family, answer.report.memory_bytes)
        return Reached(attempt, answer.report, answer.node)

    def _died(self, slot: _Slot, error: Exception) -> Happened | None:
        attempt, node = slot.attempt, slot.node
        is_memory = isinstance(error, ray.exceptions.OutOfMemoryError)
        if attempt is None:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise RayUnavailable(
                    f"a trial's process died {self._failed_starts} times before it could start: {_first_line(error)}; "
                    "see Ray's logs"
                ) from error
        self._replace(slot)
        if attempt is None:
            return None
        if is_memory:
            return Lost(attempt, "its process was killed: the node ran out of memory", counts=True, memory=True)
        if len(self._rooms) > 1:  # with one node, it is the driver's own, and lives
            self._doubts.append(_Doubt(attempt, node, ask(node), time.monotonic() + _DOUBT_SECONDS))
            return None
        return _crashed(attempt)

    def _resolved(self) -> list[Happened]:
        """Deaths of which it is known by now whose fault they are."""
        doubts, self._doubts = self._doubts, []
        found: list[Happened] = []
        for doubt in doubts:
            lives = answers(doubt.sign)
            if lives is None and is_alive(doubt.node) and time.monotonic() < doubt.until:
                self._doubts.append(doubt)
            elif lives:
                found.append(_crashed(doubt.attempt))
            else:
                found.append(Lost(doubt.attempt, "its node is gone", counts=False))
        return found

    def _overdue(self, slot: _Slot) -> Happened | None:
        attempt = slot.attempt
        if attempt is None:
            return None
        self._replace(slot)
        return Overdue(attempt, f"search.trial.seconds: it took over {self._config.seconds:g} s, and was killed")

    def _replace(self, slot: _Slot) -> None:
        ray.kill(slot.actor)
        slot.actor, slot.pending = self._start()
        slot.node, slot.attempt, slot.deadline, slot.spoiled = "", None, float("inf"), ()

    def _start(self) -> tuple[Any, Any]:
        actor = self._processes.take()
        return actor, actor.prepare.remote(self._context)

    def _slot_for(self, attempt: Attempt) -> _Slot | None:
        """An idle slot where the attempt may run now."""
        busy = [slot.attempt for slot in self._slots if slot.attempt is not None]
        if busy and (attempt.alone or any(other.alone for other in busy)):
            return None
        idle = (slot for slot in self._slots if slot.is_idle)
        return next((slot for slot in idle if self._fits(slot, attempt)), None)

    def _fits(self, slot: _Slot, attempt: Attempt) -> bool:
        running = [
            other.attempt.candidate.family
            for other in self._slots
            if other.attempt is not None and other.node == slot.node
        ]
        return self._memory.fits(attempt.candidate.family, running, self._rooms.get(slot.node))

    def _allowed(self, slot: _Slot, attempt: Attempt) -> int | None:
        """How much memory a trial may take: its share of the node, or all of it where nothing runs beside it."""
        room = self._rooms.get(slot.node)
        if room is None or self._config.gpus:  # a GPU's driver maps more than there is
            return None
        if attempt.alone:
            return room
        return room // sum(other.node == slot.node for other in self._slots)

    def _slot_of(self, attempt: Attempt) -> _Slot:
        return next(slot for slot in self._slots if slot.attempt is attempt)

    def _say_if_waiting(self) -> None:
        if self._waits_since is not None and time.monotonic() - self._waits_since > _SAID_TO_WAIT_SECONDS:
            self._waits_since = None
            self._say(
                f"still waiting for the cluster to give a trial {self._config.cpus} CPUs and {self._config.gpus:g} GPUs"
            )


def _crashed(attempt: Attempt) -> Lost:
    return Lost(attempt, "its process died (a crash in native code, or killed)", counts=True)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), repr(error))
