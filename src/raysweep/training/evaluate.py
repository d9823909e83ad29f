"""One candidate, evaluated rung by rung: fit on training rows, scored on testing rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

from raysweep.records.metric import COSTS, METRICS
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate, RungReport
from raysweep.training.costs import measure_costs
from raysweep.training.families import families
from raysweep.training.kept_state import Course, lasting
from raysweep.training.learner import FitSetting, Floats, Learner, Matrix
from raysweep.training.metrics import all_scores, score
from raysweep.training.pipeline import Pipeline
from raysweep.training.rounds import agreed_rounds
from raysweep.training.testing_sample import pack
from raysweep.training.trial_data import PreparedRows


@dataclass(frozen=True, slots=True)
class TrialRules:
    """What every trial of a sweep has in common.

    Attributes:
        efforts: the share of full effort at each rung, rising to 1. With folds: the share of the folds.
        device: `cpu` or `cuda`; before a process has looked for a GPU also `auto` (`raysweep.training.devices`).
        further: metrics and costs that every rung reports beside the sweep's metric.
        sharing: fits that may be on one GPU at a time.
    """

    efforts: tuple[float, ...]
    threads: int
    device: str = "cpu"
    further: tuple[str, ...] = ()
    sharing: int = 1


class ScoreUndefined(ValueError):
    """A metric that is asked for has no value on the testing rows, or the predictions are not numbers."""


def evaluate(
    candidate: Candidate, prepared: PreparedRows, rules: TrialRules, course: Course | None = None
) -> Iterator[RungReport]:
    """Fit and score a candidate, yielding at each rung.

    Args:
        candidate: what to fit.
        prepared: the rows.
        rules: what all trials have in common.
        course: is kept up to date; where it has a start, the evaluation goes on from there, and the rungs before that
            are not reported again.

    Raises:
        ScoreUndefined: predictions are not finite, or the metric is not defined on the testing rows.
    """
    course = course or Course()
    wall, cpu = time.perf_counter() - course.seconds, time.process_time() - course.cpu_seconds
    work = _over_folds if prepared.cuts > 1 else _over_rungs
    steps = work(candidate, prepared, rules, course)
    for rung, step in enumerate(steps, start=course.rung + 1):
        name = prepared.task.metric.name
        for asked in (name, *rules.further):
            if asked not in step.scores:
                raise ScoreUndefined(f"{asked} is not defined on the rows that the candidate was scored on")
        course.rung, course.seconds, course.cpu_seconds = rung, time.perf_counter() - wall, time.process_time() - cpu
        yield RungReport(
            rung=rung,
            effort=step.effort,
            score=step.scores[name],
            metrics=step.scores,
            seconds=course.seconds,
            cpu_seconds=course.cpu_seconds,
            rounds=step.rounds,
            is_last=step.is_last,
            # Fewer rounds are a model that can be shipped; a fit on fewer rows, or on some of the folds, is not.
            is_whole=step.is_last or (prepared.cuts == 1 and step.rounds is not None),
            sample=pack(prepared.task, step.predicted) if step.is_last else "",
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What a rung has come to.

    Attributes:
        is_last: more effort would not help, or there is none.
        predicted: for the rows that each cut is scored on; those of all cuts at the last rung.
    """

    effort: float
    scores: dict[str, float]
    rounds: int | None
    is_last: bool
    predicted: tuple[Floats, ...]


def new_learner(candidate: Candidate, task: LearningTask, rules: TrialRules, seed: int) -> Learner:
    """A learner for the candidate, not fitted yet."""
    family = families()[candidate.family]
    setting = FitSetting(
        task=task.kind,
        classes=len(task.classes),
        seed=seed,
        threads=rules.threads,
        rounds=candidate.rounds or 1,
        metric=task.metric.name,
        device=rules.device if family.uses_gpu else "cpu",
        sharing=rules.sharing,
    )
    made = family.load_learner()(candidate.params, setting)
    limit_threads(family.learner, rules.threads)
    return made


