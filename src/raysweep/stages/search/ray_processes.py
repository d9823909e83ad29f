"""Starting the processes of slots, and finding out whether a node still lives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import ray
import ray.exceptions
from ray._private.state import state
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raysweep.records.trial import SlotSize
from raysweep.runtime.ray_by_value import apart_from, pinned
from raysweep.runtime.ray_carry import carry
from raysweep.runtime.ray_crew import DIED, Crew
from raysweep.stages.search.ray_slot_actor import SlotActor
from raysweep.training.families import added_families


class Processes:
    """Starts the processes of slots; those that were started early end with the `with` block.

    Args:
        names: of the families that may come.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._class = ray.remote(max_restarts=0)(SlotActor)
        self._arguments = (tuple(names), carry(added_families()))
        self._early: list[Any] = []
        self._all_early: list[Any] = []  # those that were taken included

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start_early(self, count: int) -> None:
        """Let processes load their learners before the search begins, until there are so many.

        They hold no core of Ray's, so that reading is not kept waiting: only for a machine that nobody else uses.
        """
        self._early += [self._start_early() for _ in range(count - len(self._early))]

    def _start_early(self) -> Any:
        self._all_early.append(self._class.options(num_cpus=0).remote(*self._arguments))
        return self._all_early[-1]

    def help_out(self, work: Callable[[Any, Any], Any], values: Sequence[Any], shared: Any) -> list[Any] | None:
        """What `work(value, shared)` gives for each value, in the processes that were started early, and here.

        The first values go to those processes; while all of them are busy, or still load, the last ones are done here.

        Args:
            work: that the search's processes may do: it must not be given a validation row.
            values: of each call.
            shared: what every call gets.

        Returns:
            In the order of the values; None where no process was started early, or one of them has died.
        """
        if not self._early:
            return None
        placed = ray.put(shared)
        waiting, found = deque(enumerate(values)), dict[int, Any]()
        idle, running = list(self._early), dict[Any, tuple[int, Any]]()
        while waiting or running:
            while idle and waiting:
                (number, value), process = waiting.popleft(), idle.pop()
                running[process.help_out.remote(work, value, placed)] = number, process
            if waiting:
                number, value = waiting.pop()
                found[number] = work(value, shared)
            done = ray.wait(list(running), timeout=0 if waiting else None)[0]
            for one in done:
                number, process = running.pop(one)
                idle.append(process)
                try:
                    found[number] = ray.get(one)
                except DIED:
                    self._early = []
                    return None
        return [found[number] for number in range(len(values))]

    def take(self, size: SlotSize, node: str = "", kept_off: Collection[str] = ()) -> Any:
        """A process, which may still be starting.

        Args:
            size: what it holds.
            node: the id of the only node where it may be; empty for any.
            kept_off: the ids of nodes where it may not be.
        """
        if self._early:
            return self._early.pop()
        options: dict[str, Any] = {"num_cpus": size.cpus, "num_gpus": size.gpus}
        if node:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        else:
            options |= apart_from(kept_off)
        return self._class.options(**options).remote(*self._arguments)

    def give_back(self, process: Any) -> bool:
        """Keep a process for what comes after the search, where it was started early: it is well, and does nothing.

        Returns:
            Whether it is kept.
        """
        if process not in self._all_early or process in self._early:
            return False
        self._early.append(process)
        return True

    def crew(self, room: int) -> Crew:
        """The processes that were started early and are not taken, for other work: no search may take them again.

        Args:
            room: how many there may be.
        """
        if not self._all_early:
            return Crew()
        ready, self._early = self._early, []
        return Crew(ready, self._start_early, room)

    def end(self) -> None:
        """End all that were started early, whatever they do: Ray asks them to end by themselves, and some never do."""
        for process in self._all_early:
            ray.kill(process)
        self._early, self._all_early = [], []


def node_of(process: Any) -> str:
    """The id of the node where a process runs, or has run; empty where that is not known."""
    with suppress(Exception):  # no public way but by the dashboard, which a cluster may not have
        found = str(state.actor_table(process._actor_id.hex())["Address"]["NodeID"])  # noqa: SLF001
        return "" if set(found) <= {"f"} else found  # so it is where it was never placed
    return ""


def logs_folder() -> str:
    """Where Ray's logs are: on this machine, and on others as a rule."""
    return str(ray._private.worker.global_worker.node.get_logs_dir_path())  # noqa: SLF001 - nothing public tells


def ask(node: str) -> Any:
    """A task that nothing but this node can run."""
    return pinned(_live, node).remote()


def _live() -> None:
    """That it has run is all that is asked."""


def answers(sign: Any) -> bool | None:
    """Whether it has run; None where that is not known yet."""
    if not ray.wait([sign], timeout=0)[0]:
        return None
    try:
        ray.get(sign)
    except ray.exceptions.RayError:
        return False
    return True


def is_alive(node: str) -> bool:
    """Whether Ray takes the node for alive; it may be gone for half a minute by then."""
    return any(one["NodeID"] == node and one["Alive"] for one in ray.nodes())
