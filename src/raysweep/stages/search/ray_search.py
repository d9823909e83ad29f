"""Stage 5: the search. Candidates are our own proposer's, decisions Ray Tune's schedulers', processes Ray's actors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import ray

from raysweep.config import PriceConfig, SearchConfig, TrialConfig
from raysweep.errors import RayUnavailable
from raysweep.events import Listener, Said, SearchPlanned
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import Capacity, Period, SearchOutcome, SlotSize
from raysweep.space import SearchSpace
from raysweep.stages.search.earlier import Driver, Slots, drivers_before, limits_document, space_digest, why_over
from raysweep.stages.search.plan import Plan
from raysweep.stages.search.proposals import Proposer
from raysweep.stages.search.ray_deciding import TuneDecider, make_scheduler
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.stages.search.ray_slots import SlotProcesses
from raysweep.stages.search.rungs import efforts_for, max_units
from raysweep.stages.search.slot_events import Broke, Gone, Happened, Overdue, Reached
from raysweep.stages.search.steering import Attempt, Steering, SteeringRules
from raysweep.stages.search.trial_log import Limits, Loss, Record, TrialLog
from raysweep.training.devices import sharing_of
from raysweep.training.evaluate import TrialRules
from raysweep.training.families import families, full_rounds

# Proposed and decided about together where the search is to be the same for any number of slots up to this one.
BATCH: Final = 8
_POLL_SECONDS: Final = 0.2
_INTERRUPTED: Final = "interrupted by the user"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What the search is given beside its section of the config.

    Attributes:
        space: the families that fit the task.
        tell: gets the events.
        record: writes a line of the journal, durable when it returns.
        interrupted: whether the user has asked to finish with what there is.
        masked: takes out of a text what nobody may read.
        earlier: what the run's journal holds of drivers before this one.
        price: of cores and GPUs, where it is known.
        prepared_seconds: from the command's start until now.
        processes: for the slots, where some were started before.
    """

    task: LearningTask
    split: Split
    space: SearchSpace
    tell: Listener
    record: Record
    interrupted: Callable[[], bool]
    answer_repeats: bool = True
    masked: Callable[[str], str] = str
    earlier: tuple[Mapping[str, Any], ...] = ()
    price: PriceConfig | None = None
    prepared_seconds: float = 0.0
    processes: Processes | None = None


def run_search(request: SearchRequest, config: SearchConfig) -> SearchOutcome:
    """Try candidates until a limit is met.

    Raises:
        RayUnavailable: the cluster cannot give one trial what it asks for.
    """
    began = time.time()
    capacity = cluster_capacity()
    slots = Slots(count_slots(config), SlotSize(config.trial.cpus, config.trial.gpus))
    part = request.split.scored_on
    earlier = drivers_before(request.earlier)
    limits = _limits(request, config, slots, earlier, began)
    log = TrialLog(request.task.aims, part, limits, request.tell, request.record)
    steering = _make_steering(request, config, log)
    steering.replay(request.earlier)
    request.tell(_planned(request, config, slots, log, limits))
    if log.trials:
        request.tell(Said(_going_on(log, limits.spent_seconds, steering.outside)))
    asked = {"limits": limits_document(config, request.price, request.space)}
    stopped_by = why_over(request.earlier, asked["limits"])
    this = Driver(Period(capacity, request.prepared_seconds), slots)
    if stopped_by is None:
        kinds = {"algorithm": config.algorithm, "scheduler": config.pruning, "seed": config.seed}
        log.begin(slots.size, {**kinds, **this.document, "space": space_digest(request.space)})
        stopped_by = _search(request, config, steering, log, slots)
        steering.stop(stopped_by)
        log.finish(stopped_by, {**asked, "interrupted": stopped_by == _INTERRUPTED})
    periods = [one.period for one in earlier] + [replace(this.period, searching=time.time() - began)]
    interrupted = stopped_by == _INTERRUPTED
    return SearchOutcome(log.trials, part, stopped_by, tuple(periods), slots.count, interrupted=interrupted)


def _limits(
    request: SearchRequest, config: SearchConfig, slots: Slots, earlier: Sequence[Driver], began: float
) -> Limits:
    """What is left of the limits after what drivers before this one have used up."""
    return Limits(
        stop=config.stop,
        began=began,
        spent_seconds=sum(one.period.searching for one in earlier),
        spent_cost=sum(one.period.searching * one.slots.cost_per_second(request.price) for one in earlier),
        cost_per_second=slots.cost_per_second(request.price),
    )


def _planned(
    request: SearchRequest, config: SearchConfig, slots: Slots, log: TrialLog, limits: Limits
) -> SearchPlanned:
    aims = request.task.aims
    return SearchPlanned(
        trials=config.trials,
        seconds=config.stop.seconds,
        slots=slots.count,
        cpus_per_trial=config.trial.cpus,
        metric=aims.metric.name,
        part=request.split.scored_on,
        higher_is_better=aims.metric.sign > 0,
        objectives=tuple(one.name for one in aims.objectives),
        constraints=aims.constraints,
        spent_seconds=limits.spent_seconds,
        known=log.trials,
    )


