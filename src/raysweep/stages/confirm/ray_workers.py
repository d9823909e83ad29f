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
from raysweep.training.xgboost_workers import Meeting

Start = Callable[..., Sequence[Any]]
Begin = Callable[[int, Mapping[str, Any] | None, Start], Sequence[Any]]
_ATTEMPTS: Final = 3
_ROOM_SECONDS: Final = 600  # an autoscaler may have to start nodes
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class WorkerSize:
    """How many workers share a fit, and what each of them gets."""

    count: int
    cpus: int
    gpus: float = 0.0


class _Meeting:
    """An actor of its own, so that it can be ended whatever its threads wait for."""

    def __init__(self, host: str, workers: int) -> None:
        self._meeting = Meeting(host, workers)
        self._meeting.__enter__()

    def place(self) -> Mapping[str, Any]:
        return self._meeting.place


class _Worker:
    """An actor can be ended at any moment; Ray 2.60 aborts the driver where a task ends while it is being cancelled."""

    def work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


def work_together(begin: Begin, size: WorkerSize, say: Callable[[str], None]) -> Sequence[Any]:
    """References to what the first worker gives, once all have ended well.

    Args:
        begin: is given a worker's number, the place where they meet (None for one alone), and what starts a function
            with arguments there; gives what that gives: references to its two results, of which the second is small.
        size: of the workers.
        say: tells the user.

    Raises:
        RayUnavailable: there is no room for all of them at a time, or they died three times.
    """
    if size.count == 1:
        return begin(0, None, lambda work, *given: _alone(work, size).remote(*given))
    bundle: dict[str, float] = {"CPU": size.cpus} | ({"GPU": size.gpus} if size.gpus else {})
    group = placement_group([bundle] * size.count)
    try:
        if not group.wait(_ROOM_SECONDS):
            raise RayUnavailable(
                f"search.trial.workers is {size.count}, with {size.cpus} CPUs and {size.gpus:g} GPUs each: the cluster "
                f"had no room for all of them within {_ROOM_SECONDS} s. Lower search.trial.workers or search.trial.cpus"
            )
        return _try(begin, size, group, say)
    finally:
        remove_placement_group(group)


def _try(begin: Begin, size: WorkerSize, group: Any, say: Callable[[str], None]) -> Sequence[Any]:
    why = ""
    for _ in range(_ATTEMPTS):
        if why:
            say(f"a worker of the fit that ships was lost ({why}); the fit is made again")
        meeting, place = _meet(size.count)
        actors = [ray.remote(_Worker).options(**_options(size, group, number)).remote() for number in range(size.count)]
        try:
            results = [begin(number, place, partial(_started, actor)) for number, actor in enumerate(actors)]
            why = _first_failure([result[-1] for result in results])
        finally:
            for actor in (*actors, meeting):
                ray.kill(actor)
        if not why:
            return results[0]
    raise RayUnavailable(
        f"the fit that ships was lost {_ATTEMPTS} times with one of its {size.count} workers: {why}. Fewer or smaller "
        "workers (search.trial.workers, search.rows) take less memory; `ray status` says which nodes are there"
    )


def _alone(work: Callable[..., Any], size: WorkerSize) -> Any:
    return ray.remote(work).options(num_returns=2, num_cpus=size.cpus, num_gpus=size.gpus)


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


def _meet(workers: int) -> tuple[Any, Mapping[str, Any]]:
    """An actor on this node, and the place where the workers meet; beyond loopback only where there are other nodes."""
    is_alone = sum(node["Alive"] for node in ray.nodes()) == 1
    host = _LOOPBACK if is_alone else ray.util.get_node_ip_address()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    meeting = ray.remote(num_cpus=0, scheduling_strategy=here)(_Meeting).remote(host, workers)
    place: Mapping[str, Any] = ray.get(meeting.place.remote())
    return meeting, place
