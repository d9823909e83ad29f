"""Fitting on rows that come in blocks, since together they are more than memory holds.

What is learned of the columns before the trees grow:
- the categories of texts (encodings `ordinal` and `native`), and which columns are empty: of all rows that are fitted
  on, block by block, so that the matrix is the one that it would be in memory;
- the encodings `target` and `onehot`, and what the rules of `data.prepare` learn: of the sample. Its own rows have the
  target encoding of folds that lack them, as in memory; the other rows were no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.errors import SealBroken
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.rows.hashing import Hashes
from raysweep.training.canaries import hash_block
from raysweep.training.families import families
from raysweep.training.learner import Floats, Matrix
from raysweep.training.preparation import FittedPreparation
from raysweep.training.preprocess import Preprocessor
from raysweep.training.seen_values import SeenValues
from raysweep.training.trial_data import RowBlock

BY_CATEGORIES: Final = frozenset({"ordinal", "native"})
_MATRIX_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class FitBlock:
    """Some of the rows that a fit is made on.

    Attributes:
        sampled: which of them are in the sample, shape (rows,).
    """

    rows: RowBlock
    sampled: npt.NDArray[np.bool_]


RowBlocks = Callable[[], Iterator[FitBlock]]


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of the columns.

    Attributes:
        sample: the rows of the sample as they are fitted on, where their encoding is learned on them; None where all
            rows are encoded alike.
        rows: how many are fitted on.
        seen: a small table that has the same extremes, texts and gaps as they.
    """

    preparation: FittedPreparation
    preprocessor: Preprocessor
    sample: Matrix | None
    rows: int
    seen: pa.Table = field(repr=False)


def learn_columns(candidate: Candidate, task: LearningTask, blocks: RowBlocks, canaries: Hashes, seed: int) -> Learned:
    """One or two passes over the rows.

    Args:
        candidate: whose encoding is wanted.
        task: what is to be learned.
        blocks: gives the rows anew.
        canaries: hashes of validation rows, which none of them may have.
        seed: of the preprocessing.

    Raises:
        SealBroken: one of the rows is sealed.
    """
    encoding = str(candidate.params.get("encoding", "ordinal"))
    preprocessor = Preprocessor(task.features, encoding, scaled=families()[candidate.family].scaled)
    seen, kept = SeenValues(), list[RowBlock]()
    for block in blocks():
        _check_unsealed(block.rows, canaries)
        seen.add(block.rows.features)
        if task.rules or encoding not in BY_CATEGORIES:
            kept.append(block.rows.take(np.flatnonzero(block.sampled)))
    sample = kept[0].joined(*kept[1:]) if kept else None
    preparation = FittedPreparation() if sample is None else FittedPreparation.fit(task.rules, sample.features)[0]
    matrix = None
    if encoding in BY_CATEGORIES:
        preprocessor.fit_blocks(preparation.apply(block.rows.features) for block in blocks())
    elif sample is not None:
        values = preprocessor.fit_transform(preparation.apply(sample.features), sample.y, task.kind, seed)
        matrix = Matrix(values, sample.y, sample.weight, preprocessor.categorical, {})
    return Learned(preparation, preprocessor, matrix, seen.rows, seen.table())


def matrices(learned: Learned, blocks: Iterator[FitBlock], sample: Sequence[int]) -> Iterator[Matrix]:
    """The rows as a learner takes them, block by block.

    Args:
        learned: of the columns.
        blocks: of rows.
        sample: first and last row (exclusive) of `learned.sample` that come with them, if there is any.
    """
    first: Iterator[Matrix] = iter(())
    if learned.sample is not None and sample[1] > sample[0]:
        first = iter([_slice(learned.sample, sample[0], sample[1])])
    return chain(first, (matrix for block in blocks for matrix in _encoded(learned, block)))


def encode_block(learned: Learned, rows: RowBlock) -> Matrix:
    """Rows that were not fitted on."""
    values = learned.preprocessor.transform(learned.preparation.apply(rows.features))
    return Matrix(values, rows.y, rows.weight, learned.preprocessor.categorical, {})


def _encoded(learned: Learned, block: FitBlock) -> Iterator[Matrix]:
    rows = block.rows if learned.sample is None else block.rows.take(np.flatnonzero(~block.sampled))
    for start in range(0, rows.rows, _MATRIX_ROWS):
        yield encode_block(learned, rows.take(slice(start, min(rows.rows, start + _MATRIX_ROWS))))


def _slice(matrix: Matrix, first: int, last: int) -> Matrix:
    weight: Floats | None = None if matrix.weight is None else matrix.weight[first:last]
    return replace(matrix, values=matrix.values[first:last], y=matrix.y[first:last], weight=weight, cache={})


def _check_unsealed(rows: RowBlock, canaries: Hashes) -> None:
    found = int(np.isin(hash_block(rows), canaries).sum()) if len(canaries) else 0
    if found:
        raise SealBroken(
            f"a sealed validation row was handed to the fit that ships: {found:,} of {rows.rows:,} rows of a block are "
            f"among {len(canaries):,} validation rows that were looked for. No score of this run can be trusted: "
            "report it, and start a new run"
        )
