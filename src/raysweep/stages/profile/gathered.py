"""The hashes of all rows on the driver, each held once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from raysweep.rows.label_conflicts import MAX_LABELS, LabelledRows
from raysweep.stages.profile.statistics import TableStatistics


class GatheredRows:
    """Takes what is known of each row out of partial statistics as they come, into arrays of the final size.

    Merging them pair by pair would hold each row two or three times.
    """

    def __init__(self, rows: int | None) -> None:
        """Make room for so many rows; None: their number is not known."""
        self._rows = _Growing(np.empty(rows or 0, np.uint64))
        self._features = _Growing(np.empty(rows or 0, np.uint64))
        self._codes = _Growing(np.empty(rows or 0, np.uint16))
        self._labels = np.zeros(0, np.uint64)
        self._are_labelled = True

    def take(self, part: TableStatistics) -> TableStatistics:
        """The part without its rows, which are kept here."""
        self._rows.append(part.hashes)
        if part.labelled is None:
            self._are_labelled = False
        if self._are_labelled and part.labelled is not None:
            self._label(part.labelled)
        return replace(part, hashes=np.zeros(0, np.uint64), labelled=None)  # a slice would keep all of them

    def give_back(self, merged: TableStatistics) -> TableStatistics:
        """The statistics with the rows of all parts that were taken."""
        labelled = None
        if self._are_labelled:
            labelled = LabelledRows(self._features.all(), self._codes.all(), self._labels)
        return replace(merged, hashes=self._rows.all(), labelled=labelled)

    def _label(self, part: LabelledRows) -> None:
        self._labels = np.concatenate([self._labels, np.setdiff1d(part.labels, self._labels)])
        if len(self._labels) > MAX_LABELS:
            self._are_labelled = False
            self._features = _Growing(np.zeros(0, np.uint64))
            return
        order = np.argsort(self._labels)
        position = order[np.searchsorted(self._labels, part.labels, sorter=order)]
        self._features.append(part.features)
        self._codes.append(position.astype(np.uint16)[part.codes])


class _Growing:
    """An array that is filled from its start, and grows where its size was guessed too small."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values = values
        self._filled = 0

    def append(self, values: npt.NDArray[Any]) -> None:
        end = self._filled + len(values)
        if end > len(self._values):
            grown = np.empty(max(end, 2 * len(self._values)), self._values.dtype)
            grown[: self._filled] = self._values[: self._filled]
            self._values = grown
        self._values[self._filled : end] = values
        self._filled = end

    def all(self) -> npt.NDArray[Any]:
        return self._values[: self._filled]