@cache
def limit_threads(_loaded: str, threads: int) -> None:
    """Hold BLAS and OpenMP to the threads of a trial; they read the environment when they are loaded, if at all.

    Once for each learner, since a limit holds for libraries that are loaded by then.
    """
    threadpool_limits(threads)


def _over_rungs(candidate: Candidate, prepared: PreparedRows, rules: TrialRules, course: Course) -> Iterator[Step]:
    """One cut; each rung is more rounds, or more rows."""
    encoded = prepared.encoded(0, candidate)
    learner = _learner(candidate, prepared, rules, course, 0)
    course.learners = (learner,)
    for effort in rules.efforts[course.rung :]:
        learner.grow(encoded.fit, effort, encoded.scored)
        is_last = learner.finished or effort >= 1
        names = None if is_last else (prepared.task.metric.name, *rules.further)
        predicted = learner.predict(encoded.scored)
        scores = _scores(predicted, prepared, encoded.scored, names) | _costs(candidate, learner, prepared, 0, rules)
        yield Step(effort, scores, learner.rounds, is_last, (predicted,))
        if is_last:
            return


def _learner(candidate: Candidate, prepared: PreparedRows, rules: TrialRules, course: Course, cut: int) -> Learner:
    """The learner of a cut, as far as the course has come."""
    learner = new_learner(candidate, prepared.task, rules, candidate.seed + cut)
    known = () if course.start is None else course.start.learners
    able = lasting(learner)
    if cut < len(known) and able is not None:
        able.take_up(known[cut])
    return learner


def _over_folds(candidate: Candidate, prepared: PreparedRows, rules: TrialRules, course: Course) -> Iterator[Step]:
    """Full effort in every fold; a rung is a number of folds, its scores the means over them, its costs the last's."""
    grown: list[tuple[Learner, Matrix]] = []
    predicted: list[Floats] = []
    seen: list[dict[str, float]] = []
    done = course.rung
    for cut in range(prepared.cuts):
        encoded = prepared.encoded(cut, candidate)
        learner = _learner(candidate, prepared, rules, course, cut)
        if cut >= done:
            learner.grow(encoded.fit, 1.0, encoded.scored)
        grown.append((learner, encoded.scored))
        course.learners = tuple(one for one, _ in grown)
        if learner.curve:
            if cut + 1 < done:
                continue
            rounds = agreed_rounds([one.curve for one, _ in grown], learner.look_every)
            for one, _ in grown:
                one.rounds = rounds
            predicted = [one.predict(rows) for one, rows in grown]
            seen = [_scores(of, prepared, rows) for of, (_, rows) in zip(predicted, grown, strict=True)]
        else:
            predicted.append(learner.predict(encoded.scored))
            seen.append(_scores(predicted[-1], prepared, encoded.scored))
        if cut < done:
            continue
        names = set(seen[0]).intersection(*seen)
        means = {name: float(np.mean([scores[name] for scores in seen])) for name in sorted(names)}
        means |= _costs(candidate, learner, prepared, cut, rules)
        yield Step((cut + 1) / prepared.cuts, means, learner.rounds, cut + 1 == prepared.cuts, tuple(predicted))


def _scores(
    predicted: Floats, prepared: PreparedRows, scored: Matrix, names: tuple[str, ...] | None = None
) -> dict[str, float]:
    """These metrics, or every one: on small tables that takes as long as a fit."""
    if not np.isfinite(predicted).all():
        raise ScoreUndefined("the candidate predicts values that are not numbers")
    if names is None:
        return all_scores(prepared.task.kind, scored.y, predicted, scored.weight)
    values = {name: score(name, scored.y, predicted, scored.weight) for name in names if name in METRICS}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _costs(
    candidate: Candidate, learner: Learner, prepared: PreparedRows, cut: int, rules: TrialRules
) -> dict[str, float]:
    """What the model would cost as it would be shipped, as far as that is asked for."""
    if not COSTS.keys() & set(rules.further):
        return {}
    encoded = prepared.encoded(cut, candidate)
    pipeline = Pipeline(candidate.family, encoded.preparation, encoded.preprocessor, learner)
    return measure_costs(pipeline, prepared.scored_features(cut), rules.further)
