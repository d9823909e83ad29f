"""What a family has to offer: a learner that grows step by step, and predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from raysweep.config import TaskKind
from raysweep.space import ParamValue

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Encoded rows as a learner takes them.

    Attributes:
        values: float array or CSR matrix of shape (rows, columns); NaN where missing, unless the family is scaled.
        categorical: which columns hold category codes that the learner may treat as categories.
        y: class codes 0..k-1 or numbers, shape (rows,).
        weight: row weights, shape (rows,), or None.
        cache: prepared forms of this matrix that learners keep from trial to trial, by a key of their own.
    """

    values: Any
    y: Floats
    weight: Floats | None
    categorical: tuple[bool, ...]
    cache: dict[Any, Any]


@dataclass(frozen=True, slots=True)
class FitSetting:
    """What a fit is told beside its parameters.

    Attributes:
        classes: number of classes; 0 for regression.
        threads: how many it may use.
        rounds: full effort for a family that grows in rounds.
        metric: the sweep's metric, by name.
        device: `cpu` or `cuda`.
        sharing: fits that may be on one GPU at a time.
    """

    task: TaskKind
    classes: int
    seed: int
    threads: int
    rounds: int
    metric: str
    device: str = "cpu"
    sharing: int = 1


class Learner(Protocol):
    """One fit of one candidate on one cut of the rows.

    Attributes:
        rounds: how many rounds `predict` uses; None for a family that does not grow in rounds. `grow` sets it to the
            best number on the watched rows so far, or to all where nothing is watched or more rounds never harm.
        curve: the score on the watched rows after `look_every`, twice as many, ... rounds, more is better; empty where
            rounds are not chosen.
        look_every: rounds from one score of `curve` to the next.
        finished: more effort would not help.
    """

    rounds: int | None
    curve: Sequence[float]
    look_every: int
    finished: bool

    @property
    def fitted(self) -> Any:
        """The library's own model with the rounds that are used, as `save` writes it."""
        ...

    def __init__(self, params: Mapping[str, ParamValue], setting: FitSetting) -> None: ...

    def grow(self, training: Matrix, share: float, watched: Matrix | None = None) -> None:
        """Fit up to `share` of the full effort, going on from an earlier call.

        Args:
            training: the rows to fit on.
            share: of the full effort, in (0, 1].
            watched: testing rows, for a family that chooses its number of rounds on them.
        """
        ...

    def predict(self, matrix: Matrix) -> Floats:
        """Numbers of shape (rows,), or class probabilities of shape (rows, classes)."""
        ...

    def save(self, folder: Path) -> list[str]:
        """Write the fitted learner without pickle; returns the names of the files."""
        ...

    @classmethod
    def load(cls, folder: Path, setting: FitSetting) -> Learner:
        """The learner that `save` wrote, ready to predict."""
        ...


Blocks = Callable[[], Iterator[Matrix]]


@runtime_checkable
class OnDevice(Protocol):
    """A learner that may have been fitted on a GPU."""

    def leave_gpu(self) -> None:
        """Predict on the CPU from now on, as a loaded model does."""
        ...


@runtime_checkable
class BlockLearner(Protocol):
    """A learner that takes rows in blocks, in one process or in several that have a part of them each."""

    def grow_on_blocks(self, blocks: Blocks, watched: Matrix | None = None, cache: Path | None = None) -> None:
        """Fit at full effort, once.

        Args:
            blocks: gives the rows anew each time that it is called, each block with at least one row.
            watched: rows by which the number of rounds is chosen; None: all rounds count.
            cache: an empty folder for what is prepared of the rows, where memory has no room for it.
        """
        ...
