"""What each trial predicts for the same few testing rows, in a form that the journal can keep.

Choosing the best of many candidates by their testing scores makes the best one look too good; how much, follows from
how their predictions on the same rows go together. A sample of the rows is enough to tell.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raysweep.records.table import LearningTask
from raysweep.training.learner import Floats
from raysweep.training.resampling import Groups
from raysweep.training.trial_data import RowBlock, SearchRows

_CELLS: Final = 512
_STORED: Final = "<f4"


@dataclass(frozen=True, slots=True)
class SampledRows:
    """The targets of the sampled rows.

    Attributes:
        group: equal where rows belong together, or None.
        testing_rows: all rows that trials are scored on; the sample is of these.
    """

    y: Floats
    weight: Floats | None
    testing_rows: int
    group: Groups | None = None


def sample_size(task: LearningTask, cuts: int) -> int:
    """How many rows of each cut are sampled: the first ones, since rows stand in the order of their keys' hashes."""
    return max(1, _CELLS // _width(task) // cuts)


def sample_targets(task: LearningTask, rows: SearchRows) -> SampledRows:
    """The rows whose predictions `pack` keeps, in the same order."""
    blocks = _scored_blocks(rows)
    size = sample_size(task, rows.folds)
    taken = [block.take(slice(0, min(size, block.rows))) for block in blocks]
    weights = [block.weight for block in taken if block.weight is not None]
    groups = [block.group for block in taken if block.group is not None]
    return SampledRows(
        y=np.concatenate([block.y for block in taken]),
        weight=np.concatenate(weights) if weights else None,
        testing_rows=sum(block.rows for block in blocks),
        group=np.concatenate(groups) if groups else None,
    )


def pack(task: LearningTask, predicted: Sequence[Floats]) -> str:
    """The predictions for the first rows of each cut as text.

    Args:
        task: what is learned.
        predicted: for each cut the predictions of all its rows, as `Learner.predict` gives them.
    """
    size = sample_size(task, len(predicted))
    taken = np.concatenate([one[:size] for one in predicted])
    kept = taken[:, 1] if _width(task) == 1 and taken.ndim > 1 else taken
    return base64.b64encode(np.ascontiguousarray(kept, dtype=_STORED).tobytes()).decode("ascii")


def unpack(task: LearningTask, text: str) -> Floats:
    """What `pack` kept: probabilities of shape (rows, classes), or numbers of shape (rows,)."""
    flat = np.frombuffer(base64.b64decode(text), dtype=_STORED).astype(np.float64)
    if not task.kind.is_classification:
        return flat
    if _width(task) == 1:
        return np.column_stack([1 - flat, flat])
    return flat.reshape(-1, len(task.classes))


def _width(task: LearningTask) -> int:
    """Numbers that are kept of a row."""
    return len(task.classes) if len(task.classes) > 2 else 1  # noqa: PLR2004 - of two classes one says all


def _scored_blocks(rows: SearchRows) -> list[RowBlock]:
    if rows.folds == 1:
        return [rows.testing]
    every = rows.training.joined(rows.testing)
    return [every.take(np.flatnonzero(rows.fold_of_row == cut)) for cut in range(rows.folds)]
