"""Stage 6: refit the finalists, open the sealed validation rows once, judge, and answer why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray

from raysweep.config import SweepConfig
from raysweep.events import Listener, Said
from raysweep.records.final_check import FinalCheck
from raysweep.records.model_facts import Opened
from raysweep.records.table import LabelConflicts, LearningTask, Part, Split
from raysweep.records.trial import FittedModel, SearchOutcome, Trial
from raysweep.space import SearchSpace
from raysweep.stages.confirm.evidence import Evidence, FinalistEvidence
from raysweep.stages.confirm.facts import FactRows, calibration_of, measured, optimism_of, slices_of, threshold_of
from raysweep.stages.confirm.final_check import check_finally
from raysweep.stages.confirm.fits import (
    BOTH,
    SEEDS,
    FitPlan,
    Fitted,
    count_rivals,
    default_name,
    default_of,
    fitted_rows,
    plan_fits,
    seed_name,
    shipped_name,
    trained_name,
)
from raysweep.stages.confirm.ledger import Opening, record_opening, sweep_digest
from raysweep.stages.confirm.production import ChampionModel, score_champion
from raysweep.stages.confirm.ray_fits import RemoteFits, pipeline_of
from raysweep.stages.confirm.ray_why_not import find_why_not
from raysweep.storage.store import Store
from raysweep.training.behaviour import probe_behaviour
from raysweep.training.dummy import dummy_predictions
from raysweep.training.learner import Floats
from raysweep.training.sealed_rows import Seal, SealedRows
from raysweep.training.trial_data import RowBlock, SearchRows


@dataclass(frozen=True, slots=True)
class ConfirmRequest:
    """What the final check is given beside the config.

    Attributes:
        ranking: trials with a score, best first; not empty.
        space: that was searched.
        seal: of the validation rows.
        conflicts: equal features with different targets, in the whole table.
        ledger: of openings: the store that holds it.
        opened: date and time, as ISO text in UTC.
        champion: the model in production; None where none is named.
    """

    run_id: str
    ranking: Sequence[Trial]
    search: SearchOutcome
    space: SearchSpace
    task: LearningTask
    split: Split
    seal: Seal = field(repr=False)
    conflicts: LabelConflicts | None
    ledger: Store
    opened: str
    tell: Listener
    champion: ChampionModel | None = None


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
class _Look:
    """The rows of all parts, at the one time when they are together.

    Attributes:
        was_opened: somebody has opened the sealed rows before.
    """

    rows: SearchRows
    sealed: SealedRows
    opened: Opened
    was_opened: bool


def confirm_winner(request: ConfirmRequest, config: SweepConfig) -> Confirmed:
    """Fit what has to be fitted (in parallel), then open the validation rows, once, and judge.

    Raises:
        SealBroken: the sealed rows are not what was sealed.
        StorageFailed: the ledger cannot be written; nothing was opened.
    """
    task = request.task
    plan = plan_fits(request.ranking, request.search.trials, config)
    request.tell(Said(f"{len(plan.fits)} fits: the finalists as they ship, what they are compared with, other seeds"))
    remote = RemoteFits(task, request.split.search_data, config)
    models = remote.fit_all(plan.fits)
    rows: SearchRows = ray.get(request.split.search_data)
    before = _predict_before(plan, models, remote)
    opened = _write_down(request, config, plan)
    was_opened = request.seal.was_opened
    sealed = request.seal.open(again=was_opened)
    try:
        evidence = _gather(
            request, config, Fitted(plan, models, before), _Look(rows, sealed, opened, was_opened), remote
        )
        check = check_finally(evidence, task, config.confirm, remote.draw)
        if not check.verdict.allows_use:
            request.tell(Said("looking for what keeps the model from what was asked of it"))
            check = replace(check, why_not=find_why_not(request, config, check, evidence, remote))
    finally:
        request.seal.delete()
    shipped = models.get(shipped_name(1), models[trained_name(1)])
    best = [models[trained_name(rank)] for rank in range(1, min(plan.best, config.export.top) + 1)]
    return Confirmed(check, ray.get(shipped), tuple(ray.get(best)), rows.training)


def _predict_before(plan: FitPlan, models: Mapping[str, Any], remote: RemoteFits) -> dict[tuple[str, Part], Floats]:
    """Predictions on the search's rows, made before the validation rows are opened."""
    ranks = range(1, len(plan.finalists) + 1)
    trained = {trained_name(rank): models[trained_name(rank)] for rank in ranks}
    seeds = {seed_name(number): models[seed_name(number)] for number in range(1, SEEDS)}
    on_training = remote.predict(trained, Part.TRAINING)
    on_testing = remote.predict(trained | seeds, Part.TESTING)
    found = {(name, Part.TRAINING): predicted for name, predicted in on_training.items()}
    return found | {(name, Part.TESTING): predicted for name, predicted in on_testing.items()}


