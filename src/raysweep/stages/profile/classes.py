"""Statistics of a column by the class of the target: one more key in the same pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import Label
from raysweep.stages.profile.moments import Moments, Numbers, merge_moments, moments_of

MAX_CLASSES: Final = 20
MAX_PAIRS: Final = 1_000

Codes = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of the rows of a block.

    Attributes:
        labels: the values of the target, as an Arrow array.
        codes: the position of each row's target in `labels`, -1 where it is null.
    """

    labels: Any
    codes: Codes

    @property
    def names(self) -> list[Label]:
        """The labels as plain values."""
        return list(self.labels.to_pylist())


@dataclass(frozen=True, slots=True)
class NumbersOfClass:
    """What is counted of the finite numbers (instants in microseconds) of one class."""

    smallest: float | None = None
    largest: float | None = None
    moments: Moments = field(default_factory=Moments)


@dataclass(frozen=True, slots=True)
class ByClass:
    """What is counted of a column by class.

    Attributes:
        nulls: label -> rows in which the column is null.
        numbers: label -> of the numbers; empty for text.
        pairs: how often each value occurs in each class, an Arrow table of `value`, `label` and `count`; None where
            that are more than 1,000 pairs.
    """

    nulls: Mapping[Label, int]
    numbers: Mapping[Label, NumbersOfClass]
    pairs: Any


def classes_of(target: pa.ChunkedArray) -> Classes | None:
    """The classes of a target in canonical type; None where there are more than 20, or its values are instants."""
    if pa.types.is_timestamp(target.type):
        return None
    if pa.types.is_floating(target.type):
        target = pc.add(target, 0.0)  # 0.0 for -0.0
    encoded = target.combine_chunks().dictionary_encode()
    if len(encoded.dictionary) > MAX_CLASSES:
        return None
    return Classes(encoded.dictionary, encoded.indices.fill_null(-1).to_numpy().astype(np.int8))


def nulls_by_class(missing: Mask, classes: Classes) -> dict[Label, int]:
    """In how many rows of each class a column is null."""
    counts = np.bincount(classes.codes[missing] + 1, minlength=len(classes.labels) + 1)
    return dict(zip(classes.names, counts[1:].tolist(), strict=True))


def numbers_by_class(
    numbers: Numbers, codes: Codes, classes: Classes, *, summed: bool
) -> tuple[Moments, dict[Label, NumbersOfClass]]:
    """The moments of all numbers, and what is counted of each class.

    Args:
        numbers: finite.
        codes: the class of each.
        classes: of the whole block.
        summed: whether a sum of these numbers means anything.
    """
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(-1, len(classes.labels) + 1))
    ordered = numbers[order]
    without, *each = (_counted(ordered[start:end], summed=summed) for start, end in pairwise(ends))
    found = dict(zip(classes.names, each, strict=True))
    return merge_moments([without.moments, *(one.moments for one in each)]), found


def _counted(numbers: Numbers, *, summed: bool) -> NumbersOfClass:
    if not len(numbers):
        return NumbersOfClass()
    moments = moments_of(numbers) if summed else Moments()
    return NumbersOfClass(numbers.min().item(), numbers.max().item(), moments)


def pairs_of(values: pa.Array, indices: npt.NDArray[Any], codes: Codes, classes: Classes) -> Any:
    """How often each value occurs in each class.

    Args:
        values: the distinct values.
        indices: the position of each row's value in `values`; only rows that have one.
        codes: the class of each of these rows.
        classes: of the whole block.
    """
    labels = len(classes.labels)
    known = codes >= 0
    cells = np.bincount(indices[known].astype(np.int64) * labels + codes[known], minlength=len(values) * labels)
    filled = np.flatnonzero(cells)
    if len(filled) > MAX_PAIRS:
        return None
    found = {
        "value": values.take(pa.array(filled // max(1, labels))),
        "label": classes.labels.take(pa.array(filled % max(1, labels))),
        "count": pa.array(cells[filled]),
    }
    return pa.table(found)


def merge_by_class(parts: Sequence[ByClass | None]) -> ByClass | None:
    """What is counted by class over all rows behind `parts`; None where they have more than 20 classes."""
    known = [part for part in parts if part is not None]
    labels = sorted({label for part in known for label in part.nulls})
    if len(known) < len(parts) or len(labels) > MAX_CLASSES:
        return None
    return ByClass(
        nulls={label: sum(part.nulls.get(label, 0) for part in known) for label in labels},
        numbers={
            label: _merge_numbers(label, known) for label in labels if any(label in part.numbers for part in known)
        },
        pairs=_merge_pairs([part.pairs for part in known]),
    )


def _merge_numbers(label: Label, parts: Sequence[ByClass]) -> NumbersOfClass:
    found = [part.numbers[label] for part in parts if label in part.numbers]
    return NumbersOfClass(
        min((one.smallest for one in found if one.smallest is not None), default=None),
        max((one.largest for one in found if one.largest is not None), default=None),
        merge_moments(one.moments for one in found),
    )


def _merge_pairs(parts: Sequence[Any]) -> Any:
    if any(part is None for part in parts):
        return None
    merged = pa.concat_tables(parts).group_by(["value", "label"]).aggregate([("count", "sum")])
    return None if merged.num_rows > MAX_PAIRS else merged.rename_columns(["value", "label", "count"])
