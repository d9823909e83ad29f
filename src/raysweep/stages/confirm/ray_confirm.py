"""Stage 6: refit the winner, open the sealed validation rows once, and judge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from raysweep.config import SweepConfig
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import FittedModel, Trial
from raysweep.stages.confirm.final_check import Evidence, Scored, check_finally
from raysweep.training.dummy import dummy_predictions
from raysweep.training.evaluate import TrialRules
from raysweep.training.pipeline import Pipeline, fit_pipeline
from raysweep.training.trial_data import RowBlock, SearchRows

TRAINING, BOTH = "training", "training+testing"
SEALED_FILE, TARGET, WEIGHT = "validation.parquet", "target", "weight"


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


def confirm_winner(
    ranking: list[Trial], trials: tuple[Trial, ...], task: LearningTask, split: Split, config: SweepConfig
) -> Confirmed:
    """Fit what has to be fitted (in parallel), then look at the validation rows.

    Args:
        ranking: trials with a score, best first; not empty.
        trials: all trials, among them the winner's family's default.
        task: what was learned.
        split: holds the search's rows and the folder of the sealed ones.
        config: the whole sweep.
    """
    winner = ranking[0]
    default = _default_of(winner, trials)
    best = ranking[: config.export.top]
    fits = [(trial, TRAINING) for trial in best]
    fits += [(winner, BOTH)] if config.confirm.refit == BOTH else []
    fits += [(default, config.confirm.refit)] if default is not None and default is not winner else []
    fitted = dict(zip([(t.candidate.number, on) for t, on in fits], _fit_all(fits, task, split, config), strict=True))
    shipped = fitted[winner.candidate.number, config.confirm.refit]
    compared = None if default is None else fitted.get((default.candidate.number, config.confirm.refit))
    evidence = _gather(
        task,
        split,
        shipped=shipped,
        trained=fitted[winner.candidate.number, TRAINING],
        default=None if compared is shipped else compared,
        is_default=winner.candidate.origin == "default",
    )
    check = check_finally(evidence, task, config.confirm, config.split.seed)
    rows: SearchRows = ray.get(split.search_data)
    own = tuple(fitted[trial.candidate.number, TRAINING] for trial in best)
    return Confirmed(check, shipped, own, rows.training)


def _default_of(winner: Trial, trials: tuple[Trial, ...]) -> Trial | None:
    for trial in trials:
        if trial.candidate.origin == "default" and trial.candidate.family == winner.candidate.family:
            return trial if trial.rungs else None
    return None


def _fit_all(fits: list[tuple[Trial, str]], task: LearningTask, split: Split, config: SweepConfig) -> list[FittedModel]:
    rules = TrialRules((1.0,), config.search.trial.cpus, "cuda" if config.search.trial.gpus else "cpu")
    fit = ray.remote(_fit).options(num_cpus=config.search.trial.cpus, num_gpus=config.search.trial.gpus)
    return list(
        ray.get([fit.remote(trial, on, split.search_data, task, rules, config.search.seed) for trial, on in fits])
    )


def _fit(trial: Trial, on: str, rows: SearchRows, task: LearningTask, rules: TrialRules, seed: int) -> FittedModel:
    import warnings

    warnings.simplefilter("ignore")  # a worker process of ours: learners warn about what is merely unusual
    started = time.perf_counter()
    block = rows.training if on == TRAINING else rows.training.joined(rows.testing)
    pipeline = fit_pipeline(trial.candidate, task, block, rules, rounds=_rounds_for(trial, block.rows, rows), seed=seed)
    return FittedModel(trial, pipeline, on, block.rows, time.perf_counter() - started)


def _rounds_for(trial: Trial, rows: int, search: SearchRows) -> int | None:
    """The rounds that the search found, scaled by the rows: more rows carry more rounds."""
    found = trial.rungs[-1].rounds
    if found is None:
        return None
    searched_on: float = search.training.rows
    if search.folds > 1:
        searched_on = (search.training.rows + search.testing.rows) * (1 - 1 / search.folds)
    return max(1, round(found * rows / searched_on))


def _gather(
    task: LearningTask,
    split: Split,
    *,
    shipped: FittedModel,
    trained: FittedModel,
    default: FittedModel | None,
    is_default: bool,
) -> Evidence:
    rows: SearchRows = ray.get(split.search_data)
    sealed = open_sealed(Path(split.sealed), task)
    fitted_on = rows.training if shipped.fitted_on == TRAINING else rows.training.joined(rows.testing)
    return Evidence(
        shipped=_score_on(shipped, sealed),
        dummy=dummy_predictions(task, fitted_on.y, fitted_on.weight, sealed.rows),
        default=None if default is None else _pipeline(default).predict(sealed.features),
        is_default=is_default,
        trained_testing=_score_on(trained, rows.testing),
        trained_validation=_score_on(trained, sealed),
        fitted_on=shipped.fitted_on,
        keys_shared=split.keys_shared,
    )


def open_sealed(folder: Path, task: LearningTask) -> RowBlock:
    """The validation rows. Called once a sweep, after the search has ended."""
    table = pq.read_table(folder / SEALED_FILE)
    features = pa.table({column.name: table.column(str(n)) for n, column in enumerate(task.features)})
    weight = table.column(WEIGHT).to_numpy() if WEIGHT in table.column_names else None
    return RowBlock(features, table.column(TARGET).to_numpy(), weight)


def _score_on(model: FittedModel, block: RowBlock) -> Scored:
    return Scored(block.y, block.weight, _pipeline(model).predict(block.features))


def _pipeline(model: FittedModel) -> Pipeline:
    learner: Any = model.learner
    if not isinstance(learner, Pipeline):
        raise TypeError(f"a {type(learner).__name__} is no Pipeline")
    return learner
