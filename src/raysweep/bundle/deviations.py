"""What rows that are predicted have and the rows that the model was fitted on had not: counted, and warned of once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.records.manifest import InputColumn, Signature
from raysweep.records.table import ColumnKind

FEW_ROWS: Final = 32  # up to so many, Python's own comparisons are faster than Arrow's


class InputDeviation(UserWarning):
    """A column holds categories, or values out of the range, that the model has never seen; said once a column."""


@dataclass(frozen=True, slots=True)
class ColumnDeviation:
    """Rows of one column.

    Attributes:
        unseen: with a category that the model has not seen.
        out_of_range: with a number or instant below the smallest or above the largest that it has seen; an infinite
            number too, which the model itself takes as missing.
    """

    unseen: int = 0
    out_of_range: int = 0


@dataclass(frozen=True, slots=True)
class Deviations:
    """What was found in some rows.

    Attributes:
        rows: how many were looked at.
        columns: those in which there was anything.
    """

    rows: int = 0
    columns: Mapping[str, ColumnDeviation] = field(default_factory=dict)


class DeviationCounts:
    """The sum over all that a model has predicted; more than one thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = 0
        self._columns: dict[str, ColumnDeviation] = {}

    def add(self, found: Deviations) -> None:
        """Count, and warn of columns in which there was nothing before."""
        with self._lock:
            self._rows += found.rows
            new = [name for name in found.columns if name not in self._columns]
            for name, more in found.columns.items():
                before = self._columns.get(name, ColumnDeviation())
                self._columns[name] = ColumnDeviation(
                    before.unseen + more.unseen, before.out_of_range + more.out_of_range
                )
        for name in new:
            warnings.warn(_said(name, found.columns[name], found.rows), InputDeviation, stacklevel=4)

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process counts on its own, from nothing."""
        return {}

    def __setstate__(self, _: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def total(self) -> Deviations:
        """What was counted until now."""
        with self._lock:
            return Deviations(self._rows, dict(self._columns))


def _said(name: str, found: ColumnDeviation, rows: int) -> str:
    parts = [f"{found.unseen:,} with a category that the model has not seen"] if found.unseen else []
    parts += [f"{found.out_of_range:,} out of the range that it has seen"] if found.out_of_range else []
    return (
        f"the column {shorten(name)!r} has, in {rows:,} rows, {' and '.join(parts)}: such predictions are guesses. "
        "model.deviations goes on counting; this is said once a column"
    )


class Ranges:
    """The ranges of a signature, ready to be looked up row by row; empty where the manifest is too old to hold any."""

    def __init__(self, signature: Signature) -> None:
        self._bounds = {
            one.name: _bounds(one) for one in signature.inputs if one.low is not None and one.high is not None
        }

    def outside(self, features: pa.Table) -> dict[str, int]:
        """Column -> rows out of its range, where there are any; infinite values are."""
        found = {}
        for name, (low, high) in self._bounds.items():
            values = features.column(name)
            count = _few_outside(values, low, high) if len(values) <= FEW_ROWS else _many_outside(values, low, high)
            if count:
                found[name] = count
        return found


def _bounds(column: InputColumn) -> tuple[Any, Any]:
    if column.kind is ColumnKind.DATETIME:
        return datetime.fromisoformat(str(column.low)), datetime.fromisoformat(str(column.high))
    return column.low, column.high


def _few_outside(values: pa.ChunkedArray, low: Any, high: Any) -> int:
    count = 0
    for value in values.to_pylist():
        if value is not None and (value < low or value > high):
            count += 1
    return count


def _many_outside(values: pa.ChunkedArray, low: Any, high: Any) -> int:
    edges = pc.min_max(values).as_py()
    if edges["min"] is None or (edges["min"] >= low and edges["max"] <= high):
        return 0
    beyond = pc.or_(pc.less(values, pa.scalar(low, values.type)), pc.greater(values, pa.scalar(high, values.type)))
    return int(pc.sum(beyond).as_py() or 0)
