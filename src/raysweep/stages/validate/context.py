"""What the data checks look at besides the profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.config import SweepConfig
from raysweep.records.table import (
    FILE_OF_ROW,
    NUMBER_OF_ROW,
    Column,
    ColumnProfile,
    LabelConflicts,
    Place,
    Profile,
    Severity,
)
from raysweep.stages.validate.learning_task import TargetReading
from raysweep.stages.validate.thresholds import Thresholds

Mask = npt.NDArray[np.bool_]
_SHOWN_PLACES: Final = 5
# A sample of a wide table is cut short, so that looking at every column of it takes seconds, not minutes.
_MAX_CELLS: Final = 10_000_000
_MIN_ROWS: Final = 5_000


@dataclass(frozen=True)
class ValueCounts:
    """The values of a text column without nulls and how often each occurs: of the table where few, else of the sample.

    Attributes:
        values: an Arrow array of different texts.
        counts: of each, shape (values,).
    """

    values: pa.Array
    counts: npt.NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many rows were counted."""
        return int(self.counts.sum())

    def share(self, chosen: Mask) -> float:
        """The share of the rows that hold one of the chosen values."""
        return float(self.counts[chosen].sum() / self.total) if self.total else 0.0

    def shown(self, chosen: Mask, limit: int = 5) -> tuple[str, ...]:
        """The most frequent of the chosen values."""
        rows = np.flatnonzero(chosen)
        order = rows[np.argsort(-self.counts[rows], kind="stable")][:limit]
        return tuple(str(text) for text in self.values.take(pa.array(order)).to_pylist())


@dataclass(frozen=True)
class Context:
    """What a check may ask for.

    Attributes:
        profile: of the table.
        thresholds: check -> key -> limit.
        candidates: columns that may become features.
        target: what the target's values say; None without a target.
        usable: rows of the sample that checks against the target may look at.
        files: addresses of the table's files; empty for a table in memory.
        equal_columns: pairs of an earlier and a later column that are equal in every row.
        copied: candidates that say the same as the target in every row.
        conflicts: rows that the candidates cannot tell apart though their targets differ.
    """

    config: SweepConfig
    profile: Profile
    thresholds: Thresholds
    candidates: tuple[Column, ...]
    target: TargetReading | None
    usable: Mask
    files: tuple[str, ...] = ()
    equal_columns: tuple[tuple[str, str], ...] = ()
    copied: tuple[str, ...] = ()
    conflicts: LabelConflicts | None = None
    _texts: dict[str, ValueCounts] = field(default_factory=dict, repr=False, compare=False)

    def limit(self, check: str, key: str) -> float:
        """The threshold of a check."""
        return self.thresholds[check][key]

    def crossed(self, check: str, share: float, suffix: str = "") -> tuple[Severity, float] | None:
        """The severity of a share over the `error` or `warn` limit of a check, and that limit, if any."""
        for severity, key in ((Severity.ERROR, "error"), (Severity.WARNING, "warn")):
            limit = self.thresholds[check].get(key + suffix)
            if limit is not None and share > limit:
                return severity, limit
        return None

    @property
    def columns(self) -> Sequence[ColumnProfile]:
        """The profiles of the candidates; none for a table without rows."""
        return [self.profile.column(one.name) for one in self.candidates] if self.profile.rows else []

    @property
    def is_whole(self) -> bool:
        """Whether the sample holds every row of the table."""
        return bool(self.profile.sample.num_rows == self.profile.rows)

    @cached_property
    def labelled(self) -> pa.Table:
        """Rows of the sample that have a target and may be compared with it."""
        if self.target is None:
            return self.profile.sample.slice(0, 0)
        rows = np.flatnonzero(self.labelled_rows)
        return self.profile.sample.take(pa.array(rows))

    @cached_property
    def labelled_rows(self) -> Mask:
        """Which rows of the sample those are; of a wide table the first ones, since their order is random."""
        if self.target is None:
            return np.zeros(self.profile.sample.num_rows, np.bool_)
        values = self.profile.sample.column(self.target.column.name)
        chosen = np.asarray(values.is_valid().to_numpy(), np.bool_) & self.usable
        budget = max(_MIN_ROWS, _MAX_CELLS // max(1, len(self.candidates)))
        return chosen & (np.cumsum(chosen) <= budget)

    def sampled(self, name: str) -> Any:
        """The values of a column in the sample: fewer rows of it where the table is wide."""
        rows = max(_MIN_ROWS, _MAX_CELLS // max(1, len(self.candidates)))
        return self.profile.sample.column(name).slice(0, rows)

    def texts(self, name: str) -> ValueCounts:
        """The different values of a text column."""
        if name not in self._texts:
            self._texts[name] = self._count_texts(name)
        return self._texts[name]

    def is_null(self, name: str) -> Mask:
        """Which of the sampled values of a column are missing."""
        return mask_of(self.sampled(name).is_null())

    def places(self, rows: Mask) -> tuple[str, ...]:
        """Where the first of these rows of the sample stand, such as `flights.csv row 1,204`."""
        return self.places_at(np.flatnonzero(rows))

    def places_of(self, name: str, values: Any) -> tuple[str, ...]:
        """Where the first rows stand in which a column has one of these values, an array of the column's type."""
        return self.places(mask_of(pc.is_in(self.sampled(name), value_set=values)))

    def places_at(self, positions: npt.NDArray[np.int64]) -> tuple[str, ...]:
        """Where the rows at the first of these positions in the sample stand, in that order."""
        if self.profile.sample_places is None:
            return ()
        found = self.profile.sample_places.take(pa.array(positions[:_SHOWN_PLACES]))
        numbers = zip(found.column(FILE_OF_ROW).to_pylist(), found.column(NUMBER_OF_ROW).to_pylist(), strict=True)
        return tuple(self.place_text(Place(file, row)) for file, row in numbers)

    def place_text(self, place: Place) -> str:
        """A row's place in words."""
        return place_text(self.files, place)

    def _count_texts(self, name: str) -> ValueCounts:
        column = self.profile.column(name)
        if column.values is not None:
            labels, counts = [str(label) for label, _ in column.values], [count for _, count in column.values]
            return ValueCounts(pa.array(labels, pa.large_string()), np.asarray(counts, dtype=np.int64))
        counted = pc.value_counts(self.sampled(name).drop_null().combine_chunks())
        return ValueCounts(counted.field("values"), np.asarray(counted.field("counts"), dtype=np.int64))


def mask_of(found: Any) -> Mask:
    """Arrow's booleans without nulls as a mask."""
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def place_text(files: Sequence[str], place: Place) -> str:
    """A row's place in words; rows are counted from 1, without a heading."""
    file = f"{files[place.file]} " if 0 <= place.file < len(files) else ""
    return f"{file}row {place.row + 1:,}"


def without(context: Context, names: Mapping[str, Any]) -> tuple[Column, ...]:
    """The candidates that are not among `names`."""
    return tuple(column for column in context.candidates if column.name not in names)
