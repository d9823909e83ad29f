"""Growing trees on rows in blocks, alone or as one of several processes, to known rounds or as many as rows carry."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.training.block_fit import Learned, RowBlocks, encode_block, matrices
from raysweep.training.evaluate import TrialRules, new_learner
from raysweep.training.learner import BlockLearner, Floats, Learner, Matrix, OnDevice
from raysweep.training.trial_data import RowBlock

_BIN_BYTES: Final = 6  # of a value in a binned matrix, where some are missing, with what grows beside it


@dataclass(frozen=True, slots=True)
class Growth:
    """What is to be grown.

    Attributes:
        candidate: with its rounds: all that are grown, or at most, where rows are watched.
        learned: of the columns, the same in all processes.
        watched: rows by which the number of rounds is chosen.
        bins_bytes: what the binned rows may take in memory, more of them is on disk; None: all.
    """

    candidate: Candidate
    task: LearningTask
    rules: TrialRules
    learned: Learned
    watched: RowBlock | None = None
    bins_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """One of the processes that grow the same trees together, each on its own rows.

    Attributes:
        number: from 0.
        of: how many there are.
        connected: a context in which they are.
    """

    number: int = 0
    of: int = 1
    connected: Callable[[], AbstractContextManager[Any]] = nullcontext

    def share(self, rows: int) -> tuple[int, int]:
        """First and last row (exclusive) of so many that are this one's."""
        return rows * self.number // self.of, rows * (self.number + 1) // self.of


def grow(growth: Growth, blocks: RowBlocks, worker: Worker | None = None) -> Learner:
    """The learner of all rows; the same one in every process.

    Args:
        growth: what is to be grown.
        blocks: gives this process's own rows anew.
        worker: which of several processes this one is; None: the only one.

    Raises:
        TypeError: the family does not take blocks.
    """
    me, task, learned = worker or Worker(), growth.task, growth.learned
    learner = new_learner(growth.candidate, task, growth.rules, growth.candidate.seed)
    if not isinstance(learner, BlockLearner):
        raise TypeError(f"{growth.candidate.family} cannot be fitted on blocks of rows")
    watched = growth.watched
    if watched is not None:
        first, last = me.share(watched.rows)
        watched = watched.take(slice(first, last))
    sampled = me.share(0 if learned.sample is None else learned.sample.values.shape[0])
    with tempfile.TemporaryDirectory(prefix="raysweep-bins-") as folder, me.connected():
        kept = KeptMatrices(Path(folder), lambda: matrices(learned, blocks(), sampled))
        cache = _cache(growth, kept, me, Path(folder))
        learner.grow_on_blocks(kept, None if watched is None else encode_block(learned, watched), cache)
        if isinstance(learner, OnDevice):
            learner.leave_gpu()
    grown: Any = learner
    return grown  # type: ignore[no-any-return]


def with_rounds(growth: Growth, rounds: int) -> Growth:
    """The same with a number of rounds that is known."""
    return replace(growth, candidate=replace(growth.candidate, rounds=max(1, rounds)), watched=None)


class KeptMatrices:
    """Matrices that are made once and read again from this machine's disk, since XGBoost reads them five times.

    Args:
        folder: private to this process.
        make: gives them.
    """

    def __init__(self, folder: Path, make: Callable[[], Iterator[Matrix]]) -> None:
        self._folder = folder
        self._make = make
        self._beside: list[tuple[Floats, Floats | None, tuple[bool, ...]]] = []
        self._is_whole = False
        self._is_dense = True

    def __call__(self) -> Iterator[Matrix]:
        """All of them, in their order."""
        if self._is_whole and self._is_dense:
            return self._read()
        return self._first()

    def _first(self) -> Iterator[Matrix]:
        self._beside = []
        for number, matrix in enumerate(self._make()):
            self._is_dense = self._is_dense and isinstance(matrix.values, np.ndarray)
            if self._is_dense:
                np.save(self._path(number), matrix.values)
            self._beside.append((matrix.y, matrix.weight, matrix.categorical))
            yield matrix
        self._is_whole = True

    def _read(self) -> Iterator[Matrix]:
        for number, (y, weight, categorical) in enumerate(self._beside):
            yield Matrix(np.load(self._path(number), mmap_mode="r"), y, weight, categorical, {})

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.npy"


def _cache(growth: Growth, kept: KeptMatrices, worker: Worker, folder: Path) -> Path | None:
    """A folder for the bins, where this process's share of them is more than it may hold."""
    first = next(kept(), None)
    width = 0 if first is None else first.values.shape[1]
    taken = growth.learned.rows / worker.of * width * _BIN_BYTES
    if growth.bins_bytes is None or taken <= growth.bins_bytes:
        return None
    cache = folder / "cache"
    cache.mkdir(mode=0o700)
    return cache
