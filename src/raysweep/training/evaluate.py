"""One candidate, evaluated rung by rung: fit on training rows, scored on testing rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate, RungReport
from raysweep.training.families import families
from raysweep.training.learner import FitSetting, Learner, Matrix
from raysweep.training.metrics import all_scores
from raysweep.training.trial_data import PreparedRows


@dataclass(frozen=True, slots=True)
class TrialRules:
    """What every trial of a sweep has in common.

    Attributes:
        efforts: the share of full effort at each rung, rising to 1. With folds: the share of the folds.
    """

    efforts: tuple[float, ...]
    threads: int
    device: str = "cpu"


class ScoreUndefined(ValueError):
    """The metric has no value on the testing rows, or the predictions are not numbers."""


def evaluate(candidate: Candidate, prepared: PreparedRows, rules: TrialRules) -> Iterator[RungReport]:
    """Fit and score a candidate, yielding at each rung.

    Raises:
        ScoreUndefined: predictions are not finite, or the metric is not defined on the testing rows.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    steps = _over_folds(candidate, prepared, rules) if prepared.cuts > 1 else _over_rungs(candidate, prepared, rules)
    for rung, (effort, scores, rounds, is_last) in enumerate(steps, start=1):
        name = prepared.task.metric.name
        if name not in scores:
            raise ScoreUndefined(f"{name} is not defined on the rows that the candidate was scored on")
        yield RungReport(
            rung=rung,
            effort=effort,
            score=scores[name],
            metrics=scores,
            seconds=time.perf_counter() - wall,
            cpu_seconds=time.process_time() - cpu,
            rounds=rounds,
            is_last=is_last,
            is_whole=prepared.cuts == 1 or is_last,
        )


Step = tuple[float, dict[str, float], int | None, bool]


def new_learner(candidate: Candidate, task: LearningTask, rules: TrialRules, seed: int) -> Learner:
    """A learner for the candidate, not fitted yet."""
    setting = FitSetting(
        task=task.kind,
        classes=len(task.classes),
        seed=seed,
        threads=rules.threads,
        rounds=candidate.rounds or 1,
        metric=task.metric.name,
        device=rules.device,
    )
    return families()[candidate.family].load_learner()(candidate.params, setting)


def _over_rungs(candidate: Candidate, prepared: PreparedRows, rules: TrialRules) -> Iterator[Step]:
    """One cut; each rung is more rounds, or more rows. The best rung so far is the score of a growing family."""
    fit, scored = prepared.encoded(0, candidate)
    learner = new_learner(candidate, prepared.task, rules, candidate.seed)
    best: Step | None = None
    for effort in rules.efforts:
        learner.grow(fit, effort, scored)
        scores = _scores(learner, prepared, scored)
        step = (effort, scores, learner.rounds, learner.finished)
        if best is None or learner.rounds is None or _improves(scores, best[1], prepared):
            best = step
        yield effort, best[1], best[2], learner.finished or effort >= 1
        if learner.finished:
            return


def _over_folds(candidate: Candidate, prepared: PreparedRows, rules: TrialRules) -> Iterator[Step]:
    """Full effort in every fold; a rung is a number of folds, its score the mean over them."""
    seen: list[dict[str, float]] = []
    rounds: list[int] = []
    wanted = [round(effort * prepared.cuts) for effort in rules.efforts]
    for cut in range(prepared.cuts):
        fit, scored = prepared.encoded(cut, candidate)
        learner = new_learner(candidate, prepared.task, rules, candidate.seed + cut)
        learner.grow(fit, 1.0, scored)
        seen.append(_scores(learner, prepared, scored))
        if learner.rounds is not None:
            rounds.append(learner.rounds)
        if cut + 1 in wanted:
            names = set(seen[0]).intersection(*seen)
            means = {name: float(np.mean([scores[name] for scores in seen])) for name in sorted(names)}
            mean_rounds = round(float(np.mean(rounds))) if rounds else None
            yield (cut + 1) / prepared.cuts, means, mean_rounds, cut + 1 == prepared.cuts


def _scores(learner: Learner, prepared: PreparedRows, scored: Matrix) -> dict[str, float]:
    predicted = learner.predict(scored)
    if not np.isfinite(predicted).all():
        raise ScoreUndefined("the candidate predicts values that are not numbers")
    return all_scores(prepared.task.kind, scored.y, predicted, scored.weight)


def _improves(scores: dict[str, float], best: dict[str, float], prepared: PreparedRows) -> bool:
    metric = prepared.task.metric
    if metric.name not in scores:
        return True
    return metric.is_better(scores[metric.name], best[metric.name])
