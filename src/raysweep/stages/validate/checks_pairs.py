"""Checks of pairs of columns: equal ones, and numbers that are nearly a multiple of one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Profile, Severity
from raysweep.rows.hashing import digest_in_order, hash_values
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.single_feature import numbers_of
from raysweep.stages.validate.sweep_lines import exclusion

_SCREENED_ROWS: Final = 5_000
_MIN_ROWS: Final = 20

Floats = npt.NDArray[np.float64]


def duplicate(_profile: Profile, context: Context) -> list[Finding]:
    """col.duplicate: equal in every row to an earlier column."""
    return [
        Finding(
            "col.duplicate",
            Severity.WARNING,
            f"{later} is equal to {earlier} in every row",
            f"one of them is enough: {exclusion(later)}",
            column=later,
            share=1.0,
        )
        for earlier, later in context.equal_columns
    ]


def near_duplicate(_profile: Profile, context: Context) -> list[Finding]:
    """col.near_duplicate: the absolute correlation with an earlier column of numbers is close to 1."""
    limit = context.limit("col.near_duplicate", "warn")
    equal = {later for _, later in context.equal_columns}
    columns = [column for column in context.columns if _can_correlate(column) and column.name not in equal]
    findings = []
    for earlier, later in _correlated(columns, context, limit):
        strength = _correlation(*(numbers_of(context.sampled(name)) for name in (earlier, later)))
        if abs(strength) <= limit:
            continue
        findings.append(
            Finding(
                "col.near_duplicate",
                Severity.WARNING,
                f"{later} says nearly the same as {earlier} (correlation {strength:.5f} in the sample)",
                f"one of them is enough: {exclusion(later)}",
                column=later,
                measured=abs(strength),
                threshold=limit,
            )
        )
    return findings


def equal_in_sample(context: Context) -> tuple[tuple[str, str], ...]:
    """Pairs of an earlier column and a later one that is equal to it in every row of the sample."""
    groups: dict[object, list[str]] = defaultdict(list)
    for column in context.columns:
        if column.distinct > 1:
            key = (column.kind, column.nulls, digest_in_order(hash_values(context.profile.sample.column(column.name))))
            groups[key].append(column.name)
    return tuple((names[0], later) for names in groups.values() for later in names[1:])


def _can_correlate(column: ColumnProfile) -> bool:
    return column.kind is ColumnKind.NUMBER and column.distinct > 2 and column.count - column.nulls >= _MIN_ROWS  # noqa: PLR2004


def _correlated(columns: Sequence[ColumnProfile], context: Context, limit: float) -> list[tuple[str, str]]:
    """Pairs that look correlated on some rows of the sample, each later column at most once."""
    if len(columns) < 2:  # noqa: PLR2004
        return []
    rows = [_standardized(numbers_of(context.sampled(column.name)[:_SCREENED_ROWS])) for column in columns]
    matrix = np.vstack(rows)
    products = np.abs(matrix @ matrix.T)
    pairs = []
    for later in range(1, len(columns)):
        earlier = int(products[later, :later].argmax())
        if products[later, earlier] > limit - 0.01:
            pairs.append((columns[earlier].name, columns[later].name))
    return pairs


def _standardized(numbers: Floats) -> npt.NDArray[np.float32]:
    """Zero mean and unit length, with 0 for what is missing."""
    finite = np.isfinite(numbers)
    if not finite.any():
        return np.zeros(len(numbers), np.float32)
    scale = float(np.abs(numbers[finite]).max()) or 1.0
    centred = np.where(finite, numbers / scale, 0.0)
    centred = np.where(finite, centred - centred[finite].mean(), 0.0)
    length = float(np.sqrt((centred**2).sum()))
    return np.asarray(centred / length if length else centred, dtype=np.float32)


def _correlation(left: Floats, right: Floats) -> float:
    both = np.isfinite(left) & np.isfinite(right)
    if both.sum() < _MIN_ROWS:
        return 0.0
    return float(_standardized64(left[both]) @ _standardized64(right[both]))


def _standardized64(numbers: Floats) -> Floats:
    scaled = numbers / (np.abs(numbers).max() or 1.0)
    centred = scaled - scaled.mean()
    length = float(np.sqrt((centred**2).sum()))
    return np.asarray(centred / length if length else centred)
