"""Several processes that work on one fit: started and ended together, and tried again where one of them has died."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import ray
import ray.exceptions
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from raysweep.documents import shorten
from raysweep.errors import RaysweepError, RayUnavailable
from raysweep.runtime.ray_by_value import apart_from
from raysweep.training.xgboost_workers import Meeting

Start = Callable[..., Sequence[Any]]
Begin = Callable[[int, Mapping[str, Any] | None, Start], Sequence[Any]]
_ATTEMPTS: Final = 3
_ROOM_SECONDS: Final = 600  # an autoscaler may have to start nodes
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class WorkerSize:
    """How many workers share a fit, and what each of them gets.

    Attributes:
        kept_off: the ids of nodes where none may be.
    """

    count: int
    cpus: int
    gpus: float = 0.0
    kept_off: frozenset[str] = frozenset()


class _Meeting:
    """An actor of its own, so that it can be ended whatever its threads wait for."""

    def __init__(self, host: str, workers: int) -> None:
        self._host, self._workers = host, workers
        self._meeting: Meeting | None = None

    def place(self) -> Mapping[str, Any]:
        """A new one: each is good for one work."""
        self._meeting = Meeting(self._host, self._workers).start()
        return self._meeting.place


class _Worker:
    """An actor can be ended at any moment; Ray 2.60 aborts the driver where a task ends while it is being cancelled."""

    def work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


class Team:
    """Workers that wait for work, since each takes seconds to load its libraries; one alone is a task of Ray's.

    Args:
        size: of the workers.
    """

    def __init__(self, size: WorkerSize) -> None:
        self.size = size
        self._group: Any = None
        self._meeting: Any = None
        self._actors: list[Any] = []

    def first(self, work: Callable[..., Any], *arguments: Any) -> Sequence[Any]:
        """References to the two results of what one worker does alone.

        Raises:
            RayUnavailable: there is no room for the workers.
        """
        if self.size.count == 1:
            held = {"num_cpus": self.size.cpus, "num_gpus": self.size.gpus, **apart_from(self.size.kept_off)}
            task = ray.remote(work).options(num_returns=2, **held)
            return list(task.remote(*arguments))
        self._start()
        return _started(self._actors[0], work, *arguments)

    def together(self, begin: Begin, say: Callable[[str], None]) -> Sequence[Any]:
        """References to what the first worker gives, once all have ended well.

        Args:
            begin: is given a worker's number, the place where they meet (None for one alone), and what starts a
                function with arguments there; gives what that gives: references to its two results, of which the
                second is small.
            say: tells the user.

        Raises:
            RayUnavailable: there is no room for all of them at a time, or they died three times.
        """
        if self.size.count == 1:
            return begin(0, None, self.first)
        why = ""
        for _ in range(_ATTEMPTS):
            if why:
                say(f"a worker of the fit that ships was lost ({why}); the fit is made again")
            self._start()
            place: Mapping[str, Any] = ray.get(self._meeting.place.remote())
            results = [begin(number, place, partial(_started, actor)) for number, actor in enumerate(self._actors)]
            why = _first_failure([result[-1] for result in results])
            if not why:
                return results[0]
            self.end()
        raise RayUnavailable(
            f"the fit that ships was lost {_ATTEMPTS} times with one of its {self.size.count} workers: {why}. Fewer or "
            "smaller workers (search.trial.workers, search.rows) take less memory; `ray status` says which nodes are "
            "there"
        )

    def end(self) -> None:
        """End all workers, whatever they do; new ones start with the next work."""
        for actor in (*self._actors, *([] if self._meeting is None else [self._meeting])):
            ray.kill(actor)
        if self._group is not None:
            remove_placement_group(self._group)
        self._actors, self._group, self._meeting = [], None, None

    def _start(self) -> None:
        if self._actors:
            return
        size = self.size
        bundle: dict[str, float] = {"CPU": size.cpus} | ({"GPU": size.gpus} if size.gpus else {})
        where = apart_from(size.kept_off).get("label_selector")
        self._group = placement_group(
            [bundle] * size.count, bundle_label_selector=None if where is None else [where] * size.count
        )
        if not self._group.wait(_ROOM_SECONDS):
            self.end()
            raise RayUnavailable(
                f"search.trial.workers is {size.count}, with {size.cpus} CPUs and {size.gpus:g} GPUs each: the cluster "
                f"had no room for all of them within {_ROOM_SECONDS} s. Lower search.trial.workers or search.trial.cpus"
            )
        self._meeting = _meet(size.count)
        self._actors = [
            ray.remote(_Worker).options(**_options(size, self._group, number)).remote() for number in range(size.count)
        ]


def _started(actor: Any, work: Callable[..., Any], *arguments: Any) -> Sequence[Any]:
    return list(actor.work.options(num_returns=2).remote(work, *arguments))


def _first_failure(ended: list[Any]) -> str:
    """Wait until all have ended well, or one has not; why not, in words.

    Raises:
        RaysweepError: what our own code has raised in a worker.
        RayTaskError: what is no matter of a worker that was lost.
    """
    waiting = list(ended)
    while waiting:
        done, waiting = ray.wait(waiting)
        for one in done:
            try:
                ray.get(one)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, RaysweepError) or type(error.cause).__name__ != "XGBoostError":
                    raise
                return shorten(str(error.cause).strip().splitlines()[-1], 200)
            except ray.exceptions.RayError as error:
                return shorten(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}", 200)
    return ""


def _options(size: WorkerSize, group: Any, number: int) -> dict[str, Any]:
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number)
    return {"num_cpus": size.cpus, "num_gpus": size.gpus, "max_restarts": 0, "scheduling_strategy": strategy}


def _meet(workers: int) -> Any:
    """An actor on this node, which gives places to meet; beyond loopback only where there are other nodes."""
    is_alone = sum(node["Alive"] for node in ray.nodes()) == 1
    host = _LOOPBACK if is_alone else ray.util.get_node_ip_address()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(_Meeting).remote(host, workers)
