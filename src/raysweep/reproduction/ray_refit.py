"""The winner fitted again, as the sweep fitted it, and what it predicts beside the published model; by Ray."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import ray

from raysweep.bundle.bounded import MAX_GOLDEN_ROWS, read_table
from raysweep.bundle.load import open_model
from raysweep.config import SweepConfig
from raysweep.records.manifest import GOLDEN_FILE, Manifest
from raysweep.records.table import LearningTask, Part, Split
from raysweep.records.trial import FittedModel, Trial
from raysweep.reproduction.apart import Apart, Predicted, how_far, predicted
from raysweep.reproduction.model_state import differing_files
from raysweep.stages.confirm.fits import BOTH, TRAINING, Fit, fitted_rows, shipped_name, shipping_fit, trained_name
from raysweep.stages.confirm.ray_fits import RemoteFits
from raysweep.storage.store import Store
from raysweep.training.agreement import ordinary_rows
from raysweep.training.intervals import count_units, estimate
from raysweep.training.learner import Floats
from raysweep.training.metrics import score
from raysweep.training.one_thread import one_thread
from raysweep.training.pipeline import Pipeline, pipeline_of
from raysweep.training.resampling import RESAMPLES
from raysweep.training.sealed_rows import Seal
from raysweep.training.trial_data import RowBlock, SearchRows

MOST_ROWS: Final = 100_000  # on which the published model and the one fitted here are compared


@dataclass(frozen=True, slots=True)
class Refitted:
    """The winner, fitted again.

    Attributes:
        model: as it would ship.
        testing: the score on testing rows of the fit on training rows.
        validation: the score on validation rows of the fit that would ship.
        validation_rows: how many they are.
        published: beside the published model; None where none is published.
    """

    model: FittedModel
    testing: float
    validation: float
    validation_rows: int
    published: BesidePublished | None


@dataclass(frozen=True, slots=True)
class BesidePublished:
    """The model that was fitted here beside the published one.

    Attributes:
        golden: on the golden rows, held against what the golden file says of them.
        fitted: on rows that the model was fitted on, predicted here by both.
        other_files: of the model, that hold another state.
        gain: on the same resamples of the validation rows, how much better the score of the one fitted here is: low
            and high; None where both predict the same, or the published one may have been fitted on these rows.
    """

    golden: Apart
    fitted: Apart
    other_files: tuple[str, ...]
    gain: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class RefitRequest:
    """What has to be fitted again.

    Attributes:
        store: of the bundle.
        config: the sweep as it is asked now.
        winner: with the seed that it has now.
        same_rows: the validation rows are those that the bundle's model was scored on.
    """

    store: Store
    manifest: Manifest
    config: SweepConfig
    winner: Trial
    task: LearningTask
    split: Split
    seal: Seal
    same_rows: bool


def refit(request: RefitRequest, say: Callable[[str], None]) -> Refitted:
    """Fit the winner on the same rows with the threads of a trial, and predict what was predicted then.

    The validation rows are opened through their seal. Nothing is written into the ledger: it is no new use.

    Raises:
        SealBroken: a validation row is among the search's rows.
    """
    config, task, name = request.config, request.task, request.task.metric.name
    fits = {trained_name(1): Fit(request.winner, TRAINING)}
    shipping = shipping_fit(request.winner, config, is_sample=request.split.sample is not None)
    if shipping is not None:
        fits[shipped_name(1)] = shipping
    remote = RemoteFits(task, request.split, config)
    models = remote.fit_all(fits, fits.keys(), say)
    shipped = models.get(shipped_name(1), models[trained_name(1)])
    rows: SearchRows = ray.get(request.split.search_data)
    (on_testing,) = remote.predict({TRAINING: models[trained_name(1)]}, Part.TESTING).values()
    validation = request.seal.open().block
    (on_validation,) = remote.predict({BOTH: shipped}, validation).values()
    model: FittedModel = ray.get(shipped)
    published = None
    if request.manifest.model is not None:
        published = _beside_published(request, model, fitted_rows(rows, model.fitted_on))
        if request.same_rows:
            published = _with_gain(published, request, remote, validation, on_validation)
    return Refitted(
        model=model,
        testing=score(name, rows.testing.y, on_testing, rows.testing.weight),
        validation=score(name, validation.y, on_validation, validation.weight),
        validation_rows=validation.rows,
        published=published,
    )


def _beside_published(request: RefitRequest, model: FittedModel, fitted_on: RowBlock) -> BesidePublished:
    pipeline = pipeline_of(model)
    golden = read_table(request.store, GOLDEN_FILE, MAX_GOLDEN_ROWS)
    features = pa.Table.from_struct_array(golden.column("features").combine_chunks())
    wanted = np.asarray(golden.column("prediction").to_pylist(), dtype=np.float64)
    some = fitted_on.features.slice(0, MOST_ROWS)

    def ours(rows: pa.Table) -> Predicted:
        with one_thread(pipeline):
            return predicted("the model fitted here", pipeline.predict, [one.name for one in request.task.inputs], rows)

    ordinary = ordinary_rows(golden.column("row").to_pylist()) if "row" in golden.column_names else None
    return BesidePublished(
        golden=how_far(wanted, ours(features), golden.num_rows, ordinary),
        fitted=how_far(_theirs(request, some), ours(some), some.num_rows),
        other_files=_other_files(request, pipeline),
    )


def _theirs(request: RefitRequest, features: pa.Table) -> Predicted:
    model = open_model(request.store, threads=1)
    wanted = [one.name for one in model.signature.inputs]
    return predicted("the published model", model.raw_predictions, wanted, features)


def _other_files(request: RefitRequest, pipeline: Pipeline) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory(prefix="raysweep-reproduce-") as folder:
        then, now = Path(folder) / "then", Path(folder) / "now"
        then.mkdir()
        now.mkdir()
        pipeline.save(now)
        for key in request.manifest.model.files if request.manifest.model is not None else ():
            request.store.download(key, then / key.rpartition("/")[2])
        return differing_files(then, now)


def _with_gain(
    published: BesidePublished, request: RefitRequest, remote: RemoteFits, validation: RowBlock, found: Floats
) -> BesidePublished:
    """With the paired bootstrap of both models' scores, where they predict otherwise."""
    theirs = _theirs(request, validation.features)
    if isinstance(theirs, str) or theirs.shape != found.shape or np.array_equal(theirs, found):
        return published
    if not np.isfinite(theirs).all():
        return published
    metric = request.task.metric
    drawn = remote.draw(validation, [(metric.name, found), (metric.name, theirs)], RESAMPLES)
    own, other = (score(metric.name, validation.y, one, validation.weight) for one in (found, theirs))
    units = count_units(validation.y, validation.group, metric, len(request.task.classes))
    gain = estimate(metric.sign * (own - other), metric.sign * (drawn[0] - drawn[1]), units=units)
    return replace(published, gain=(gain.low, gain.high))
