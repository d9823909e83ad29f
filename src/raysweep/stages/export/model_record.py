"""The fit that ships, as the manifest names it."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.records.manifest import ModelRecord
from raysweep.records.trial import FittedModel
from raysweep.training.own_export import declared_types, estimator_source
from raysweep.training.pipeline import pipeline_of
from raysweep.training.trusted import TRUSTED_TYPES


def model_record(shipped: FittedModel, files: Sequence[str]) -> ModelRecord:
    """The record of a fitted model.

    Args:
        shipped: the fit.
        files: the paths in the bundle of its native form.
    """
    candidate, pipeline = shipped.trial.candidate, pipeline_of(shipped)
    source = estimator_source(pipeline)
    return ModelRecord(
        family=candidate.family,
        params=dict(candidate.params),
        params_digest=candidate.digest,
        prepare_sha256=pipeline.preparation.digest,
        seed=candidate.seed,
        fitted_on=shipped.fitted_on,
        fitted_rows=shipped.rows,
        rounds=pipeline.learner.rounds,
        trial=candidate.number,
        files=tuple(files),
        trusted_types=(*TRUSTED_TYPES, *declared_types(candidate.family)),
        estimator=None if source is None else source.type,
        package=(source.package or None) if source is not None else None,
    )
