"""Then and now of what was fitted: the model, its predictions, its scores."""

from __future__ import annotations

import math

from raysweep.config import TaskKind
from raysweep.records.final_check import Gap
from raysweep.records.manifest import FinalCheckRecord, Manifest
from raysweep.records.trial import Candidate
from raysweep.reproduction.apart import Apart
from raysweep.reproduction.compare import compare_params
from raysweep.reproduction.outcome import Compared, Measured, StageCompared, StageName
from raysweep.reproduction.ray_refit import Refitted
from raysweep.training.pipeline import pipeline_of


def compare_models(manifest: Manifest, again: Candidate, fitted: Refitted) -> tuple[StageCompared, ...]:
    """The model that was fitted here beside the published one: what it is, its state, and what it predicts."""
    then, now, pipeline = manifest.model, fitted.model, pipeline_of(fitted.model)
    if then is None or fitted.published is None:
        return (StageCompared(StageName.MODEL, (Compared.told("published", manifest.without_model, None),)),)
    beside = fitted.published
    compared = (
        Compared.of("family", then.family, again.family),
        compare_params(then.params, again.params),
        Compared.of("seed", then.seed, again.seed),
        Compared.of("fitted on", then.fitted_on, now.fitted_on),
        Compared.of("rows", then.fitted_rows, now.rows),
        Compared.of("rounds", then.rounds, pipeline.learner.rounds),
        Compared.of("prepared columns", then.prepare_sha256, pipeline.preparation.digest),
        Compared("state", "as published", ", ".join(beside.other_files) or "as published", not beside.other_files),
        _gap(f"predictions on {beside.fitted.rows:,} rows that it was fitted on", beside.fitted, manifest),
    )
    golden = _gap(f"{beside.golden.rows:,} golden rows", beside.golden, manifest)
    return StageCompared(StageName.MODEL, compared), StageCompared(StageName.PREDICTIONS, (golden,))


def compare_final_checks(
    then: FinalCheckRecord, gap: Gap | None, fitted: Refitted, *, same_rows: bool
) -> tuple[StageCompared, Measured]:
    """The scores then and now, and all by which the outcome is judged.

    Args:
        then: the manifest's record.
        gap: of the published final check: it has the score on testing rows of the fit on training rows.
        fitted: here.
        same_rows: both are scored on the same validation rows.
    """
    score, low, high = (math.nan if one is None else one for one in (then.score, then.low, then.high))
    where = "inside" if low <= fitted.validation <= high else "outside"
    compared = [
        Compared.of("validation rows", then.rows, fitted.validation_rows),
        _scores(f"{then.metric} on validation", score, fitted.validation),
        Compared.told(f"its interval at {then.level:.0%}", f"{low:.6g} to {high:.6g}", where),
    ]
    if gap is not None:
        compared.append(_scores(f"{then.metric} on testing, fitted on training", gap.testing, fitted.testing))
    beside = fitted.published
    if beside is not None and beside.gain is not None:
        words = f"{beside.gain[0]:+.3g} to {beside.gain[1]:+.3g}"
        compared.append(Compared.told("gain over the published model, paired bootstrap", None, words))
    further_same = (beside is None or beside.fitted.gap == 0) and all(one.same is not False for one in compared)
    golden_gap = None if beside is None else beside.golden.gap
    measured = Measured(golden_gap, fitted.validation, score, low, high, same_rows, further_same)
    return StageCompared(StageName.FINAL_CHECK, tuple(compared)), measured


def _gap(what: str, apart: Apart, manifest: Manifest) -> Compared:
    numbers = manifest.signature is not None and manifest.signature.task is TaskKind.REGRESSION
    said = f"differ by up to {apart.gap:.3g}{' of their spread' if numbers else ''}"
    if apart.gap == 0:
        said = "the same bit for bit"
    elif math.isinf(apart.gap):
        said = "no number, or of another shape"
    return Compared(what, "as published", apart.refused or said, same=apart.gap == 0)


def _scores(what: str, then: float, now: float) -> Compared:
    same = then == now or (math.isnan(then) and math.isnan(now))
    return Compared(what, then, now, same)
