"""The weakest slices that nobody named: leaves of a shallow tree on the losses, grown on testing rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.tree import DecisionTreeRegressor

from raysweep.documents import shorten
from raysweep.training.learner import Floats
from raysweep.training.slices import OTHER, Members, said, smallest_slice

DEPTH: Final = 3
MOST_CATEGORIES: Final = 50
_NAMED: Final = 4
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_DAY: Final = 86_400e6  # microseconds
_LEAF: Final = -1


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a column becomes numbers for the tree; of text the categories by rising loss on testing rows."""

    name: str
    type: pa.DataType
    categories: tuple[str, ...] = ()

    def numbers(self, column: pa.ChunkedArray) -> Floats:
        """NaN where missing; categories that were not among the frequent ones are taken together."""
        if self.categories:
            known = pa.array(self.categories, column.type)
            codes = pc.index_in(column, value_set=known)
            filled = pc.fill_null(codes, self.categories.index(OTHER))
            return np.where(_missing(column), np.nan, filled.to_numpy().astype(np.float64))
        if pa.types.is_timestamp(self.type):
            return _floats(column.cast(pa.int64())) / _DAY
        return _floats(column.cast(pa.int8()) if pa.types.is_boolean(self.type) else column)

    def condition(self, low: float, high: float, *, with_missing: bool) -> str:
        """Values above `low` up to `high` in words; a cut at infinity parts those that are missing from the rest."""
        if low == np.inf:
            return f"{self.name} is missing"
        if low == -np.inf and high == np.inf:
            return f"{self.name} is known"
        text = self._condition(low, high)
        return f"({text} or missing)" if with_missing else text

    def _condition(self, low: float, high: float) -> str:
        if self.categories:
            inside = [one for code, one in enumerate(self.categories) if low < code <= high]
            return f"{self.name} in {{{_listed(inside)}}}"
        if pa.types.is_boolean(self.type):
            return f"{self.name} = {said(low >= 0)}"
        first, last = (self._said(one) for one in (low, high))
        if np.isinf(low):
            return f"{self.name} <= {last}"
        return f"{self.name} > {first}" if np.isinf(high) else f"{self.name} in ({first}, {last}]"

    def _said(self, value: float) -> str:
        if pa.types.is_timestamp(self.type) and np.isfinite(value):
            return str(np.datetime64(int(value * _DAY), "us").astype("datetime64[s]"))
        return said(value)


def found_slices(
    testing: pa.Table, losses: Floats, weight: Floats | None, validation: pa.Table, seed: int
) -> list[Members]:
    """Slices that differ in loss on testing rows, applied to validation rows.

    Args:
        testing: features of the testing rows, in canonical types.
        losses: of the fit on training rows, shape (testing rows,).
        weight: of the testing rows, or None; rows of weight 0 do not count as rows.
        validation: features of the validation rows.
        seed: of the tree, which decides between equal cuts.

    Returns:
        The leaves of the tree with their rules as names; none where it finds nothing to cut.
    """
    if weight is not None:
        kept = weight > 0
        testing, losses, weight = testing.filter(pa.array(kept)), losses[kept], weight[kept]
    if not testing.column_names or len(losses) < 2 * smallest_slice(len(losses)):
        return []
    weights = np.ones(len(losses)) if weight is None else weight
    readings = [_reading(name, testing.column(name), losses, weights) for name in testing.column_names]
    tree = DecisionTreeRegressor(
        max_depth=DEPTH, min_samples_leaf=smallest_slice(len(losses)), random_state=seed % 2**31
    )
    tree.fit(_matrix(readings, testing), losses, sample_weight=weights)
    if tree.get_n_leaves() == 1:
        return []
    leaf_of_row = tree.apply(_matrix(readings, validation))
    gaps = [bool(_missing(testing.column(one.name)).any()) for one in readings]
    return [
        Members(" and ".join(_rule(path, readings, gaps)), None, leaf_of_row == leaf)
        for leaf, path in _leaves(tree.tree_, 0, [])
    ]


def _reading(name: str, column: pa.ChunkedArray, losses: Floats, weights: Floats) -> _Reading:
    if not pa.types.is_large_string(column.type) and not pa.types.is_string(column.type):
        return _Reading(name, column.type)
    counted = sorted(
        ((one["values"], one["counts"]) for one in column.drop_null().value_counts().to_pylist()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    kept = [value for value, _ in counted[:MOST_CATEGORIES] if value != OTHER]
    codes = pc.fill_null(pc.index_in(column, value_set=pa.array(kept, column.type)), len(kept)).to_numpy()
    rest = (codes == len(kept)) & ~_missing(column)
    chosen = {value: codes == code for code, value in enumerate(kept)} | {OTHER: rest if rest.any() else codes >= 0}
    means = {value: float(np.average(losses[rows], weights=weights[rows])) for value, rows in chosen.items()}
    return _Reading(name, column.type, tuple(sorted(means, key=lambda value: (means[value], value))))


def _missing(column: pa.ChunkedArray) -> Any:
    return np.asarray(pc.is_null(column, nan_is_null=True))


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _matrix(readings: Sequence[_Reading], table: pa.Table) -> Floats:
    matrix = np.column_stack([one.numbers(table.column(one.name)) for one in readings])
    matrix[np.isinf(matrix)] = np.nan
    return np.clip(matrix, -_FLOAT32_MAX, _FLOAT32_MAX)


Step = tuple[int, float, bool, bool]  # feature, threshold, whether values up to it go here, whether missing ones do


def _leaves(tree: Any, node: int, path: list[Step]) -> Iterator[tuple[int, list[Step]]]:
    if tree.children_left[node] == _LEAF:
        yield node, path
        return
    feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
    missing_left = bool(tree.missing_go_to_left[node])
    yield from _leaves(tree, tree.children_left[node], [*path, (feature, threshold, True, missing_left)])
    yield from _leaves(tree, tree.children_right[node], [*path, (feature, threshold, False, not missing_left)])


def _rule(path: Sequence[Step], readings: Sequence[_Reading], gaps: Sequence[bool]) -> Iterator[str]:
    """A condition for each column on the way to a leaf, in the order of the way."""
    for feature in dict.fromkeys(step[0] for step in path):
        steps = [step for step in path if step[0] == feature]
        low = max((threshold for _, threshold, below, _ in steps if not below), default=-np.inf)
        high = min((threshold for _, threshold, below, _ in steps if below), default=np.inf)
        missing = gaps[feature] and all(step[3] for step in steps)
        yield readings[feature].condition(low, high, with_missing=missing)


def _listed(values: Sequence[str]) -> str:
    more = len(values) - _NAMED
    return ", ".join(shorten(value) for value in values[:_NAMED]) + (f" and {more} more" if more > 0 else "")
