"""What the sample suggests, counted over every row: equal columns, copies of the target, conflicting labels.

Where the sample holds the whole table it answers by itself; else `ray_exact.py` asks every block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.records.table import LabelConflicts
from raysweep.rows.hashing import Hashes, hash_rows, hash_values
from raysweep.rows.label_conflicts import LabelledRows, count_conflicts, labelled_rows, merge_labelled

Pair = tuple[str, str]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is to be counted over every row.

    Attributes:
        equal: pairs of columns that may be equal in every row.
        copies: columns that may be equal to the target in every row that has one.
        one_to_one: columns of which each value may go with one value of the target.
        combination: the features over which conflicting labels are counted; empty: not asked.
        target: the column that the last three are about.
    """

    equal: tuple[Pair, ...] = ()
    copies: tuple[str, ...] = ()
    one_to_one: tuple[str, ...] = ()
    combination: tuple[str, ...] = ()
    target: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that have to be read."""
        of_target = [*self.copies, *self.one_to_one, *self.combination]
        if self.target is not None and of_target:
            of_target.append(self.target)
        return tuple(dict.fromkeys([*(name for pair in self.equal for name in pair), *of_target]))


@dataclass(frozen=True, slots=True)
class Answers:
    """What was counted over every row: which pairs and copies are equal, which go one to one, and the conflicts."""

    equal: tuple[Pair, ...] = ()
    copies: tuple[str, ...] = ()
    one_to_one: tuple[str, ...] = ()
    conflicts: LabelConflicts | None = None


@dataclass(frozen=True, slots=True)
class BlockAnswers:
    """What one block says.

    Attributes:
        unequal: pairs that differ in some row.
        no_copies: columns that differ from the target in some row that has one.
        pairs: for each column of `one_to_one`, the different (value, target) pairs as two rows of hashes.
        labelled: what `count_conflicts` counts.
    """

    unequal: frozenset[Pair]
    no_copies: frozenset[str]
    pairs: dict[str, Hashes]
    labelled: LabelledRows | None


Answer = Callable[[Questions], Answers]


def answer_block(block: pa.Table, questions: Questions) -> BlockAnswers:
    """Answer for the rows of one block, in canonical types."""
    hashes: dict[str, Hashes] = {}

    def hashed(name: str) -> Hashes:
        if name not in hashes:
            hashes[name] = hash_values(block.column(name))
        return hashes[name]

    unequal = frozenset(pair for pair in questions.equal if (hashed(pair[0]) != hashed(pair[1])).any())
    if questions.target is None or questions.target not in questions.columns:
        return BlockAnswers(unequal, frozenset(), {}, None)
    known = np.asarray(block.column(questions.target).is_valid().to_numpy(), np.bool_)
    labels = hashed(questions.target)[known]
    return BlockAnswers(
        unequal=unequal,
        no_copies=frozenset(name for name in questions.copies if (hashed(name)[known] != labels).any()),
        pairs={name: _pairs(block.column(name), hashed(name), known, labels) for name in questions.one_to_one},
        labelled=_labelled(block, questions.combination, known, labels),
    )


def merge_answers(parts: Sequence[BlockAnswers], questions: Questions) -> Answers:
    """The answers for all rows behind `parts`."""
    unequal = frozenset[Pair]().union(*(part.unequal for part in parts))
    one_to_one = tuple(
        name for name in questions.one_to_one if _is_one_to_one([part.pairs[name] for part in parts if part.pairs])
    )
    labelled = merge_labelled([part.labelled for part in parts]) if questions.combination and parts else None
    no_copies = frozenset[str]().union(*(part.no_copies for part in parts))
    return Answers(
        equal=tuple(pair for pair in questions.equal if pair not in unequal),
        copies=tuple(name for name in questions.copies if name not in no_copies),
        one_to_one=one_to_one,
        conflicts=None if labelled is None else count_conflicts(labelled),
    )


def answer_from(sample: Any) -> Answer:
    """Answers from a sample that holds every row."""
    return lambda questions: merge_answers([answer_block(sample, questions)], questions)


def _is_one_to_one(parts: Sequence[Hashes]) -> bool:
    pairs = np.unique(np.concatenate(parts, axis=1), axis=1) if parts else np.zeros((2, 0), np.uint64)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def _labelled(block: pa.Table, names: Sequence[str], known: Mask, labels: Hashes) -> LabelledRows | None:
    return labelled_rows(hash_rows(block, names)[known], labels) if names else None


def _pairs(column: pa.ChunkedArray, values: Hashes, known: Mask, labels: Hashes) -> Hashes:
    """The different pairs of a value and a target, of the rows that have both, shape (2, pairs).

    Args:
        column: its values.
        values: their hashes.
        known: which rows have a target.
        labels: the hashes of those rows' targets.
    """
    present = np.asarray(column.is_valid().to_numpy(), np.bool_)[known]
    return np.unique(np.stack([values[known][present], labels[present]]), axis=1)
