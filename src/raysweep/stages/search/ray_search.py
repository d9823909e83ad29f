"""Stage 5: the search. Candidates are our own proposer's, decisions Ray Tune's schedulers', processes Ray's actors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ray

from raysweep.config import PriceConfig, SearchConfig
from raysweep.errors import RayUnavailable
from raysweep.events import Listener, Said, SearchPlanned
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import SearchOutcome
from raysweep.space import SearchSpace
from raysweep.stages.search.plan import Rates, plan_sentence
from raysweep.stages.search.proposals import Proposer
from raysweep.stages.search.ray_deciding import TuneDecider, make_scheduler
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.stages.search.ray_slots import Slots
from raysweep.stages.search.rungs import efforts_for, max_units
from raysweep.stages.search.slot_events import Broke, Happened, Lost, Overdue, Reached
from raysweep.stages.search.steering import Attempt, Steering, SteeringRules
from raysweep.stages.search.trial_log import Limits, Record, TrialLog, seconds_spent, why_over
from raysweep.training.evaluate import TrialRules
from raysweep.training.families import families

# Proposed and decided about together where the search is to be the same for any number of slots up to this one.
BATCH: Final = 8
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What the search is given beside its section of the config.

    Attributes:
        space: the families that fit the task.
        tell: gets the events.
        record: writes a line of the journal, durable when it returns.
        interrupted: whether the user has asked to finish with what there is.
        earlier: what the run's journal holds of drivers before this one.
        price: of cores and GPUs, where it is known.
        processes: for the slots, where some were started before.
    """

    task: LearningTask
    split: Split
    space: SearchSpace
    tell: Listener
    record: Record
    interrupted: Callable[[], bool]
    answer_repeats: bool = True
    earlier: tuple[Mapping[str, Any], ...] = ()
    price: PriceConfig | None = None
    processes: Processes | None = None


def run_search(request: SearchRequest, config: SearchConfig) -> SearchOutcome:
    """Try candidates until a limit is met.

    Raises:
        RayUnavailable: the cluster cannot give one trial what it asks for.
    """
    began = time.time()
    spent = seconds_spent(request.earlier)
    slots = count_slots(config)
    aims = request.task.aims
    part = part_name(request.split.folds)
    rates = Rates.of(config, slots, request.price)
    limits = Limits(config.trials, config.stop, began - spent, rates.per_second or 0.0)
    log = TrialLog(aims, part, limits, request.tell, request.record)
    request.tell(
        SearchPlanned(
            trials=config.trials,
            seconds=config.stop.seconds,
            slots=slots,
            cpus_per_trial=config.trial.cpus,
            metric=aims.metric.name,
            part=part,
            higher_is_better=aims.metric.sign > 0,
            objectives=tuple(one.name for one in aims.objectives),
            constraints=aims.constraints,
        )
    )
    steering = _make_steering(request, config, log)
    steering.replay(request.earlier)
    if log.trials:
        request.tell(Said(_going_on(log, spent, steering.outside)))
    stopped_by = why_over(request.earlier, limits)
    if stopped_by is None:
        log.begin({"algorithm": config.algorithm, "scheduler": config.pruning, "seed": config.seed, "slots": slots})
        stopped_by = _search(request, config, steering, log, rates)
        steering.stop(stopped_by)
        log.finish(stopped_by)
    seconds = time.time() - began + spent
    return SearchOutcome(
        log.trials, part, stopped_by, seconds, slots, interrupted=request.interrupted(), cpus=config.trial.cpus
    )


def _search(request: SearchRequest, config: SearchConfig, steering: Steering, log: TrialLog, rates: Rates) -> str:
    """Run trials until a limit is met, or nothing is left to be tried; returns which."""

    def must_stop() -> str | None:
        return "interrupted by the user" if request.interrupted() else log.why_stop(time.time())

    context = SlotContext(
        request.task,
        request.split.search_data,
        config.seed,
        _rules(request, config),
    )
    processes = request.processes or Processes(request.space.families, config.trial)
    is_planned = bool(log.trials)

    def say(sentence: str) -> None:
        request.tell(Said(sentence))

    def plan() -> None:
        nonlocal is_planned
        sentence = None if is_planned else plan_sentence(log.trials, config, rates)
        if sentence is not None:
            is_planned = True
            say(sentence)

    with Slots(processes, context, rates.slots, config.trial, say) as running:
        why = _run_trials(steering, running, must_stop, plan)
    if why is not None:
        return why
    if steering.exhausted:
        return "the space has no further candidates"
    return f"search.trials: all {config.trials} were tried"


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
        aims=request.task.aims,
        seed=config.seed,
    )


def _make_steering(request: SearchRequest, config: SearchConfig, log: TrialLog) -> Steering:
    mode = request.task.metric.direction.value[:3]
    units = max_units(request.split.folds)
    decider = TuneDecider(make_scheduler(config.pruning, mode, units, config.seed), units)
    batch = BATCH if config.deterministic else None
    rules = SteeringRules(config.trials, request.task.aims, batch, answer_repeats=request.answer_repeats)
    return Steering(_make_proposer(request, config), decider, log, rules)


def _rules(request: SearchRequest, config: SearchConfig) -> TrialRules:
    """Without a scheduler nobody asks how a candidate does with less than full effort."""
    further = request.task.aims.further
    folds = request.split.folds
    efforts = (1.0,) if config.pruning == "none" and folds == 1 else efforts_for(folds)
    return TrialRules(efforts, config.trial.cpus, "cuda" if config.trial.gpus else "cpu", further)


def _going_on(log: TrialLog, spent: float, outside: int) -> str:
    ended = sum(trial.state.has_ended for trial in log.trials)
    said = f"going on with {ended:,} trials that had ended and {spent:.0f} s of search that the journal tells of"
    if not outside:
        return said
    return f"{said}; {outside:,} candidates lie outside of the space now: they keep their scores, and teach it nothing"


def _run_trials(
    steering: Steering, slots: Slots, must_stop: Callable[[], str | None], after: Callable[[], None]
) -> str | None:
    """Run trials until nothing is left, and `after` whenever one has reported.

    Returns:
        Why the search had to stop before that, if so.
    """
    held: Attempt | None = None
    while True:
        why = must_stop()
        if why is not None:
            return why
        while slots.has_idle:
            attempt = held or steering.next()
            held = attempt if attempt is not None and not slots.can_begin(attempt) else None
            if attempt is None or held is not None:
                break
            slots.begin(attempt)
        if steering.is_over:
            return None
        for one in slots.wait(_POLL_SECONDS):
            _take_in(one, steering, slots)
            after()


def _take_in(happened: Happened, steering: Steering, slots: Slots) -> None:
    number = happened.attempt.candidate.number
    match happened:
        case Reached(attempt, report, node):
            if steering.reached(number, report, node):
                slots.go_on(attempt)
            else:
                slots.finish(attempt)
        case Broke(attempt, reason, error, memory):
            if memory and not attempt.alone:
                steering.lost(number, reason, alone=True)
            else:
                steering.failed(number, reason, error)
        case Overdue(_, reason):
            steering.overdue(number, reason)
        case Lost(_, reason, counts, memory):
            steering.lost(number, reason, counts=counts, alone=memory)
