"""Fits on all rows of the parts, in blocks, by one worker or several: those that ship where memory has a sample alone.

Several workers grow the same trees together, each on its own rows. Where one of them dies, all are ended, and the fit
is made once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import ray
import ray.exceptions

from raysweep.documents import shorten
from raysweep.errors import RayUnavailable
from raysweep.records.table import Part, Split
from raysweep.records.trial import FittedModel
from raysweep.runtime.ray_carry import Carried
from raysweep.stages.confirm.fits import BOTH, Fit, FitRules, rounds_for
from raysweep.stages.confirm.ray_workers import Start, Team, WorkerSize
from raysweep.training.block_fit import FitBlock, Learned, RowBlocks, learn_columns
from raysweep.training.block_growth import Growth, Worker, grow, with_rounds
from raysweep.training.costs import measure_costs
from raysweep.training.devices import find_device
from raysweep.training.families import families, take_up
from raysweep.training.learner import Learner
from raysweep.training.pipeline import Pipeline
from raysweep.training.process_state import begin_anew
from raysweep.training.trial_data import RowBlock, SearchRows
from raysweep.training.xgboost_workers import connection

_LOSSES: Final = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
)
_PARTS: Final = (Part.TRAINING, Part.TESTING)


@dataclass(frozen=True, slots=True)
class Told:
    """What every step of such a fit is told.

    Attributes:
        blocks: references to the rows of each part.
        bins_bytes: what the binned rows may take of a worker's memory.
    """

    fit: Fit
    rules: FitRules
    added: Carried
    blocks: Mapping[Part, Sequence[Any]]
    bins_bytes: int | None

    def rows(self, on: str) -> list[Any]:
        """References to the rows of `training`, or `training+testing`."""
        parts = _PARTS if on == BOTH else _PARTS[:1]
        return [block for part in parts for block in self.blocks[part]]


class BlockFits:
    """Carries out fits in blocks on the cluster.

    Args:
        split: with the search's rows and, where these are a sample, all rows in blocks.
        rules: of all fits.
        added: families that raysweep does not ship.
        size: of the workers.
    """

    def __init__(self, split: Split, rules: FitRules, added: Carried, size: WorkerSize) -> None:
        self._split = split
        self._rules = rules
        self._added = added
        self._team = Team(size)
        self._count = size.count
        self._blocks: Mapping[Part, Sequence[Any]] | None = None if split.sample is None else split.sample.blocks

    def fit(self, fit: Fit, say: Callable[[str], None]) -> Any:
        """A reference to the `FittedModel`.

        Raises:
            SealBroken: one of the rows is sealed.
            RayUnavailable: the cluster has no room for the workers, or they died too often.
        """
        started = time.perf_counter()
        try:
            return self._fit_twice(fit, started, say)
        except _LOSSES as error:
            why = shorten(f"{type(error).__name__}: {error}", 200)
            raise RayUnavailable(
                f"the worker of the fit that ships was lost again and again: {why}. A larger node, or several workers "
                "(search.trial.workers), have more memory; `ray status` says which nodes are there"
            ) from error

    def _fit_twice(self, fit: Fit, started: float, say: Callable[[str], None]) -> Any:
        try:
            return self._fit(fit, started, say)
        except ray.exceptions.RayActorError as error:  # one that worked alone for the others; tasks Ray tries again
            self._team.end()
            say(f"a worker of the fit that ships was lost ({type(error).__name__}); the fit is made again")
            return self._fit(fit, started, say)

    def _fit(self, fit: Fit, started: float, say: Callable[[str], None]) -> Any:
        search: SearchRows = ray.get(self._split.search_data)
        if self._blocks is None:
            self._blocks = _in_blocks(search, self._count)
        bins = None if self._split.sample is None else self._split.sample.bins_bytes
        told = Told(fit, self._rules, self._added, self._blocks, bins)
        found: int | None = None
        if self._split.sample is not None:
            # As many rounds as all training rows carry, which the testing rows of the sample tell.
            learned, rows = self._learn(told, "training")
            learner, found = self._grow(told, "training", learned, None, say)
            if fit.on == BOTH:
                learned, every = self._learn(told, BOTH)
                learner, _ = self._grow(told, BOTH, learned, round(found * every / rows), say)
        else:
            learned, rows = self._learn(told, fit.on)
            learner, _ = self._grow(told, fit.on, learned, rounds_for(fit.trial, rows, search), say)
        seconds = time.perf_counter() - started
        model, ended = self._team.first(_finish, told, learned, learner, self._split.search_data, seconds)
        ray.get(ended)
        return model

    def end(self) -> None:
        """End the workers that wait for another fit."""
        self._team.end()

    def _learn(self, told: Told, on: str) -> tuple[Any, int]:
        learned, rows = self._team.first(_learn, told, told.rows(on), self._split.search_data)
        return learned, int(ray.get(rows))

    def _grow(
        self, told: Told, on: str, learned: Any, rounds: int | None, say: Callable[[str], None]
    ) -> tuple[Any, int]:
        """References to the learner, and the rounds that it uses; `rounds` None: those that watched rows carry."""
        shares = _dealt(told.rows(on), self._count)
        watched = self._split.search_data if rounds is None else None

        def begin(number: int, place: Mapping[str, Any] | None, start: Start) -> Sequence[Any]:
            member = _Member(number, self._count, place, rounds, is_cut=shares is None)
            blocks = told.rows(on) if shares is None else shares[number]
            return start(_grow, told, member, learned, blocks, watched)

        learner, used = self._team.together(begin, say)
        return learner, int(ray.get(used))


@dataclass(frozen=True, slots=True)
class _Member:
    """One of the workers.

    Attributes:
        place: where they meet; None for one alone.
        rounds: to be grown; None: as many as the watched rows carry.
        is_cut: every worker gets all blocks, and takes its share of each.
    """

    number: int
    of: int
    place: Mapping[str, Any] | None
    rounds: int | None
    is_cut: bool


def _in_blocks(rows: SearchRows, workers: int) -> Mapping[Part, Sequence[Any]]:
    """The rows of a search that has all of them, in so many blocks, of which each is one of the keys' hashes."""
    found = {}
    for part, block in zip(_PARTS, (rows.training, rows.testing), strict=True):
        ends = np.linspace(0, block.rows, workers + 1).astype(int).tolist()
        slices = [block.take(slice(first, end)) for first, end in pairwise(ends) if end > first]
        found[part] = [ray.put(FitBlock(one, np.ones(one.rows, np.bool_))) for one in slices]
    return found


