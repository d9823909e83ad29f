"""Stage 5: the search. Candidates are our own proposer's, decisions Ray Tune's schedulers', processes Ray's actors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from raysweep.config import PriceConfig, SearchConfig
from raysweep.events import Listener, Said, SearchPlanned
from raysweep.records.cluster import nodes_used
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import Period, SearchOutcome
from raysweep.space import SearchSpace
from raysweep.stages.search.attempts import SteeringRules
from raysweep.stages.search.earlier import Driver, drivers_before, limits_document, space_digest, why_over
from raysweep.stages.search.keeping import Keeping
from raysweep.stages.search.plan import Plan
from raysweep.stages.search.proposals import Proposer
from raysweep.stages.search.ray_deciding import TuneDecider, make_scheduler
from raysweep.stages.search.ray_following import Following
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot import LACK_SECONDS
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.stages.search.ray_slots import SlotProcesses
from raysweep.stages.search.ray_trials import Watch, run_trials
from raysweep.stages.search.rungs import efforts_for, max_units
from raysweep.stages.search.slot_plan import sizes_for
from raysweep.stages.search.steering import Steering
from raysweep.stages.search.trial_log import Limits, Record, TrialLog
from raysweep.storage.kept_states import KeptStates
from raysweep.training.devices import sharing_of
from raysweep.training.evaluate import TrialRules
from raysweep.training.families import families, full_rounds

# Proposed and decided about together where the search is to be the same for any number of slots up to this one.
BATCH: Final = 8
# A trial that has run for so many seconds is kept at its rungs.
KEEP_AFTER_SECONDS: Final = 30.0
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
        kept: where the states of long trials are kept; None: they begin anew where they lose their process.
        keep_after: how many seconds make a trial a long one.
        fit: the ids of the nodes that are known to have what the driver has; None: all that are there.
        lack_seconds: how long candidates wait for a kind of node that is not there, and is not to come.
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
    kept: KeptStates | None = None
    keep_after: float = KEEP_AFTER_SECONDS
    fit: frozenset[str] | None = None
    lack_seconds: float = LACK_SECONDS


def run_search(request: SearchRequest, config: SearchConfig) -> SearchOutcome:
    """Try candidates until a limit is met.

    Raises:
        RayUnavailable: the cluster cannot give one trial what it asks for.
    """
    began = time.time()
    sizes = sizes_for(request.space.families, config.trial, lambda family: families()[family].uses_gpu)
    cluster = Following(sizes, config, request.price, request.tell, request.fit)
    first = cluster.first
    part = request.split.scored_on
    earlier = drivers_before(request.earlier)
    limits = _limits(request, config, cluster.cost_per_second, earlier, began)
    journal = [*request.earlier]

    def record(one: Mapping[str, Any]) -> None:
        request.record(one)
        if one["event"] in {"search", "cluster"}:
            journal.append(one)

    log = TrialLog(request.task.aims, part, limits, request.tell, record)
    steering = _make_steering(request, config, log)
    steering.replay(request.earlier)
    request.tell(_planned(request, config, first.slots.count, log, limits))
    if log.trials:
        request.tell(Said(_going_on(log, limits.spent_seconds, steering.outside)))
    asked = {"limits": limits_document(config, request.price, request.space)}
    kept_off: frozenset[str] = frozenset()
    stopped_by = why_over(request.earlier, asked["limits"])
    this = Driver(Period(first.capacity, request.prepared_seconds), first.slots)
    if stopped_by is None:
        kinds = {"algorithm": config.algorithm, "scheduler": config.pruning, "seed": config.seed}
        kinds |= {"nodes": [asdict(node) for node in first.nodes], "space": space_digest(request.space)}
        log.begin(first.slots.size, {**kinds, **this.document})
        with request.kept or nullcontext():  # what is kept goes once it is written down that nothing needs it
            stopped_by, kept_off = _search(request, config, steering, log, cluster)
            steering.stop(stopped_by)
            log.finish(stopped_by, {**asked, "interrupted": stopped_by == _INTERRUPTED})
    else:
        journal.append({"event": "search", "at": began, **this.document, "slot": asdict(first.slots.size)})
    searched = replace(drivers_before(journal)[-1].period, searching=time.time() - began)
    return SearchOutcome(
        log.trials,
        part,
        stopped_by,
        (*(one.period for one in earlier), searched),
        cluster.slots.count,
        interrupted=stopped_by == _INTERRUPTED,
        kept_off=kept_off,
        nodes=nodes_used(journal, log.trials),
    )


def _limits(
    request: SearchRequest, config: SearchConfig, cost_per_second: float, earlier: Sequence[Driver], began: float
) -> Limits:
    """What is left of the limits after what drivers before this one have used up."""
    return Limits(
        stop=config.stop,
        began=began,
        spent_seconds=sum(one.period.searching for one in earlier),
        spent_cost=sum(one.cost(request.price) for one in earlier),
        cost_per_second=cost_per_second,
    )


def _planned(request: SearchRequest, config: SearchConfig, slots: int, log: TrialLog, limits: Limits) -> SearchPlanned:
    aims = request.task.aims
    return SearchPlanned(
        trials=config.trials,
        seconds=config.stop.seconds,
        slots=slots,
        cpus_per_trial=config.trial.cpus,
        metric=aims.metric.name,
        part=request.split.scored_on,
        higher_is_better=aims.metric.sign > 0,
        objectives=tuple(one.name for one in aims.objectives),
        constraints=aims.constraints,
        spent_seconds=limits.spent_seconds,
        known=log.trials,
    )


def _search(
    request: SearchRequest, config: SearchConfig, steering: Steering, log: TrialLog, cluster: Following
) -> tuple[str, frozenset[str]]:
    """Run trials until a limit is met, or nothing is left to be tried; returns which, and the nodes that got none."""

    def must_stop() -> str | None:
        return _INTERRUPTED if request.interrupted() else log.why_stop(time.time())

    keep_after = None if request.kept is None else request.keep_after
    context = SlotContext(
        request.task, request.split.search_data, config.seed, _rules(request, config), keep_after=keep_after
    )
    processes = request.processes or Processes(request.space.families)
    plan, began = Plan(config, lambda: cluster.slots, request.price, cluster.say), time.monotonic()
    plan.tell(lambda: log.trials, 0.0)
    rules = cluster.rules(log, request.lack_seconds)
    with SlotProcesses(processes, context, rules) as running:
        look = Watch(must_stop, lambda: plan.tell(lambda: log.trials, time.monotonic() - began), request.masked)
        why = run_trials(steering, running, look, Keeping(request.kept, steering, cluster.say))
        kept_off = running.kept_off
    if why is None:
        all_tried = f"search.trials: all {config.trials} were tried"
        why = "the space has no further candidates" if steering.exhausted else all_tried
    return why, kept_off


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
