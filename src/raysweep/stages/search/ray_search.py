"""Stage 5: the search. Ray Tune runs the trials on actors that are used again; candidates are our own searcher's."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from raysweep.config import SearchConfig
from raysweep.errors import RayUnavailable
from raysweep.events import Listener, SearchPlanned
from raysweep.records.metric import Direction
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import SearchOutcome
from raysweep.space import SearchSpace
from raysweep.stages.search.proposals import Proposer
from raysweep.stages.search.rungs import efforts_for, max_units
from raysweep.stages.search.trial_log import Limits, Record, TrialLog
from raysweep.training.evaluate import TrialRules
from raysweep.training.families import families

# Read by Tune when a controller is made: no snapshots of its own state.
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1000000000"
os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1"

import ray
from ray import tune
from ray.tune.execution import class_cache

from raysweep.stages.search.ray_schedulers import make_scheduler
from raysweep.stages.search.ray_searcher import CandidateSearcher, StaysHere
from raysweep.stages.search.ray_trainable import CandidateTrial, TrialContext


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What the search is given beside its section of the config.

    Attributes:
        space: the families that fit the task.
        tell: gets the events.
        record: writes a line of the journal, durable when it returns.
        interrupted: whether the user has asked to finish with what there is.
    """

    task: LearningTask
    split: Split
    space: SearchSpace
    tell: Listener
    record: Record
    interrupted: Callable[[], bool]
    answer_repeats: bool = True


def run_search(request: SearchRequest, config: SearchConfig) -> SearchOutcome:
    """Try candidates until a limit is met.

    Raises:
        RayUnavailable: the cluster cannot give one trial what it asks for.
    """
    started = time.time()
    slots = count_slots(config)
    metric = request.task.metric
    limits = Limits(config.trials, config.stop, started)
    part = part_name(request.split.folds)
    log = TrialLog(metric, part, limits, request.tell, request.record)
    request.tell(
        SearchPlanned(
            trials=config.trials,
            seconds=config.stop.seconds,
            slots=slots,
            cpus_per_trial=config.trial.cpus,
            metric=metric.name,
            part=part,
            higher_is_better=metric.direction is Direction.MAXIMIZE,
        )
    )

    def must_stop() -> str | None:
        return "interrupted by the user" if request.interrupted() else log.why_stop(time.time())

    searcher = CandidateSearcher(
        _make_proposer(request, config),
        log,
        limit=config.trials,
        answer_repeats=request.answer_repeats,
        must_stop=must_stop,
    )
    _run_trials(request, config, searcher, must_stop, slots)
    stopped_by = must_stop() or (
        "the space has no further candidates"
        if searcher.exhausted
        else f"search.trials: all {config.trials} were tried"
    )
    searcher.stop_running(stopped_by)
    return SearchOutcome(log.trials, part, stopped_by, time.time() - started, slots, interrupted=request.interrupted())


def part_name(folds: int) -> str:
    """What search scores are measured on, in words."""
    return "testing" if folds == 1 else f"training+testing, cross-validated in {folds} folds"


def count_slots(config: SearchConfig) -> int:
    """How many trials can run at a time on this cluster.

    Raises:
        RayUnavailable: not even one.
    """
    resources = ray.cluster_resources()
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    slots = int(cpus // config.trial.cpus)
    if config.trial.gpus:
        slots = min(slots, int(gpus / config.trial.gpus + 1e-9))
    if slots < 1:
        raise RayUnavailable(
            f"one trial asks for {config.trial.cpus} CPUs and {config.trial.gpus:g} GPUs, but the cluster has {cpus:g} "
            f"CPUs and {gpus:g} GPUs; lower search.trial.cpus or search.trial.gpus, or use a larger cluster"
        )
    return slots if config.concurrency == "auto" else min(slots, config.concurrency)


def _make_proposer(request: SearchRequest, config: SearchConfig) -> Proposer:
    known = families()

    def rounds(family: str) -> int | None:
        own = known[family].rounds
        return None if own is None else request.space.families[family].effort.rounds or own

    return Proposer(
        request.space,
        lambda family: known[family].defaults,
        rounds,
        algorithm=config.algorithm,
        direction=request.task.metric.direction,
        seed=config.seed,
    )


def _run_trials(
    request: SearchRequest,
    config: SearchConfig,
    searcher: CandidateSearcher,
    must_stop: Callable[[], str | None],
    slots: int,
) -> None:
    folds = request.split.folds
    rules = TrialRules(efforts_for(folds), config.trial.cpus, "cuda" if config.trial.gpus else "cpu")
    context = TrialContext(request.task, request.split.search_data, config.seed, rules, max_units(folds))
    trainable = tune.with_resources(
        tune.with_parameters(CandidateTrial, context=context),
        {"cpu": config.trial.cpus, "gpu": config.trial.gpus},
    )
    mode = "max" if request.task.metric.direction is Direction.MAXIMIZE else "min"
    actors = _ActorsOfTrials()
    with tempfile.TemporaryDirectory(prefix="raysweep-tune-") as folder:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=-1,
                search_alg=searcher,
                scheduler=make_scheduler(config.scheduler, mode, max_units(folds), config.seed),
                max_concurrent_trials=slots,
                reuse_actors=True,
                trial_name_creator=_short_name,
                trial_dirname_creator=_short_name,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=folder,
                verbose=0,
                stop=_StopWhen(must_stop, actors),
                callbacks=[actors],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )
        with _plain_actors():
            tuner.fit()


@contextlib.contextmanager
def _plain_actors() -> Iterator[None]:
    """Trial actors without Tune's own environment variables.

    Tune would hand them the driver's AWS keys in a runtime environment, which Ray's agent writes into its log in clear
    text; trials need none. Without a runtime environment they also start in worker processes that are already there.
    """
    handed, fixed = set(class_cache.ENV_VARS_TO_PROPAGATE), dict(class_cache.DEFAULT_ENV_VARS)
    class_cache.ENV_VARS_TO_PROPAGATE.clear()
    class_cache.DEFAULT_ENV_VARS.clear()
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE.update(handed)
        class_cache.DEFAULT_ENV_VARS.update(fixed)


def _short_name(trial: Any) -> str:
    return str(trial.trial_id)


class _ActorsOfTrials(StaysHere, tune.Callback):  # type: ignore[misc]
    """Knows the actor of every running trial, so that it can be killed in the middle of a fit."""

    def __init__(self) -> None:
        self._actors: dict[str, Any] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        self._actors[trial.trial_id] = trial.temporary_state.ray_actor

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        self._actors.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        self._actors.pop(trial.trial_id, None)

    def kill(self) -> None:
        """End every running trial now. Tune would wait ten seconds for a fit to come to its end."""
        for actor in self._actors.values():
            if actor is not None:
                ray.kill(actor)
        self._actors.clear()


class _StopWhen(StaysHere, tune.Stopper):  # type: ignore[misc]
    """Ends all trials as soon as a limit is met; Tune asks at every turn of its loop."""

    def __init__(self, must_stop: Callable[[], str | None], actors: _ActorsOfTrials) -> None:
        self._must_stop = must_stop
        self._actors = actors

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002 - Tune's signature
        """Never by a single trial: the scheduler decides about those."""
        return False

    def stop_all(self) -> bool:
        """Whether a limit is met; if so, what still runs is killed."""
        if self._must_stop() is None:
            return False
        self._actors.kill()
        return True
