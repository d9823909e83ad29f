"""The final check itself: predictions on the validation rows in, scores with intervals, gates and verdict out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from raysweep.config import ConfirmConfig
from raysweep.records.final_check import Comparison, FinalCheck, Gap, Gate
from raysweep.records.metric import Metric, metrics_for
from raysweep.records.model_facts import Estimate
from raysweep.records.table import LearningTask
from raysweep.stages.confirm.gates import (
    constraints_gate,
    decide,
    default_gate,
    dummy_gate,
    evidence_gate,
    gap_gate,
    goal_gate,
    seal_gate,
)
from raysweep.training.learner import Floats
from raysweep.training.metrics import score
from raysweep.training.resampling import RESAMPLES, resampled_scores

LOW_PERCENT: Final = 2.5
HIGH_PERCENT: Final = 97.5


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows of one part with predictions on them."""

    y: Floats
    weight: Floats | None
    predicted: Floats


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the final check judges by.

    Attributes:
        shipped: the fit that ships, on validation rows.
        dummy: predictions of the dummy on the same rows.
        default: predictions of the family's default parameters on the same rows, fitted like the winner; None where
            there is none, or the default is the winner.
        rivals: where the default is the winner, how many other candidates of its family had a score; else None.
        trained_testing, trained_validation: the fit on training rows alone, on testing and on validation rows.
        costs: of the model that ships, as far as they were asked for.
    """

    shipped: Scored
    dummy: Floats
    default: Floats | None
    rivals: int | None
    trained_testing: Scored
    trained_validation: Scored
    fitted_on: str
    keys_shared: int
    costs: Mapping[str, float] = field(default_factory=dict)


def check_finally(evidence: Evidence, task: LearningTask, config: ConfirmConfig, seed: int) -> FinalCheck:
    """Score the winner once, compare it, and decide.

    Args:
        evidence: predictions on validation (and testing) rows.
        task: with the metric.
        config: the goal.
        seed: of the bootstrap.
    """
    metric, shipped = task.metric, evidence.shipped
    others = [one for one in metrics_for(task.kind) if one.name != metric.name]
    compared = {"dummy": evidence.dummy} | ({} if evidence.default is None else {"default": evidence.default})
    draws = resampled_scores(
        shipped.y,
        shipped.weight,
        [(metric.name, shipped.predicted)]
        + [(metric.name, predicted) for predicted in compared.values()]
        + [(one.name, shipped.predicted) for one in others],
        seed=seed,
    )
    own = _score(metric, shipped, draws[0])
    comparisons = tuple(
        _compare(name, own.value, score(metric.name, shipped.y, predicted, shipped.weight), draws[0] - drawn, metric)
        for (name, predicted), drawn in zip(compared.items(), draws[1:], strict=False)
    )
    estimates = {metric.name: own} | {
        one.name: _score(one, shipped, drawn) for one, drawn in zip(others, draws[1 + len(compared) :], strict=True)
    }
    gap = _gap(evidence, metric, seed)
    gates = _gates(evidence, task, config, estimates, comparisons, gap)
    return FinalCheck(
        metric=metric.name,
        rows=len(shipped.y),
        fitted_on=evidence.fitted_on,
        score=own,
        metrics=estimates,
        comparisons=comparisons,
        gap=gap,
        gates=gates,
        verdict=decide(gates),
        resamples=RESAMPLES,
    )


def _gates(
    evidence: Evidence,
    task: LearningTask,
    config: ConfirmConfig,
    estimates: Mapping[str, Estimate],
    comparisons: tuple[Comparison, ...],
    gap: Gap | None,
) -> tuple[Gate, ...]:
    by_name = {comparison.against: comparison for comparison in comparisons}
    y = evidence.shipped.y
    counts = np.bincount(y.astype(int), minlength=len(task.classes)).tolist() if task.classes else []
    gates = [
        evidence_gate(len(y), counts),
        seal_gate(evidence.keys_shared),
        dummy_gate(by_name["dummy"], task.metric),
        default_gate(by_name.get("default"), rivals=evidence.rivals),
        gap_gate(gap),
        goal_gate(estimates[task.metric.name], config.gates.score, task.metric),
        constraints_gate({name: one.value for name, one in estimates.items()} | dict(evidence.costs), task.aims),
    ]
    return tuple(gate for gate in gates if gate is not None)


def _score(metric: Metric, rows: Scored, drawn: Floats) -> Estimate:
    return _estimate(score(metric.name, rows.y, rows.predicted, rows.weight), drawn)


def _compare(against: str, own: float, other: float, differences: Floats, metric: Metric) -> Comparison:
    return Comparison(against, other, _estimate(metric.sign * (own - other), metric.sign * differences))


def _gap(evidence: Evidence, metric: Metric, seed: int) -> Gap | None:
    parts = (evidence.trained_testing, evidence.trained_validation)
    scores = [score(metric.name, part.y, part.predicted, part.weight) for part in parts]
    draws = [resampled_scores(part.y, part.weight, [(metric.name, part.predicted)], seed=seed)[0] for part in parts]
    errors = [float(drawn[np.isfinite(drawn)].std()) for drawn in draws]
    if not np.isfinite([*scores, *errors]).all():
        return None
    drop = metric.sign * (scores[0] - scores[1])
    return Gap(scores[0], scores[1], drop, math.hypot(*errors))


def _estimate(value: float, drawn: Any) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return Estimate(value, float("nan"), float("nan"), float("nan"))
    low, high = np.percentile(known, [LOW_PERCENT, HIGH_PERCENT])
    return Estimate(float(value), float(low), float(high), float(known.std()))
