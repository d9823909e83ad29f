"""Stage 6: refit the finalists, open the sealed validation rows once, judge, and answer why not."""

from __future__ import annotations

from dataclasses import replace

import ray

from raysweep.config import SweepConfig
from raysweep.records.model_facts import Opened
from raysweep.records.table import Part
from raysweep.stages.confirm.confirm_request import Confirmed, ConfirmRequest
from raysweep.stages.confirm.final_check import check_finally
from raysweep.stages.confirm.fits import FitPlan, Fitted, fitted_rows, plan_fits, shipped_name, trained_name
from raysweep.stages.confirm.ledger import Opening, record_opening, sweep_digest
from raysweep.stages.confirm.ray_evidence import Look, gather_evidence, predict_before
from raysweep.stages.confirm.ray_fits import RemoteFits
from raysweep.stages.confirm.ray_why_not import find_why_not
from raysweep.training.trial_data import SearchRows


def confirm_winner(request: ConfirmRequest, config: SweepConfig) -> Confirmed:
    """Fit what has to be fitted (in parallel), then open the validation rows, once, and judge.

    Raises:
        SealBroken: the sealed rows are not what was sealed.
        StorageFailed: the ledger cannot be written; nothing was opened.
    """
    task = request.task
    plan = plan_fits(request.ranking, request.search.trials, config)
    request.say(f"{len(plan.fits)} fits: the finalists as they ship, what they are compared with, other seeds")
    remote = RemoteFits(task, request.split.search_data, config)
    models = remote.fit_all(plan.fits, plan.needed, request.say)
    rows: SearchRows = ray.get(request.split.search_data)
    fitted = Fitted(plan, models, predict_before(plan, models, remote))
    opened = _write_down(request, config, plan)
    was_opened = request.seal.was_opened
    try:
        look = Look(rows, request.seal.open(again=was_opened), opened, was_opened)
        evidence = gather_evidence(request, config, fitted, look, remote)
        check = check_finally(evidence, task, config.confirm, remote.draw)
        if not check.verdict.allows_use:
            request.say("looking for what keeps the model from what was asked of it")
            check = replace(check, why_not=find_why_not(request, config, check, evidence, remote))
    finally:
        request.seal.delete()
    shipped = ray.get(models.get(shipped_name(1), models[trained_name(1)]))
    names = [trained_name(rank) for rank in range(1, min(plan.best, config.export.top) + 1)]
    best = ray.get([models[name] for name in names if name in models])
    return Confirmed(check, shipped, tuple(best), rows.training, fitted_rows(rows, shipped.fitted_on).features)


def _write_down(request: ConfirmRequest, config: SweepConfig, plan: FitPlan) -> Opened:
    """The opening in the ledger, right before it happens."""
    summary = request.split.parts[Part.VALIDATION]
    opening = Opening(
        run_id=request.run_id,
        opened=request.clock().isoformat(timespec="microseconds"),
        digest=summary.digest,
        rows=summary.rows,
        sketch=request.split.sketch,
        sweep=sweep_digest(config),
        finalists=tuple(trial.candidate.digest for trial in plan.finalists),
        goes_on=request.goes_on,
    )
    opened, unreadable = record_opening(request.ledger, opening)
    for sentence in unreadable:
        request.say(sentence)
    return opened
