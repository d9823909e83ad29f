"""Whose fault it is that a process has died: its own, or that of its node."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final

import ray
import ray.exceptions

from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.ray_processes import answers, ask, is_alive
from raysweep.stages.search.slot_events import Gone, Happened
from raysweep.stages.search.trial_log import Loss

DEATHS: Final = (
    ray.exceptions.RayActorError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ActorUnschedulableError,
    ray.exceptions.ObjectLostError,  # its answer was ready, and lay on a node that was lost before it was fetched
    ray.exceptions.ObjectFetchTimedOutError,
)
_DOUBT_SECONDS: Final = 60.0  # Ray notices within half a minute that a node does not answer
# Which of these it was cannot be seen from outside: the kernel kills for want of memory without a word.
_CRASH: Final = Loss("its process died (a crash in native code, out of memory, or killed)")
_NODE_GONE: Final = Loss("its node is gone", counts=False)
_PREEMPTED: Final = Loss("its node was preempted", counts=False)
_OUT_OF_MEMORY: Final = Loss("its process was killed: the node ran out of memory", alone=True)


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


class Deaths:
    """Finds out why processes have died that were running a trial."""

    def __init__(self) -> None:
        self._here = str(ray.get_runtime_context().get_node_id())
        self._doubts: list[_Doubt] = []

    def of(self, attempt: Attempt, node: str, error: Exception) -> Happened | None:
        """What became of the attempt; None where that has to be found out: `resolved` tells it.

        Args:
            attempt: that ran there.
            node: its process's.
            error: what Ray says.
        """
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            return Gone(attempt, _OUT_OF_MEMORY)
        if getattr(error, "preempted", False):
            return Gone(attempt, _PREEMPTED)
        if was_the_nodes(error):
            return Gone(attempt, _NODE_GONE)
        if node == self._here:  # the driver's own lives
            return Gone(attempt, _CRASH)
        until = time.monotonic() + _DOUBT_SECONDS
        self._doubts.append(_Doubt(attempt, node, ask(node), until, time.time()))
        return None

    def resolved(self) -> list[Happened]:
        """Deaths of which it is known by now whose fault they are."""
        doubts, self._doubts = self._doubts, []
        found: list[Happened] = []
        for doubt in doubts:
            lives = answers(doubt.sign)
            if lives is None and is_alive(doubt.node) and time.monotonic() < doubt.until:
                self._doubts.append(doubt)
                continue
            loss = _CRASH if lives else _NODE_GONE
            found.append(Gone(doubt.attempt, replace(loss, at=doubt.died_at)))
        return found


def was_the_nodes(error: Exception) -> bool:
    """Whether Ray says that a process died, or never began, since its node is gone."""
    if isinstance(error, ray.exceptions.ActorUnschedulableError | ray.exceptions.NodeDiedError):
        return True
    return isinstance(error, ray.exceptions.RayActorError) and "its node has died" in str(error)


def line_of(error: Exception) -> str:
    """Its first line; its last one where that is what a process has raised while it started."""
    lines = str(error).strip().splitlines() or [repr(error)]
    return (lines[-1] if "creation task" in lines[0] else lines[0]).strip().rstrip(".")
