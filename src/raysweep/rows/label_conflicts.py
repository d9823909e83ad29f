"""Rows with equal features and different targets, counted over the whole table by hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.records.table import LabelConflicts
from raysweep.rows.hashing import Hashes

MAX_LABELS: Final = 10_000
_SHARDS: Final = 16  # a power of two
_SHARDED_FROM_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """The rows with a target.

    Attributes:
        features: the hash of each row's features.
        codes: the position of each row's target in `labels`.
        labels: the hashes of the targets.
    """

    features: Hashes
    codes: npt.NDArray[np.uint16]
    labels: Hashes


def labelled_rows(features: Hashes, targets: Hashes) -> LabelledRows | None:
    """The rows by these hashes of features and target; None where there are more than 10,000 different targets."""
    encoded = pa.array(targets).dictionary_encode()
    labels = encoded.dictionary.to_numpy()
    if len(labels) > MAX_LABELS:
        return None
    order = np.argsort(labels)
    position = np.empty(len(labels), np.uint16)
    position[order] = np.arange(len(labels))
    return LabelledRows(features, position[encoded.indices.to_numpy()], labels[order])


def merge_labelled(parts: Sequence[LabelledRows | None]) -> LabelledRows | None:
    """All rows behind `parts`; None where they have more than 10,000 different targets."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    labels = np.unique(np.concatenate([part.labels for part in known]))
    if len(labels) > MAX_LABELS:
        return None
    codes = [np.searchsorted(labels, part.labels).astype(np.uint16)[part.codes] for part in known]
    return LabelledRows(np.concatenate([part.features for part in known]), np.concatenate(codes), labels)


def count_conflicts(labelled: LabelledRows) -> LabelConflicts:
    """How many rows share their features with a row of another target."""
    shards = _SHARDS if len(labelled.features) > _SHARDED_FROM_ROWS else 1
    counted = [_count_shard(_shard(labelled, number, shards)) for number in range(shards)]
    return LabelConflicts(*(sum(numbers) for numbers in zip(*counted, strict=True)))


def _shard(labelled: LabelledRows, number: int, shards: int) -> LabelledRows:
    """The rows whose hashes lie in one part of all hashes, so that a sorted copy of all is never held."""
    if shards == 1:
        return labelled
    width = 2**64 // shards
    inside = labelled.features >= np.uint64(number * width)
    inside &= labelled.features <= np.uint64((number + 1) * width - 1)
    return LabelledRows(labelled.features[inside], labelled.codes[inside], labelled.labels)


def _count_shard(labelled: LabelledRows) -> tuple[int, int, int]:
    ordered = np.sort(labelled.features)
    again = ordered[1:] == ordered[:-1]
    combinations = len(ordered) - int(again.sum())
    repeated = np.unique(ordered[1:][again])
    del ordered, again
    if not len(repeated):
        return combinations, 0, 0
    rows, most, labels = _by_combination(repeated, labelled)
    torn = labels > 1
    return combinations, int(rows[torn].sum()), int((rows - most)[torn].sum())


def _by_combination(repeated: Hashes, labelled: LabelledRows) -> tuple[npt.NDArray[np.int64], ...]:
    """Of each repeated combination: its rows, the rows of its most frequent target, its number of targets."""
    position = np.minimum(np.searchsorted(repeated, labelled.features), len(repeated) - 1)
    inside = repeated[position] == labelled.features
    pairs = position[inside] * np.int64(MAX_LABELS) + labelled.codes[inside]
    pairs, counts = np.unique(pairs, return_counts=True)
    starts = np.flatnonzero(np.diff(pairs // MAX_LABELS, prepend=-1))
    return (
        np.add.reduceat(counts, starts),
        np.maximum.reduceat(counts, starts),
        np.diff(np.append(starts, len(pairs))),
    )
