"""The long parts of the final check on the cluster: fits, predictions, scores on resamples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import ray
import ray.exceptions

from raysweep.config import SweepConfig
from raysweep.documents import shorten
from raysweep.errors import RayUnavailable, SealBroken
from raysweep.records.table import LearningTask, Part, Split
from raysweep.records.trial import FittedModel
from raysweep.runtime.ray_by_value import apart_from
from raysweep.runtime.ray_carry import Carried, carry
from raysweep.runtime.ray_crew import Crew, Work
from raysweep.stages.confirm.final_check import Scored
from raysweep.stages.confirm.fits import Fit, FitRules, carry_out
from raysweep.stages.confirm.ray_block_fits import BlockFits
from raysweep.stages.confirm.ray_workers import WorkerSize
from raysweep.training.canaries import check_unsealed
from raysweep.training.devices import CPU, find_device, sharing_of
from raysweep.training.evaluate import TrialRules
from raysweep.training.families import added_families, families, take_up
from raysweep.training.learner import Floats
from raysweep.training.pipeline import pipeline_of
from raysweep.training.resampling import resampled_scores
from raysweep.training.trial_data import RowBlock, SearchRows

_SMALL: Final = 20_000_000  # rows x resamples x scores that are drawn here before a task would have begun
_CHUNKS: Final = 8
_PIECE_ROWS: Final = 500_000


class RemoteFits:
    """Carries out fits on the search's rows, and what is to be done with them, on the cluster.

    Models stay in the object store until somebody asks for them.

    Attributes:
        crew: takes calls.
    """

    def __init__(
        self,
        task: LearningTask,
        split: Split,
        config: SweepConfig,
        kept_off: Collection[str] = (),
        crew: Crew | None = None,
    ) -> None:
        self.crew = crew or Crew()
        trial = config.search.trial
        rules = TrialRules((1.0,), trial.cpus, trial.wanted_device, sharing=sharing_of(trial.gpus))
        self._rules = FitRules(task, rules, config.search.seed)
        self._rows = split.search_data
        self._seed = config.split.seed
        self._added = carry(added_families())
        self._trial = trial
        self._families: dict[Any, str] = {}  # of each model, by its reference
        self._where = apart_from(kept_off)
        size = WorkerSize(trial.workers, trial.cpus, trial.gpus, frozenset(kept_off))
        self._in_blocks = BlockFits(split, self._rules, self._added, size)

    def fit_all(self, fits: Mapping[str, Fit], needed: Collection[str], say: Callable[[str], None]) -> dict[str, Any]:
        """References to the `FittedModel` of each fit that has ended well.

        Args:
            fits: by name.
            needed: what such a fit raises is raised; of the others it is said, and they are left out.
            say: tells the user.
        """
        running = {
            name: self.crew.begin(
                self._options(fit.trial.candidate.family), _fit, fit, self._rows, self._rules, self._added
            )
            for name, fit in fits.items()
            if not fit.in_blocks
        }
        try:
            return self._gather(fits, running, needed, say)
        finally:
            self._in_blocks.end()

    def _gather(
        self,
        fits: Mapping[str, Fit],
        running: Mapping[str, Work],
        needed: Collection[str],
        say: Callable[[str], None],
    ) -> dict[str, Any]:
        models: dict[str, Any] = {}
        for name in sorted(fits, key=lambda one: fits[one].in_blocks):  # those take what the others leave free
            try:
                models[name] = (
                    self.crew.wait(running[name]) if name in running else self._in_blocks.fit(fits[name], say)
                )
                self._families[models[name]] = fits[name].trial.candidate.family
            except (ray.exceptions.RayError, RayUnavailable) as error:
                if name in needed or isinstance(error, SealBroken):
                    raise
                why = shorten(str(getattr(error, "cause", error)), 200)
                say(f"the fit {name!r} of the final check failed, and is left out: {why}")
        return models

    def predict(self, models: Mapping[str, Any], rows: Part | RowBlock) -> dict[str, Floats]:
        """What each model predicts for some rows.

        Args:
            models: references, by name.
            rows: a part of the search's rows, or others.
        """
        return {name: self._together(pieces) for name, pieces in self._start(models, rows).items()}

    def try_predict(self, models: Mapping[str, Any], rows: RowBlock) -> tuple[dict[str, Floats], dict[str, str]]:
        """The same, and what those have raised that could not predict, by name."""
        found: dict[str, Floats] = {}
        faults: dict[str, str] = {}
        for name, pieces in self._start(models, rows).items():
            try:
                found[name] = self._together(pieces)
            except ray.exceptions.RayTaskError as error:
                faults[name] = f"{type(error.cause).__name__}: {shorten(str(error.cause), 200)}"
        return found, faults

    def _start(self, models: Mapping[str, Any], rows: Part | RowBlock) -> dict[str, list[Work]]:
        """What predicts each piece of the rows: many rows at once would take much memory."""
        part = rows if isinstance(rows, Part) else None
        if isinstance(rows, Part):
            places = [self._rows]
        else:
            starts = range(0, max(1, rows.rows), _PIECE_ROWS)
            places = [ray.put(rows.take(slice(start, min(rows.rows, start + _PIECE_ROWS)))) for start in starts]
        found: dict[str, list[Work]] = {}
        for name, model in models.items():
            options = self._options(self._families.get(model))
            found[name] = [self.crew.begin(options, _predict, [model], place, part, self._added) for place in places]
        return found

    def _together(self, pieces: Sequence[Work]) -> Floats:
        first, *others = [self.crew.get(piece) for piece in pieces]
        found: Floats = np.concatenate([first, *others]) if others else first
        return found

    def _options(self, family: str | None) -> dict[str, Any]:
        """What a task holds for a model of that family: a GPU is for those that can use one."""
        gpus = self._trial.gpus if family is not None and families()[family].uses_gpu else 0
        return {"num_cpus": self._trial.cpus, "num_gpus": gpus, **self._where}

    def draw(self, rows: RowBlock, scored: Scored, resamples: int) -> Floats:
        """Scores on the same resamples of these rows, shape (len(scored), resamples)."""
        if rows.rows * resamples * len(scored) <= _SMALL:
            return resampled_scores(rows.y, rows.weight, scored, seed=self._seed, resamples=resamples, group=rows.group)
        shared = ray.put((rows.y, rows.weight, rows.group, scored))
        ends = np.linspace(0, resamples, _CHUNKS + 1).astype(int).tolist()
        chunks = [self.crew.begin(self._where, _draw, shared, self._seed, chunk) for chunk in pairwise(ends)]
        return np.concatenate([self.crew.get(chunk) for chunk in chunks], axis=1)


def _draw(
    shared: tuple[Floats, Floats | None, Any, Sequence[tuple[str, Floats]]], seed: int, chunk: tuple[int, int]
) -> Floats:
    y, weight, group, scored = shared
    return resampled_scores(y, weight, scored, seed=seed, group=group, chunk=chunk)


def _fit(fit: Fit, rows: SearchRows, rules: FitRules, added: Carried) -> FittedModel:
    take_up(added.unpack())
    check_unsealed(rows)
    if families()[fit.trial.candidate.family].uses_gpu:
        rules = replace(rules, rules=replace(rules.rules, device=find_device(rules.rules.device).name))
    else:
        rules = replace(rules, rules=replace(rules.rules, device=CPU))
    return carry_out(fit, rows, rules)


def _predict(model: list[Any], rows: SearchRows | RowBlock, part: Part | None, added: Carried) -> Floats:
    take_up(added.unpack())  # before the model is unpickled, which is why it comes in a list
    if isinstance(rows, SearchRows):
        rows = rows.training if part is Part.TRAINING else rows.testing
    return pipeline_of(ray.get(model[0])).predict(rows.features)