def _search(request: SearchRequest, config: SearchConfig, steering: Steering, log: TrialLog, slots: Slots) -> str:
    """Run trials until a limit is met, or nothing is left to be tried; returns which."""

    def must_stop() -> str | None:
        return _INTERRUPTED if request.interrupted() else log.why_stop(time.time())

    def say(sentence: str) -> None:
        request.tell(Said(sentence))

    context = SlotContext(request.task, request.split.search_data, config.seed, _rules(request, config))
    processes = request.processes or Processes(request.space.families, config.trial)
    plan, began = Plan(config, slots, request.price, say), time.monotonic()
    plan.tell(lambda: log.trials, 0.0)
    with SlotProcesses(processes, context, slots.count, config.trial, say) as running:
        watch = Watch(must_stop, lambda: plan.tell(lambda: log.trials, time.monotonic() - began), request.masked)
        why = _run_trials(steering, running, watch)
    if why is not None:
        return why
    if steering.exhausted:
        return "the space has no further candidates"
    return f"search.trials: all {config.trials} were tried"


def cluster_capacity() -> Capacity:
    """The cores and GPUs of all nodes."""
    resources = ray.cluster_resources()
    return Capacity(resources.get("CPU", 0.0), resources.get("GPU", 0.0))


def count_slots(config: SearchConfig) -> int:
    """How many trials can run at a time on this cluster, each on one node.

    Raises:
        RayUnavailable: not even one.
    """
    trial = config.trial
    nodes = [Capacity(*_of_node(node["Resources"])) for node in ray.nodes() if node["Alive"]]
    slots = sum(_slots_on(node, trial) for node in nodes)
    if slots < 1:
        largest = max((node.cores for node in nodes), default=0.0), max((node.gpus for node in nodes), default=0.0)
        raise RayUnavailable(
            f"one trial asks for {trial.cpus} CPUs and {trial.gpus:g} GPUs, but of {len(nodes)} nodes none has both; "
            f"the most on one are {largest[0]:g} CPUs and {largest[1]:g} GPUs. Lower search.trial.cpus or "
            "search.trial.gpus, or use larger nodes"
        )
    return slots if config.concurrency == "auto" else min(slots, config.concurrency)


def _of_node(resources: Mapping[str, float]) -> tuple[float, float]:
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def _slots_on(node: Capacity, trial: TrialConfig) -> int:
    slots = int(node.cores // trial.cpus)
    return min(slots, int(node.gpus / trial.gpus + 1e-9)) if trial.gpus else slots


def _make_proposer(request: SearchRequest, config: SearchConfig) -> Proposer:
    known = families()
    return Proposer(
        request.space,
        lambda family: known[family].defaults,
        lambda family: full_rounds(family, request.space),
        algorithm=config.algorithm,
        aims=request.task.aims,
        seed=config.seed,
    )


def _make_steering(request: SearchRequest, config: SearchConfig, log: TrialLog) -> Steering:
    mode = request.task.metric.direction.value[:3]
    units = max_units(request.split.folds)
    decider = TuneDecider(make_scheduler(config.pruning, mode, units, config.seed), units)
    batch = BATCH if config.deterministic else None
    rules = SteeringRules(
        config.trials,
        request.task.aims,
        batch,
        answer_repeats=request.answer_repeats,
        space=space_digest(request.space),
    )
    return Steering(_make_proposer(request, config), decider, log, rules)


def _rules(request: SearchRequest, config: SearchConfig) -> TrialRules:
    """Without a scheduler nobody asks how a candidate does with less than full effort."""
    further = request.task.aims.further
    folds = request.split.folds
    efforts = (1.0,) if config.pruning == "none" and folds == 1 else efforts_for(folds)
    trial = config.trial
    return TrialRules(efforts, trial.cpus, trial.wanted_device, further, sharing_of(trial.gpus))


def _going_on(log: TrialLog, spent: float, outside: int) -> str:
    ended = sum(trial.state.has_ended for trial in log.trials)
    said = f"going on with {ended:,} trials that had ended and {spent:.0f} s of search that the journal tells of"
    if not outside:
        return said
    return f"{said}; {outside:,} candidates lie outside of the space now: they keep their scores, and teach it nothing"


@dataclass(frozen=True, slots=True)
class Watch:
    """What goes on beside the trials.

    Attributes:
        must_stop: why the search has to end now, if so.
        look: is called from time to time.
        masked: takes out of a text what nobody may read.
    """

    must_stop: Callable[[], str | None]
    look: Callable[[], None]
    masked: Callable[[str], str]


def _run_trials(steering: Steering, slots: SlotProcesses, watch: Watch) -> str | None:
    """Run trials until nothing is left.

    Returns:
        Why the search had to stop before that, if so.
    """
    held: Attempt | None = None
    while True:
        why = watch.must_stop()
        if why is not None:
            return why
        attempt = (held or steering.next()) if slots.has_idle else None
        held = attempt if attempt is not None and not slots.can_begin(attempt) else None
        if attempt is not None and held is None:
            steering.begin(attempt)
            slots.begin(attempt)
            continue
        if steering.is_over:
            return None
        for one in slots.wait(_POLL_SECONDS):
            _take_in(one, steering, slots, watch.masked)
        watch.look()


def _take_in(happened: Happened, steering: Steering, slots: SlotProcesses, masked: Callable[[str], str]) -> None:
    number = happened.attempt.candidate.number
    match happened:
        case Reached(attempt, report, node):
            if steering.reached(number, report, node):
                slots.go_on(attempt)
            else:
                slots.finish(attempt)
        case Broke(attempt, reason, error, memory):
            if memory and not attempt.alone:
                steering.lost(number, Loss(masked(reason), alone=True))
            else:
                steering.failed(number, masked(reason), masked(error))
        case Overdue(_, reason):
            steering.overdue(number, reason)
        case Gone(_, loss):
            steering.lost(number, loss)
