"""The rows of a search as a trial sees them: features, targets, weights, and the cuts to fit and score on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.rows.hashing import Hashes
from raysweep.training.families import families, is_shipped
from raysweep.training.learner import Floats, Matrix
from raysweep.training.preparation import FittedPreparation
from raysweep.training.preprocess import Preprocessor

Rows = slice | npt.NDArray[np.int64]
_MAX_KEPT_ENCODINGS: Final = 12


@dataclass(frozen=True, slots=True)
class RowBlock:
    """What a model takes of some rows, with their targets and weights, in the order of the rows' keys.

    Attributes:
        features: the task's inputs: the source's columns before any preparation.
        group: a number for each row, equal where rows belong together (`data.group`); None where they do not.
    """

    features: pa.Table
    y: Floats
    weight: Floats | None
    group: npt.NDArray[np.uint64] | None = None

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.y)

    def take(self, rows: Rows) -> RowBlock:
        """Some of the rows; a slice copies nothing."""
        if isinstance(rows, slice):
            features = self.features.slice(rows.start, rows.stop - rows.start)
        else:
            features = self.features.take(pa.array(rows))
        weight = None if self.weight is None else self.weight[rows]
        return RowBlock(features, self.y[rows], weight, None if self.group is None else self.group[rows])

    def joined(self, *others: RowBlock) -> RowBlock:
        """These rows and then the others', in their order."""
        blocks = (self, *others)
        weights = [block.weight for block in blocks if block.weight is not None]
        groups = [block.group for block in blocks if block.group is not None]
        return RowBlock(
            pa.concat_tables([block.features for block in blocks]),
            np.concatenate([block.y for block in blocks]),
            np.concatenate(weights) if len(weights) == len(blocks) else None,
            np.concatenate(groups) if len(groups) == len(blocks) else None,
        )


@dataclass(frozen=True, slots=True)
class SearchRows:
    """Training and testing rows; never a validation row.

    Attributes:
        fold_of_row: for cross-validation, the fold of each row of training, then testing; empty without folds.
        canaries: hashes of validation rows, which none of these may have (`raysweep.training.canaries`).
        is_sample: there are more rows in both parts, which are fitted on in blocks.
    """

    training: RowBlock
    testing: RowBlock
    fold_of_row: npt.NDArray[np.int64]
    folds: int
    canaries: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    is_sample: bool = False


@dataclass(slots=True)
class PreparedRows:
    """The cuts of a search in one process: encoded once per encoding and kept from trial to trial.

    What is kept depends on rows and encoding alone, never on a candidate, so that a score does not depend on which
    trials this process has run before.
    """

    task: LearningTask
    rows: SearchRows
    seed: int
    _encoded: dict[Any, Encoded] = field(default_factory=dict)

    @property
    def cuts(self) -> int:
        """How many fits a full evaluation takes: 1, or one a fold."""
        return self.rows.folds

    @property
    def kept(self) -> int:
        """How many encodings and prepared forms of them are kept."""
        return sum(1 + len(one.fit.cache) + len(one.scored.cache) for one in self._encoded.values())

    def encoded(self, cut: int, candidate: Candidate) -> Encoded:
        """What to fit on and what to score on, in the encoding that the candidate wants."""
        family = families()[candidate.family]
        encoding = str(candidate.params.get("encoding", "ordinal"))
        key = (cut, encoding, family.scaled)
        if key not in self._encoded:
            if len(self._encoded) >= _MAX_KEPT_ENCODINGS * self.cuts:
                self._encoded.pop(next(iter(self._encoded)))
            fitting, scoring = self._cut(cut)
            self._encoded[key] = encode(self.task, fitting, scoring, encoding, scaled=family.scaled, seed=self.seed)
        encoded = self._encoded[key]
        # An estimator of somebody else's may work in place: what it changed, others would be scored on. (The shipped
        # ones do not, and some of them refuse arrays that cannot be written to.)
        return encoded if is_shipped(family.name) else encoded.copied()

    def scored_features(self, cut: int) -> pa.Table:
        """The rows of the cut that are scored on, before any preparation."""
        return self._cut(cut)[1].features

    def _cut(self, cut: int) -> tuple[RowBlock, RowBlock]:
        if self.rows.folds == 1:
            return self.rows.training, self.rows.testing
        every = self.rows.training.joined(self.rows.testing)
        held_out = self.rows.fold_of_row == cut
        return every.take(np.flatnonzero(~held_out)), every.take(np.flatnonzero(held_out))


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows to fit on and rows to score on as matrices, with what was fitted on the former."""

    fit: Matrix
    scored: Matrix
    preparation: FittedPreparation
    preprocessor: Preprocessor

    def copied(self) -> Encoded:
        """The same with values of its own; what learners have prepared of them is shared."""
        return replace(self, fit=_copied(self.fit), scored=_copied(self.scored))


def encode(
    task: LearningTask, fitting: RowBlock, scoring: RowBlock | None, encoding: str, *, scaled: bool, seed: int
) -> Encoded:
    """Fit preparation and preprocessing on `fitting`. Without `scoring`, its matrix is that of `fitting`."""
    preparation, prepared = FittedPreparation.fit(task.rules, fitting.features)
    preprocessor = Preprocessor(task.features, encoding, scaled=scaled)
    values = preprocessor.fit_transform(prepared, fitting.y, task.kind, seed)
    fit = Matrix(values, fitting.y, fitting.weight, preprocessor.categorical, {})
    if scoring is None:
        return Encoded(fit, fit, preparation, preprocessor)
    values = preprocessor.transform(preparation.apply(scoring.features))
    scored = Matrix(values, scoring.y, scoring.weight, preprocessor.categorical, {})
    return Encoded(fit, scored, preparation, preprocessor)


def _copied(matrix: Matrix) -> Matrix:
    weight = None if matrix.weight is None else matrix.weight.copy()
    return replace(matrix, values=matrix.values.copy(), y=matrix.y.copy(), weight=weight)