def _write_down(request: ConfirmRequest, config: SweepConfig, plan: FitPlan) -> Opened:
    """The opening in the ledger, before it happens."""
    summary = request.split.parts[Part.VALIDATION]
    opening = Opening(
        run_id=request.run_id,
        opened=request.opened,
        digest=summary.digest,
        rows=summary.rows,
        sketch=request.split.sketch,
        sweep=sweep_digest(config),
        finalists=tuple(trial.candidate.digest for trial in plan.finalists),
    )
    opened, unreadable = record_opening(request.ledger, opening)
    for sentence in unreadable:
        request.tell(Said(sentence))
    return opened


def _gather(request: ConfirmRequest, config: SweepConfig, fitted: Fitted, look: _Look, remote: RemoteFits) -> Evidence:
    task, models, rows, sealed = request.task, fitted.models, look.rows, look.sealed
    predicted = remote.predict(models, sealed.block)
    first = ray.get(models.get(shipped_name(1), models[trained_name(1)]))
    fitted_on = fitted_rows(rows, first.fitted_on)
    dummy = dummy_predictions(task, fitted_on.y, fitted_on.weight, sealed.block.rows)
    finalists = tuple(_finalist(request, fitted, predicted, rank) for rank in range(1, len(fitted.plan.finalists) + 1))
    scored = FactRows(rows.testing, sealed, finalists[0].trained_testing, finalists[0].validation, dummy)
    seeds = tuple(
        (fitted.before[seed_name(number), Part.TESTING], predicted[seed_name(number)]) for number in range(1, SEEDS)
    )
    trials = request.search.trials

    def say(sentence: str) -> None:
        request.tell(Said(sentence))

    return Evidence(
        training=rows.training,
        testing=rows.testing,
        validation=sealed.block,
        finalists=finalists,
        dummy=dummy,
        seeds=seeds,
        keys_shared=request.split.keys_shared,
        opened=look.opened,
        behaviour=probe_behaviour(pipeline_of(first), rows.testing.features, task),
        optimism=measured("the luck of the best", lambda: optimism_of(trials, task, rows, config.split.seed), say),
        calibration=measured("calibration", lambda: calibration_of(scored, task, look.opened.level), say),
        threshold=measured("a threshold", lambda: threshold_of(scored, task), say),
        slices=measured("slices", lambda: slices_of(scored, task, config), say) or (),
        champion=None if request.champion is None else score_champion(request.champion, sealed, task, request.split),
        costs=first.costs,
        broken="the sealed validation rows were opened before the final check" if look.was_opened else "",
    )


def _finalist(request: ConfirmRequest, fitted: Fitted, predicted: Mapping[str, Floats], rank: int) -> FinalistEvidence:
    trial, trained = fitted.plan.finalists[rank - 1], trained_name(rank)
    is_refitted = shipped_name(rank) in predicted
    default = default_of(trial, request.search.trials, None)
    return FinalistEvidence(
        trial=trial,
        fitted_on=BOTH if is_refitted else Part.TRAINING.value,
        validation=predicted[shipped_name(rank) if is_refitted else trained],
        default=None if default is trial else predicted.get(default_name(trial)),
        rivals=count_rivals(trial, request.search.trials) if default is trial else None,
        trained_training=fitted.before[trained, Part.TRAINING],
        trained_testing=fitted.before[trained, Part.TESTING],
        trained_validation=predicted[trained],
    )
