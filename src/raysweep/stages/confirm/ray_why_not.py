"""The answer to "why not?": what is measured once a gate or the goal was missed, and the causes in their order."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import ray

from raysweep.config import SweepConfig
from raysweep.records.final_check import FinalCheck, Outcome
from raysweep.records.model_facts import Cause, LearningCurve, WhyNot
from raysweep.records.table import ColumnKind, LearningTask, Part
from raysweep.runtime.ray_crew import Crew, Work
from raysweep.split_rules import BY_TIME
from raysweep.stages.confirm.confirm_request import ConfirmRequest
from raysweep.stages.confirm.data_causes import (
    UNEVEN,
    Broken,
    Labels,
    excess,
    few_rows,
    fresh_rows,
    label_noise,
    leakage,
    shift,
    weak_features,
    weak_slice,
    weakest,
)
from raysweep.stages.confirm.evidence import Evidence
from raysweep.stages.confirm.facts import Found, measured
from raysweep.stages.confirm.fits import plan_curve
from raysweep.stages.confirm.gates import DEFAULT, DUMMY, EVIDENCE, GENERALISES, GOAL, PRODUCTION, SEAL
from raysweep.stages.confirm.model_gates import SLICES
from raysweep.stages.confirm.ray_fits import RemoteFits
from raysweep.stages.confirm.search_causes import RESUME, Need, narrow_space, seed_noise, small_budget
from raysweep.training.label_noise import mislabelled_share, noise_ceiling
from raysweep.training.learning_curve import extrapolate
from raysweep.training.metrics import score
from raysweep.training.shift import Told, broken_features, tell_apart
from raysweep.training.trial_data import RowBlock

SCORE_GATES: Final = frozenset({DEFAULT, DUMMY, EVIDENCE, GENERALISES, GOAL, PRODUCTION})
Ask = Callable[[str, Callable[[], Any]], Any]
_MISSED: Final = frozenset({Outcome.FAILED, Outcome.INCONCLUSIVE})


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was measured for the answer; None where it could not be."""

    curve: LearningCurve | None
    labels: Labels | None
    leaks: list[Broken] | None
    told: Told | None


def find_why_not(
    request: ConfirmRequest, config: SweepConfig, check: FinalCheck, evidence: Evidence, remote: RemoteFits
) -> WhyNot:
    """Measure what may be the cause, and order what was found by how strongly the evidence speaks for it."""
    metric, goal = request.task.metric, config.confirm.gates.score
    missed = None if goal is None else metric.sign * (goal - check.score.value)
    failed = {one.name for one in check.gates if one.outcome in _MISSED}
    need = Need(
        missed if missed is not None and missed > 0 else None, check.score.standard_error, bool(failed & SCORE_GATES)
    )
    if not failed & {*SCORE_GATES, SLICES, SEAL}:
        return WhyNot(_shortfall(check, goal, need), (), ("what was missed is no score: its gate says what to mend",))
    said: list[str] = []

    def ask(what: str, measure: Callable[[], Found]) -> Found | None:
        """What cannot be measured must not cost the verdict; what was said of it may hold values of the rows."""
        found = measured(what, measure, request.say)
        said.extend([] if found is not None else [f"{what}: could not be measured"])
        return found

    found = _measure(request, config, evidence, remote, ask)
    answers = _answers(request, check, found, need, goal, ask)
    answers.append(weak_features(check.gates, [one for one in answers if isinstance(one, Cause)]))
    causes = sorted((one for one in answers if isinstance(one, Cause)), key=lambda one: -one.weight)
    place = f"raysweep resume {shlex.quote(config.export.to.rstrip('/') + '/' + request.run_id)}"
    causes = [replace(one, advice=one.advice.replace(RESUME, place)) for one in causes]
    looked_at = (*(one for one in answers if isinstance(one, str)), *said)
    return WhyNot(_shortfall(check, goal, need), tuple(causes), looked_at, found.curve)


def _measure(
    request: ConfirmRequest, config: SweepConfig, evidence: Evidence, remote: RemoteFits, ask: Ask
) -> _Measured:
    task = request.task
    apart, broken = _start(evidence, task, config, remote.crew)
    return _Measured(
        curve=ask("a learning curve", lambda: _learning_curve(evidence, task, request, remote)),
        labels=ask("labels", lambda: _labels(evidence, task)) if task.kind.is_classification else None,
        leaks=ask("leaks", lambda: remote.crew.get(broken)),
        told=ask("a shift between parts", lambda: remote.crew.get(apart)),
    )


