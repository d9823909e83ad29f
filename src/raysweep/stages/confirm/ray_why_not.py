"""The answer to "why not?": what is measured once a gate or the goal was missed, and the causes in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray

from raysweep.config import SweepConfig, TaskKind
from raysweep.records.final_check import FinalCheck, Outcome
from raysweep.records.model_facts import Cause, LearningCurve, WhyNot
from raysweep.records.table import LearningTask, Part
from raysweep.stages.confirm.data_causes import (
    Broken,
    Labels,
    few_rows,
    label_noise,
    leakage,
    shift,
    weak_features,
    weak_slice,
)
from raysweep.stages.confirm.evidence import Evidence
from raysweep.stages.confirm.facts import measured
from raysweep.stages.confirm.fits import plan_curve
from raysweep.stages.confirm.ray_fits import RemoteFits
from raysweep.stages.confirm.search_causes import Need, narrow_space, seed_noise, small_budget
from raysweep.training.label_noise import mislabelled_share, noise_ceiling
from raysweep.training.learning_curve import extrapolate
from raysweep.training.metrics import score
from raysweep.training.shift import Told, broken_features, tell_apart
from raysweep.training.trial_data import RowBlock

if TYPE_CHECKING:
    from raysweep.stages.confirm.ray_confirm import ConfirmRequest


def find_why_not(
    request: ConfirmRequest, config: SweepConfig, check: FinalCheck, evidence: Evidence, remote: RemoteFits
) -> WhyNot:
    """Measure what may be the cause, and order what was found by how strongly the evidence speaks for it."""
    task, metric, goal = request.task, request.task.metric, config.confirm.gates.score
    missed = None if goal is None else metric.sign * (goal - check.score.value)
    need = Need(missed if missed is not None and missed > 0 else None, check.score.standard_error)
    said: list[str] = []
    apart, broken = _start(evidence, task)
    curve = measured("a learning curve", lambda: _learning_curve(evidence, task, request, remote), said.append)
    labels = measured("labels", lambda: _labels(evidence, task), said.append)
    leaks: list[Broken] | None = measured("leaks", lambda: ray.get(broken), said.append)
    told: Told | None = measured("a shift between parts", lambda: ray.get(apart), said.append)
    rows = sum(part.rows for part in request.split.parts.values())
    answers = [
        leakage(leaks or (), "ROC AUC" if task.kind.is_classification else "R2"),
        label_noise(labels, request.conflicts, rows, metric, goal),
        few_rows(curve, metric, need),
        narrow_space(request.ranking[0], request.search, request.space, metric, need),
        small_budget(request.search, metric, need),
        shift(None if told is None else told.auc.low, () if told is None else told.features, check.gates),
        weak_slice(check.slices, check.gates, check.rows),
        seed_noise(check.seeds, need),
        weak_features(check.gates),
    ]
    causes = sorted((one for one in answers if isinstance(one, Cause)), key=lambda one: -one.weight)
    looked_at = (*(one for one in answers if isinstance(one, str)), *said)
    return WhyNot(_shortfall(check, goal, need), tuple(causes), looked_at, curve)


def _start(evidence: Evidence, task: LearningTask) -> tuple[Any, Any]:
    """What takes long, begun at once: are parts told apart, and what does each feature say in each part?"""
    training, validation = ray.put(evidence.training), ray.put(evidence.validation)
    parts = ray.put((evidence.training, evidence.testing, evidence.validation))
    return ray.remote(tell_apart).remote(task, training, validation), ray.remote(_broken_features).remote(task, parts)


def _shortfall(check: FinalCheck, goal: float | None, need: Need) -> str:
    if need.shortfall is not None:
        return (
            f"{check.metric} {check.score.value:.4g} on validation is {need.shortfall:.2g} short of the goal {goal:g}"
        )
    missed = [gate for gate in check.gates if gate.outcome in {Outcome.FAILED, Outcome.INCONCLUSIVE}]
    return "; ".join(f"{gate.name}: {gate.reason}" for gate in missed)


def _learning_curve(
    evidence: Evidence, task: LearningTask, request: ConfirmRequest, remote: RemoteFits
) -> LearningCurve:
    """The winner on shares of the training rows, scored on testing rows."""
    testing, metric = evidence.testing, task.metric
    fits = plan_curve(request.ranking[0])
    models = remote.fit_all({f"{share:g}": fit for share, fit in fits.items()})
    predicted = remote.predict(models, Part.TESTING)
    whole = evidence.finalists[0].trained_testing
    points = [
        (round(share * evidence.training.rows), score(metric.name, testing.y, predicted[f"{share:g}"], testing.weight))
        for share in fits
    ]
    points.append((evidence.training.rows, score(metric.name, testing.y, whole, testing.weight)))
    return extrapolate(points, metric)


def _labels(evidence: Evidence, task: LearningTask) -> Labels | None:
    if task.kind is TaskKind.REGRESSION:
        return None
    y = evidence.testing.y
    share = mislabelled_share(y, evidence.finalists[0].trained_testing)
    return Labels(share, noise_ceiling(task.metric, y, len(task.classes), share))


def _broken_features(task: LearningTask, parts: tuple[RowBlock, RowBlock, RowBlock]) -> list[Broken]:
    return [Broken(one.name, one.testing, one.validation) for one in broken_features(task, *parts)]
