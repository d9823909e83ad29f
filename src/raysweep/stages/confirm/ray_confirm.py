"""Stage 6: refit the winner, open the sealed validation rows once, and judge."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray

from raysweep.config import SweepConfig
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import FittedModel, Trial, TrialState
from raysweep.runtime.ray_carry import Carried, carry
from raysweep.stages.confirm.final_check import Evidence, Scored, check_finally
from raysweep.training.canaries import check_unsealed
from raysweep.training.costs import measure_costs
from raysweep.training.dummy import dummy_predictions
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import added_families, take_up
from raysweep.training.pipeline import Pipeline
from raysweep.training.process_state import begin_anew
from raysweep.training.refit import fit_pipeline
from raysweep.training.sealed_rows import Seal
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows

TRAINING, BOTH = "training", "training+testing"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the final check leaves behind.

    Attributes:
        shipped: the fit that ships, as `confirm.refit` says.
        best: the `export.top` best trials fitted on training rows, the winner first.
        training: the training rows.
    """

    check: FinalCheck
    shipped: FittedModel
    best: tuple[FittedModel, ...]
    training: RowBlock


@dataclass(frozen=True, slots=True)
class _Fit:
    """What has to be fitted.

    Attributes:
        on: training, or training+testing.
        to_its_end: a trial that the scheduler had stopped is run to its end first, since what it gave in a few rounds
            is no match for the winner.
    """

    trial: Trial
    on: str
    to_its_end: bool = False


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all fits have in common; `added` holds the families that raysweep does not ship."""

    task: LearningTask
    rules: TrialRules
    seed: int
    added: Carried


def confirm_winner(
    ranking: list[Trial],
    trials: tuple[Trial, ...],
    task: LearningTask,
    split: Split,
    config: SweepConfig,
    *,
    seal: Seal,
) -> Confirmed:
    """Fit what has to be fitted (in parallel), then look at the validation rows.

    Args:
        ranking: trials with a score, best first; not empty.
        trials: all trials, among them the winner's family's default.
        task: what was learned.
        split: holds the search's rows.
        config: the whole sweep.
        seal: of the validation rows.
    """
    winner = ranking[0]
    default = _default_of(winner, trials, config.search.trial.seconds)
    finalists = [trial for trial in ranking if trial is winner or trial.rungs[-1].is_whole][: config.export.top]
    best = [f"best {rank}" for rank in range(1, len(finalists) + 1)]
    fits = {name: _Fit(trial, TRAINING) for name, trial in zip(best, finalists, strict=True)}
    if config.confirm.refit == BOTH:
        fits["shipped"] = _Fit(winner, BOTH)
    if default is not None and default is not winner:
        fits["default"] = _Fit(default, config.confirm.refit, to_its_end=True)
    fitted = _fit_all(fits, task, split, config)
    shipped = fitted.get("shipped", fitted["best 1"])
    evidence = _gather(
        task,
        split,
        seal,
        shipped=shipped,
        trained=fitted["best 1"],
        default=fitted.get("default"),
        rivals=_rivals(winner, trials) if winner is default else None,
    )
    check = check_finally(evidence, task, config.confirm, config.split.seed)
    rows: SearchRows = ray.get(split.search_data)
    return Confirmed(check, shipped, tuple(fitted[name] for name in best), rows.training)


def _default_of(winner: Trial, trials: tuple[Trial, ...], longest_seconds: float | None) -> Trial | None:
    """The winner's family with its default parameters; None where they failed, or take longer than a trial may."""
    for trial in trials:
        if trial.candidate.origin == "default" and trial.candidate.family == winner.candidate.family:
            has_failed = not trial.rungs or trial.state is TrialState.FAILED
            is_stopped = trial.state is TrialState.STOPPED
            is_overdue = is_stopped and longest_seconds is not None and trial.slot_seconds >= longest_seconds
            return None if has_failed or is_overdue else trial
    return None


def _rivals(default: Trial, trials: tuple[Trial, ...]) -> int:
    family = default.candidate.family
    return sum(one.candidate.family == family and one.score is not None for one in trials) - 1


def _fit_all(fits: dict[str, _Fit], task: LearningTask, split: Split, config: SweepConfig) -> dict[str, FittedModel]:
    trial = config.search.trial
    rules = TrialRules((1.0,), trial.cpus, "cuda" if trial.gpus else "cpu")
    carry_out = ray.remote(_carry_out).options(num_cpus=trial.cpus, num_gpus=trial.gpus)
    setting = _Setting(task, rules, config.search.seed, carry(added_families()))
    running = [carry_out.remote(fit, split.search_data, setting) for fit in fits.values()]
    return dict(zip(fits, ray.get(running), strict=True))


def _carry_out(fit: _Fit, rows: SearchRows, setting: _Setting) -> FittedModel:
    take_up(setting.added.unpack())
    check_unsealed(rows)
    task, rules, seed = setting.task, setting.rules, setting.seed
    started = time.perf_counter()
    block = rows.training if fit.on == TRAINING else rows.training.joined(rows.testing)
    trial = fit.trial
    begin_anew(trial.candidate.seed)
    if fit.to_its_end and trial.state is not TrialState.COMPLETE:
        trial = replace(trial, rungs=tuple(evaluate(trial.candidate, PreparedRows(task, rows, seed), rules)))
        begin_anew(trial.candidate.seed)
    rounds = _rounds_for(trial, block.rows, rows)
    pipeline = fit_pipeline(trial.candidate, task, block, rules, rounds=rounds, seed=seed)
    seconds = time.perf_counter() - started
    costs = measure_costs(pipeline, block.features, task.aims.further)
    return FittedModel(fit.trial, pipeline, fit.on, block.rows, seconds, costs)


def _rounds_for(trial: Trial, rows: int, search: SearchRows) -> int | None:
    """The rounds that the search found, scaled by the rows: more rows carry more rounds."""
    found = trial.rungs[-1].rounds
    if found is None:
        return None
    searched_on: float = search.training.rows
    if search.folds > 1:
        searched_on = (search.training.rows + search.testing.rows) * (1 - 1 / search.folds)
    return max(1, round(found * rows / searched_on))


def _gather(  # noqa: PLR0913 - what the evidence is gathered from
    task: LearningTask,
    split: Split,
    seal: Seal,
    *,
    shipped: FittedModel,
    trained: FittedModel,
    default: FittedModel | None,
    rivals: int | None,
) -> Evidence:
    rows: SearchRows = ray.get(split.search_data)
    sealed = seal.open().block
    y, weight = rows.training.y, rows.training.weight
    if shipped.fitted_on == BOTH:
        y = np.concatenate([y, rows.testing.y])
        weight = (
            None if weight is None or rows.testing.weight is None else np.concatenate([weight, rows.testing.weight])
        )
    return Evidence(
        shipped=_score_on(shipped, sealed),
        dummy=dummy_predictions(task, y, weight, sealed.rows),
        default=None if default is None else _pipeline(default).predict(sealed.features),
        rivals=rivals,
        trained_testing=_score_on(trained, rows.testing),
        trained_validation=_score_on(trained, sealed),
        fitted_on=shipped.fitted_on,
        keys_shared=split.keys_shared,
        costs=shipped.costs,
    )


def _score_on(model: FittedModel, block: RowBlock) -> Scored:
    return Scored(block.y, block.weight, _pipeline(model).predict(block.features))


def _pipeline(model: FittedModel) -> Pipeline:
    learner: Any = model.learner
    if not isinstance(learner, Pipeline):
        raise TypeError(f"a {type(learner).__name__} is no Pipeline")
    return learner
