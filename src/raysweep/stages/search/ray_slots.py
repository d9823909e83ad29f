"""The slots of a search: processes that run candidates, watched, and replaced when they are spoiled, hang or die."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

import ray
import ray.exceptions

from raysweep.config import TrialConfig
from raysweep.errors import RayUnavailable
from raysweep.stages.search.memory_plan import MemoryPlan
from raysweep.stages.search.ray_processes import Processes, answers, ask, is_alive
from raysweep.stages.search.ray_slot_actor import Answer, Ready, SlotContext, is_memory_error, reason_of
from raysweep.stages.search.slot_events import Broke, Gone, Happened, Overdue, Reached
from raysweep.stages.search.steering import Attempt
from raysweep.stages.search.trial_log import Loss

_MAX_FAILED_STARTS: Final = 3
_ROOM_SHARE: Final = 0.9
_DOUBT_SECONDS: Final = 60.0  # Ray notices within half a minute that a node does not answer
_SAID_TO_WAIT_SECONDS: Final = 30.0
_NEED_MARGIN: Final = 1.2  # a candidate may take more than its family has so far
# Which of these it was cannot be seen from outside: the kernel kills for want of memory without a word.
_CRASH: Final = Loss("its process died (a crash in native code, out of memory, or killed)")
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
        died_at: seconds since the epoch.
    """

    attempt: Attempt
    node: str
    sign: Any
    until: float
    died_at: float


@dataclass(slots=True)
class _Slot:
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


class SlotProcesses:
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
        self._here = str(ray.get_runtime_context().get_node_id())
        self._memory = MemoryPlan()
        self._rooms: dict[str, int | None] = {}
        self._doubts: list[_Doubt] = []
        self._said: set[str] = set()
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
            time.sleep(max(0.0, min(seconds, nearest)))
        happened = [self._take(slots[pending]) for pending in slots if pending in set(ready)]
        # One that has just reported is not pending any more: it is held to its time when it goes on.
        late = [slot for slot in self._slots if slot.pending is not None and slot.deadline <= time.monotonic()]
        happened += [self._overdue(slot) for slot in late]
        happened += self._resolved()
        self._say_if_waiting()
        return [one for one in happened if one is not None]

    def _take(self, slot: _Slot) -> Happened | None:
        attempt, pending = slot.attempt, slot.pending
        slot.pending = None
        try:
            answer = ray.get(pending)
        except _DEATHS as error:
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
        slot.failed_starts = 0
        if answer.said and answer.said not in self._said:
            self._said.add(answer.said)
            self._say(answer.said)

    def _answered(self, slot: _Slot, attempt: Attempt, answer: Answer) -> Happened:
        slot.spoiled = answer.spoiled
        if answer.report is None:
            self.finish(attempt)
            reason = f"out of memory: {answer.reason}" if answer.memory else answer.reason
            return Broke(attempt, reason, answer.failed, answer.memory)
        self._memory.learn(attempt.candidate.family, answer.report.memory_bytes)
        return Reached(attempt, answer.report, answer.node)

    def _died(self, slot: _Slot, error: Exception) -> Happened | None:
        attempt, node, starts = slot.attempt, slot.node, slot.failed_starts + 1
        if attempt is None and starts >= _MAX_FAILED_STARTS:
            raise RayUnavailable(
                f"a trial's process died {starts} times before it could start: {_first_line(error)}; see Ray's logs"
            ) from error
        self._replace(slot)
        if attempt is None:
            slot.failed_starts = starts
            return None
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            return Gone(attempt, Loss("its process was killed: the node ran out of memory", alone=True))
        if node != self._here:  # the driver's own lives
            until = time.monotonic() + _DOUBT_SECONDS
            self._doubts.append(_Doubt(attempt, node, ask(node), until, time.time()))
            return None
        return Gone(attempt, _CRASH)

    def _resolved(self) -> list[Happened]:
        """Deaths of which it is known by now whose fault they are."""
        doubts, self._doubts = self._doubts, []
        found: list[Happened] = []
        for doubt in doubts:
            lives = answers(doubt.sign)
            if lives is None and is_alive(doubt.node) and time.monotonic() < doubt.until:
                self._doubts.append(doubt)
                continue
            loss = _CRASH if lives else Loss("its node is gone", counts=False)
            found.append(Gone(doubt.attempt, replace(loss, at=doubt.died_at)))
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
        return next((slot for slot in self._slots if slot.is_idle and self._fits(slot, attempt)), None)

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
        if room is None or self._config.gpus:  # a GPU's driver maps more than there is
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
            self._say(
                f"still waiting for the cluster to give a trial {self._config.cpus} CPUs and {self._config.gpus:g} GPUs"
            )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), repr(error))
