"""The final check itself: predictions on the parts in, scores with intervals, gates and verdict out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raysweep.config import ConfirmConfig
from raysweep.records.final_check import Comparison, FinalCheck, Finalist, Gap, Gate, Verdict
from raysweep.records.metric import METRICS, Metric, metrics_for
from raysweep.records.model_facts import Estimate, Production, Promotion, SeedSpread
from raysweep.records.table import LearningTask
from raysweep.stages.confirm.evidence import Champion, Evidence, FinalistEvidence, promotion_of
from raysweep.stages.confirm.gates import (
    constraints_gate,
    decide,
    default_gate,
    dummy_gate,
    evidence_gate,
    gap_gate,
    goal_gate,
    production_gate,
    seal_gate,
)
from raysweep.stages.confirm.model_gates import behaviour_gate, calibration_gate, slices_gate
from raysweep.training.intervals import count_units, estimate
from raysweep.training.learner import Floats
from raysweep.training.metrics import score
from raysweep.training.resampling import RESAMPLES
from raysweep.training.trial_data import RowBlock

Scored = Sequence[tuple[str, Floats]]
# Rows, what is scored on them, resamples -> scores of shape (len(scored), resamples).
Draw = Callable[[RowBlock, Scored, int], Floats]

GAP_RESAMPLES = 400
_NORMAL_WIDTH = 2 * 1.96
DUMMY, DEFAULT, PRODUCTION = "dummy", "default", "production"


@dataclass(frozen=True, slots=True)
class _Validation:
    """Scores on validation rows with what is needed for their intervals.

    Attributes:
        drawn: by what was scored, (name of the metric, id of the predictions).
    """

    rows: RowBlock
    metric: Metric
    classes: int
    level: float
    drawn: Mapping[tuple[str, int], Floats]

    def estimate(self, name: str, predicted: Floats) -> Estimate:
        value = score(name, self.rows.y, predicted, self.rows.weight)
        return estimate(value, self.drawn[name, id(predicted)], level=self.level, units=self._units(name))

    def gain(self, predicted: Floats, other: Floats, against: str) -> Comparison:
        name, sign, rows = self.metric.name, self.metric.sign, self.rows
        own, theirs = (score(name, rows.y, one, rows.weight) for one in (predicted, other))
        differences = sign * (self.drawn[name, id(predicted)] - self.drawn[name, id(other)])
        gained = estimate(sign * (own - theirs), differences, level=self.level, units=self._units(name))
        return Comparison(against, theirs, gained)

    def _units(self, name: str) -> int:
        return count_units(self.rows.y, self.rows.group, METRICS[name], self.classes)


def check_finally(evidence: Evidence, task: LearningTask, config: ConfirmConfig, draw: Draw) -> FinalCheck:
    """Score the finalists once, compare them, and decide about the first.

    Args:
        evidence: predictions on the rows of each part.
        task: with the metric.
        config: gates.
        draw: scores on resamples.
    """
    scored = _score_on_validation(evidence, task, draw)
    finalists = _finalists(evidence, task, scored, draw)
    first = finalists[0]
    production = _production(evidence, scored)
    gates = _gates(evidence, task, config, first, production)
    verdict = decide(gates)
    return FinalCheck(
        metric=task.metric.name,
        rows=evidence.validation.rows,
        fitted_on=first.fitted_on,
        score=first.score,
        metrics=first.metrics,
        comparisons=first.comparisons,
        gap=first.gap,
        gates=gates,
        verdict=verdict,
        resamples=RESAMPLES,
        resampled="rows" if evidence.validation.group is None else "groups",
        level=evidence.opened.level,
        finalists=finalists,
        calibration=evidence.calibration,
        slices=evidence.slices,
        threshold=evidence.threshold,
        behaviour=evidence.behaviour,
        seeds=_seeds(evidence, task.metric),
        production=None if production is None else _unless_unfit(production, verdict),
        opened=evidence.opened,
    )


def _score_on_validation(evidence: Evidence, task: LearningTask, draw: Draw) -> _Validation:
    """Everything that is scored on validation rows, drawn once and together, so that differences are paired."""
    name = task.metric.name
    scored = [(name, evidence.dummy)]
    if evidence.champion is not None and evidence.champion.predicted is not None:
        scored.append((name, evidence.champion.predicted))
    for finalist in evidence.finalists:
        scored += [(metric.name, finalist.validation) for metric in metrics_for(task.kind)]
        scored += [] if finalist.default is None else [(name, finalist.default)]
    drawn = draw(evidence.validation, scored, RESAMPLES)
    by_name = {(metric, id(predicted)): scores for (metric, predicted), scores in zip(scored, drawn, strict=True)}
    return _Validation(evidence.validation, task.metric, len(task.classes), evidence.opened.level, by_name)


def _finalists(evidence: Evidence, task: LearningTask, scored: _Validation, draw: Draw) -> tuple[Finalist, ...]:
    found = []
    for rank, one in enumerate(evidence.finalists, start=1):
        others = {DUMMY: evidence.dummy} | ({} if one.default is None else {DEFAULT: one.default})
        if evidence.champion is not None and evidence.champion.predicted is not None:
            others[PRODUCTION] = evidence.champion.predicted
        metrics = {metric.name: scored.estimate(metric.name, one.validation) for metric in metrics_for(task.kind)}
        known = {name: value for name, value in metrics.items() if math.isfinite(value.value)}
        found.append(
            Finalist(
                rank=rank,
                trial=one.trial.candidate.number,
                family=one.trial.candidate.family,
                fitted_on=one.fitted_on,
                score=metrics[task.metric.name],
                metrics={task.metric.name: metrics[task.metric.name], **known},
                comparisons=tuple(scored.gain(one.validation, other, name) for name, other in others.items()),
                gap=_gap(evidence, one, task, draw),
            )
        )
    return tuple(found)


def _gap(evidence: Evidence, one: FinalistEvidence, task: LearningTask, draw: Draw) -> Gap | None:
    """How the fit on training rows does on each part."""
    metric = task.metric
    parts = (
        (evidence.training, one.trained_training),
        (evidence.testing, one.trained_testing),
        (evidence.validation, one.trained_validation),
    )
    scores = [score(metric.name, rows.y, predicted, rows.weight) for rows, predicted in parts]
    errors = [_standard_error(rows, predicted, task, draw) for rows, predicted in parts]
    if not np.isfinite([*scores[1:], *errors[1:]]).all():
        return None
    has_training = bool(np.isfinite([scores[0], errors[0]]).all())
    return Gap(
        testing=scores[1],
        validation=scores[2],
        drop=metric.sign * (scores[1] - scores[2]),
        standard_error=math.hypot(*errors[1:]),
        training=scores[0] if has_training else None,
        fit_drop=metric.sign * (scores[0] - scores[1]) if has_training else None,
        fit_standard_error=math.hypot(*errors[:2]) if has_training else None,
        optimism=evidence.optimism if one is evidence.finalists[0] else None,
    )


def _standard_error(rows: RowBlock, predicted: Floats, task: LearningTask, draw: Draw) -> float:
    """Of the score: the half width of a 95 % interval in normal units, so that few rows or groups make it larger."""
    metric = task.metric
    drawn = draw(rows, [(metric.name, predicted)], GAP_RESAMPLES)[0]
    units = count_units(rows.y, rows.group, metric, len(task.classes))
    found = estimate(score(metric.name, rows.y, predicted, rows.weight), drawn, units=units)
    return max(found.standard_error, (found.high - found.low) / _NORMAL_WIDTH)


def _seeds(evidence: Evidence, metric: Metric) -> SeedSpread | None:
    if not evidence.seeds:
        return None
    first = evidence.finalists[0]
    fits = ((first.trained_testing, first.trained_validation), *evidence.seeds)
    scores = [
        tuple(score(metric.name, rows.y, fit[part], rows.weight) for fit in fits)
        for part, rows in enumerate((evidence.testing, evidence.validation))
    ]
    return SeedSpread(*scores)


def _production(evidence: Evidence, scored: _Validation) -> Production | None:
    champion: Champion | None = evidence.champion
    if champion is None:
        return None
    if champion.predicted is None:
        return Production(champion.bundle, Promotion.INCONCLUSIVE, champion.unfair)
    gained = scored.gain(evidence.finalists[0].validation, champion.predicted, PRODUCTION)
    promotion, reason = promotion_of(gained.gain.low, gained.gain.high)
    return Production(champion.bundle, promotion, reason, gained.other_score, gained.gain)


def _unless_unfit(production: Production, verdict: Verdict) -> Production:
    """Nothing is promoted that is not adequate, however it compares."""
    if production.promotion is not Promotion.PROMOTE or verdict.allows_use:
        return production
    promotion = Promotion.INCONCLUSIVE if verdict is Verdict.INCONCLUSIVE else Promotion.KEEP
    return replace(production, promotion=promotion, reason=f"{production.reason}, but it is {verdict.value}")


def _gates(
    evidence: Evidence, task: LearningTask, config: ConfirmConfig, first: Finalist, production: Production | None
) -> tuple[Gate, ...]:
    by_name = {comparison.against: comparison for comparison in first.comparisons}
    rows, metric = evidence.validation, task.metric
    counts = np.bincount(rows.y.astype(int), minlength=len(task.classes)).tolist() if task.classes else []
    units = rows.rows if rows.group is None else len(np.unique(rows.group))
    distance = abs(metric.perfect - by_name[DUMMY].other_score)
    values = {name: one.value for name, one in first.metrics.items()} | dict(evidence.costs)
    gates = (
        evidence_gate(units, counts, first.score, distance, grouped=rows.group is not None),
        seal_gate(evidence.keys_shared, evidence.opened, evidence.broken),
        dummy_gate(by_name[DUMMY], metric),
        default_gate(by_name.get(DEFAULT), rivals=evidence.finalists[0].rivals),
        gap_gate(first.gap),
        goal_gate(first.score, config.gates.score, metric),
        constraints_gate(values, task.aims),
        production_gate(production, config.gates.production_margin),
        calibration_gate(evidence.calibration, required=config.gates.calibration == "required" and bool(task.classes)),
        slices_gate(evidence.slices, metric, config.slices),
        behaviour_gate(evidence.behaviour),
    )
    return tuple(gate for gate in gates if gate is not None)