def _dealt(blocks: Sequence[Any], workers: int) -> list[Sequence[Any]] | None:
    """The blocks of each worker; None where there are too few."""
    if len(blocks) < workers:
        return None
    return [blocks[number::workers] for number in range(workers)]


def _learn(told: Told, blocks: Sequence[Any], search: SearchRows) -> tuple[Learned, int]:
    take_up(told.added.unpack())
    candidate, rules = told.fit.trial.candidate, told.rules
    learned = learn_columns(candidate, rules.task, _reading(blocks), search.canaries, rules.seed)
    return learned, learned.rows


def _grow(
    told: Told, member: _Member, learned: Learned, blocks: Sequence[Any], search: SearchRows | None
) -> tuple[Learner, int]:
    take_up(told.added.unpack())
    candidate = told.fit.trial.candidate
    begin_anew(candidate.seed)
    rules = told.rules.rules
    if families()[candidate.family].uses_gpu:
        rules = replace(rules, device=find_device(rules.device).name)
    growth = Growth(candidate, told.rules.task, rules, learned, bins_bytes=told.bins_bytes)
    if member.rounds is not None:
        growth = with_rounds(growth, member.rounds)
    elif search is not None:
        growth = replace(growth, watched=search.testing)
    worker = Worker(member.number, member.of)
    if member.place is not None:
        worker = replace(worker, connected=connection(member.place, member.number))
    learner = grow(growth, _reading(blocks, worker if member.is_cut else None), worker)
    return learner, learner.rounds or 0


def _reading(blocks: Sequence[Any], worker: Worker | None = None) -> RowBlocks:
    """The blocks, fetched one after the other; of each this worker's share, where there are too few."""

    def read() -> Iterator[FitBlock]:
        for reference in blocks:
            block: FitBlock = ray.get(reference)
            if worker is None:
                yield block
                continue
            first, last = worker.share(block.rows.rows)
            if last > first:
                yield FitBlock(block.rows.take(slice(first, last)), block.sampled[first:last])

    return read


def _finish(
    told: Told, learned: Learned, learner: Learner, search: SearchRows, seconds: float
) -> tuple[FittedModel, bool]:
    fit, task = told.fit, told.rules.task
    pipeline = Pipeline(fit.trial.candidate.family, learned.preparation, learned.preprocessor, learner)
    some: RowBlock = search.training
    model = FittedModel(
        trial=fit.trial,
        learner=pipeline,
        fitted_on=fit.fitted_on(is_sample=search.is_sample),
        rows=learned.rows,
        seconds=seconds,
        costs=measure_costs(pipeline, some.features, task.aims.further),
        seen=learned.seen,
    )
    return model, True
