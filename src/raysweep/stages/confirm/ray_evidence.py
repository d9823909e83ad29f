"""From fits and opened rows to the evidence: predictions on every part, and what is found out about the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import ray

from raysweep.config import SweepConfig
from raysweep.records.model_facts import Behaviour, Opened, Probe
from raysweep.records.table import Part
from raysweep.records.trial import FittedModel
from raysweep.stages.confirm.confirm_request import ConfirmRequest
from raysweep.stages.confirm.evidence import Evidence, FinalistEvidence
from raysweep.stages.confirm.facts import FactRows, calibration_of, measured, optimism_of, slices_of, threshold_of
from raysweep.stages.confirm.fits import (
    SEEDS,
    FitPlan,
    Fitted,
    count_rivals,
    default_name,
    default_of,
    fitted_rows,
    seed_name,
    shipped_name,
    trained_name,
)
from raysweep.stages.confirm.production import score_champion
from raysweep.stages.confirm.ray_fits import RemoteFits
from raysweep.training.behaviour import probe_behaviour
from raysweep.training.dummy import dummy_predictions
from raysweep.training.learner import Floats
from raysweep.training.pipeline import pipeline_of
from raysweep.training.sealed_rows import SealedRows
from raysweep.training.trial_data import SearchRows

REAL_ROWS: Final = "validation rows"


@dataclass(frozen=True, slots=True)
class Look:
    """The rows of all parts, at the one time when they are together.

    Attributes:
        was_opened: somebody has opened the sealed rows before.
    """

    rows: SearchRows
    sealed: SealedRows
    opened: Opened
    was_opened: bool


@dataclass(frozen=True, slots=True)
class _Predicted:
    """Predictions on validation rows by the name of the fit; numbers all of them.

    Attributes:
        faults: of a fit that could not predict, or not predict numbers: what it did instead.
    """

    by_name: Mapping[str, Floats]
    faults: Mapping[str, str]


def predict_before(plan: FitPlan, models: Mapping[str, Any], remote: RemoteFits) -> dict[tuple[str, Part], Floats]:
    """Predictions on the search's rows, made before the validation rows are opened."""
    trained = _known(models, [trained_name(rank) for rank in range(1, len(plan.finalists) + 1)])
    seeds = _known(models, [seed_name(number) for number in range(1, SEEDS)])
    on_training = remote.predict(trained, Part.TRAINING)
    on_testing = remote.predict(trained | seeds, Part.TESTING)
    found = {(name, Part.TRAINING): predicted for name, predicted in on_training.items()}
    return found | {(name, Part.TESTING): predicted for name, predicted in on_testing.items()}


def gather_evidence(
    request: ConfirmRequest, config: SweepConfig, fitted: Fitted, look: Look, remote: RemoteFits
) -> Evidence:
    """Everything that the final check judges by."""
    task, rows, sealed = request.task, look.rows, look.sealed
    first: FittedModel = ray.get(fitted.models.get(shipped_name(1), fitted.models[trained_name(1)]))
    fitted_on = fitted_rows(rows, first.fitted_on)
    dummy = dummy_predictions(task, fitted_on.y, fitted_on.weight, sealed.block.rows)
    predicted = _predict_sealed(request, fitted, look, dummy, remote)
    finalists = tuple(
        _finalist(request, fitted, predicted.by_name, rank, is_sample=rows.is_sample)
        for rank in range(1, len(fitted.plan.finalists) + 1)
    )
    scored = FactRows(rows.testing, sealed, finalists[0].trained_testing, finalists[0].validation, dummy)
    trials, part, seed = request.search.trials, request.search.part, config.split.seed
    level, say = look.opened.level, request.say
    return Evidence(
        training=rows.training,
        testing=rows.testing,
        validation=sealed.block,
        finalists=finalists,
        dummy=dummy,
        seeds=_seeds(fitted, predicted.by_name),
        keys_shared=request.split.keys_shared,
        opened=look.opened,
        behaviour=_behaviour(request, first, rows, predicted),
        optimism=measured("the luck of the best", lambda: optimism_of(trials, task, rows, seed, part), say),
        calibration=measured("calibration", lambda: calibration_of(scored, task, level), say),
        threshold=measured("a threshold", lambda: threshold_of(scored, task), say),
        slices=slices_of(scored, task, config, say),
        champion=None if request.champion is None else score_champion(request.champion, sealed, task, request.split),
        costs=first.costs,
        broken="the sealed validation rows were opened before the final check" if look.was_opened else "",
    )


