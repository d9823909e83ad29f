"""Stage 6: refit the finalists, open the sealed validation rows once, judge, and answer why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import ray

from raysweep.config import SweepConfig
from raysweep.records.model_facts import Opened
from raysweep.records.table import Part
from raysweep.stages.confirm.confirm_request import Confirmed, ConfirmRequest
from raysweep.stages.confirm.final_check import check_finally
from raysweep.stages.confirm.fits import (
    FitPlan,
    Fitted,
    fits_in_blocks,
    fitted_rows,
    plan_fits,
    shipped_name,
    trained_name,
)
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
    is_sample = request.split.sample is not None
    plan = plan_fits(request.ranking, request.search.trials, config, is_sample=is_sample)
    for sentence in _said(plan, request, config):
        request.say(sentence)
    request.say(f"{len(plan.fits)} fits: the finalists as they ship, what they are compared with, other seeds")
    remote = RemoteFits(task, request.split, config, request.search.kept_off, request.crew)
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
    seen = fitted_rows(rows, shipped.fitted_on).features if shipped.seen is None else shipped.seen
    return Confirmed(check, shipped, tuple(best), rows.training, seen)


def _said(plan: FitPlan, request: ConfirmRequest, config: SweepConfig) -> Iterator[str]:
    """On which rows, and by how many workers, what ships is fitted, where that does not go without saying."""
    sample, workers = request.split.sample, config.search.trial.workers
    for trial in dict.fromkeys(one.candidate.family for one in plan.finalists):
        fit = next(fit for name, fit in plan.fits.items() if fit.trial.candidate.family == trial)
        in_blocks = fits_in_blocks(fit.trial, config, is_sample=sample is not None)
        if sample is not None and in_blocks:
            yield f"what ships of {trial} is fitted on all rows, in a stream; what it is compared with, on {sample}"
        elif sample is not None:
            yield f"{trial} cannot be fitted on rows in a stream: what ships is fitted on {sample}"
        if workers > 1 and not in_blocks:
            yield f"{trial} cannot be fitted by several workers: search.trial.workers ({workers}) is left aside"


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