def _answers(
    request: ConfirmRequest, check: FinalCheck, found: _Measured, need: Need, goal: float | None, ask: Ask
) -> list[Cause | str]:
    """For each cause what speaks for it, or why it is none."""
    task, metric, gates, search = request.task, request.task.metric, check.gates, request.search
    rows = sum(part.rows for part in request.split.parts.values())
    low, moved = (None, ()) if found.told is None else (found.told.auc.low, found.told.features)
    weak = weakest(check.slices, metric.sign)
    uneven = weak if weak is not None and excess(weak, check.rows) >= UNEVEN else None
    strength, winner = "ROC AUC" if task.kind.is_classification else "R2", request.ranking[0]
    answers: list[Cause | str | None] = [
        ask("a leak", lambda: leakage(found.leaks or (), strength, moved, gates)),
        ask("wrong labels", lambda: label_noise(found.labels, request.conflicts, rows, metric, goal, uneven)),
        ask("too few rows", lambda: fresh_rows(gates) or few_rows(found.curve, metric, need)),
        ask("a space too narrow", lambda: narrow_space(winner, search, request.space, metric, need)),
        ask("a budget too small", lambda: small_budget(search, metric, need)),
        ask("a shift", lambda: shift(low, moved, gates)),
        ask("a weak slice", lambda: weak_slice(check.slices, gates, check.rows, metric.sign)),
        ask("the noise of seeds", lambda: seed_noise(check.seeds, need)),
    ]
    return [one for one in answers if one is not None]


def _start(evidence: Evidence, task: LearningTask, config: SweepConfig, crew: Crew) -> tuple[Work, Work]:
    """What takes long, begun at once: are parts told apart, and what does each feature say in each part?

    The column that parts are split by in time is left out: there they differ on purpose.
    """
    time = config.data.time if config.split.kind in BY_TIME else None
    compared = tuple(one for one in task.inputs if one.kind is not ColumnKind.NESTED and one.name != time)
    names = [one.name for one in compared]
    comparing = replace(task, features=compared, preparation=None)
    parts = tuple(
        replace(part, features=part.features.select(names))
        for part in (evidence.training, evidence.testing, evidence.validation)
    )
    shared = ray.put(parts)
    return crew.begin({}, _tell_apart, comparing, shared), crew.begin({}, _broken_features, comparing, shared)


def _shortfall(check: FinalCheck, goal: float | None, need: Need) -> str:
    if need.shortfall is not None:
        return (
            f"{check.metric} {check.score.value:.4g} on validation is {need.shortfall:.2g} short of the goal {goal:g}"
        )
    missed = [gate for gate in check.gates if gate.outcome in _MISSED]
    return "; ".join(f"{gate.name}: {gate.reason}" for gate in missed)


def _learning_curve(
    evidence: Evidence, task: LearningTask, request: ConfirmRequest, remote: RemoteFits
) -> LearningCurve:
    """The winner on shares of the training rows, scored on testing rows."""
    testing, metric = evidence.testing, task.metric
    fits = plan_curve(request.ranking[0])
    named = {f"{share:g}": fit for share, fit in fits.items()}
    models = remote.fit_all(named, named, request.say)
    predicted = remote.predict(models, Part.TESTING)
    whole = evidence.finalists[0].trained_testing
    points = [
        (round(share * evidence.training.rows), score(metric.name, testing.y, predicted[f"{share:g}"], testing.weight))
        for share in fits
    ]
    points.append((evidence.training.rows, score(metric.name, testing.y, whole, testing.weight)))
    return extrapolate(points, metric)


def _labels(evidence: Evidence, task: LearningTask) -> Labels:
    y = evidence.testing.y
    share = mislabelled_share(y, evidence.finalists[0].trained_testing)
    return Labels(share, noise_ceiling(task.metric, y, len(task.classes), share))


def _tell_apart(task: LearningTask, parts: tuple[RowBlock, RowBlock, RowBlock]) -> Told:
    return tell_apart(task, parts[0], parts[2])


def _broken_features(task: LearningTask, parts: tuple[RowBlock, RowBlock, RowBlock]) -> list[Broken]:
    return [Broken(one.name, one.testing, one.validation) for one in broken_features(task, *parts)]