def _predict_sealed(
    request: ConfirmRequest, fitted: Fitted, look: Look, dummy: Floats, remote: RemoteFits
) -> _Predicted:
    """What the finalists and what they are compared with predict for the validation rows.

    Rows for which a finalist gives no number count as the dummy's, so that its score is defined; the fault is kept.
    What they are compared with is left out where it gives none.
    """
    ranks = range(1, len(fitted.plan.finalists) + 1)
    needed = [name for rank in ranks for name in (trained_name(rank), shipped_name(rank)) if name in fitted.models]
    beside = [default_name(trial) for trial in fitted.plan.finalists] + [seed_name(one) for one in range(1, SEEDS)]
    found, faults = remote.try_predict(_known(fitted.models, [*needed, *beside]), look.sealed.block)
    for name, values in list(found.items()):
        lacking = np.asarray(~np.isfinite(values.reshape(len(values), -1)).all(axis=1), dtype=np.bool_)
        if lacking.any():
            faults[name] = f"no number for {int(lacking.sum()):,} of {len(values):,} rows"
            found[name] = np.where(lacking[:, np.newaxis] if values.ndim > 1 else lacking, dummy, values)
    for name in needed:
        found.setdefault(name, dummy.copy())
    for name, fault in faults.items():
        request.say(f"the fit {name!r} on validation rows: {fault}")
    kept = {name: values for name, values in found.items() if name in needed or name not in faults}
    return _Predicted(kept, faults)


def _behaviour(request: ConfirmRequest, first: FittedModel, rows: SearchRows, predicted: _Predicted) -> Behaviour:
    """How the model that ships takes strange rows, and the validation rows."""
    found = probe_behaviour(pipeline_of(first), rows.testing.features, request.task)
    shipped = shipped_name(1) if shipped_name(1) in predicted.by_name else trained_name(1)
    fault = predicted.faults.get(shipped, "")
    return replace(found, probes=(*found.probes, Probe(REAL_ROWS, fault or "predicted", failed=bool(fault))))


def _seeds(fitted: Fitted, predicted: Mapping[str, Floats]) -> tuple[tuple[Floats, Floats], ...]:
    names = [seed_name(number) for number in range(1, SEEDS)]
    return tuple((fitted.before[name, Part.TESTING], predicted[name]) for name in names if name in predicted)


def _finalist(
    request: ConfirmRequest, fitted: Fitted, predicted: Mapping[str, Floats], rank: int, *, is_sample: bool
) -> FinalistEvidence:
    trial, trained = fitted.plan.finalists[rank - 1], trained_name(rank)
    scored = shipped_name(rank) if shipped_name(rank) in predicted else trained
    default = default_of(trial, request.search.trials, None)
    return FinalistEvidence(
        trial=trial,
        fitted_on=fitted.plan.fits[scored].fitted_on(is_sample=is_sample),
        validation=predicted[scored],
        default=None if default is trial else predicted.get(default_name(trial)),
        rivals=count_rivals(trial, request.search.trials) if default is trial else None,
        trained_training=fitted.before[trained, Part.TRAINING],
        trained_testing=fitted.before[trained, Part.TESTING],
        trained_validation=predicted[trained],
    )


def _known(models: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: models[name] for name in names if name in models}
