"""Checks for columns that know the target: copies, near-perfect predictors, nulls that come with it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.config import TaskKind
from raysweep.records.table import ColumnProfile, Finding, Profile, Severity
from raysweep.stages.validate.checks_columns import exclusion
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.learning_task import TargetReading
from raysweep.stages.validate.single_feature import (
    Codes,
    bins_of,
    class_strength,
    codes_of,
    number_strength,
    numbers_of,
)

_MIN_ROWS: Final = 100
_MIN_MISSING_TARGETS: Final = 10


def copies(profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """leak.copy: a column that is the target, or another name for each of its values."""
    return [
        Finding(
            "leak.copy",
            Severity.ERROR,
            f"{name} is a copy of the target {target.column.name}: "
            "each value of the one goes with one value of the other",
            f"it will not be known when predictions are made; exclude it: {exclusion(name)}",
            column=name,
            count=profile.rows,
        )
        for name in _copied(profile, context, target)
    ]


def single_feature(profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """leak.single_feature: a column that predicts the target nearly perfectly on its own."""
    check = "leak.single_feature"
    sample = _looked_at(profile, context, target)
    labels = sample.column(target.column.name)
    if target.kind is None or sample.num_rows < _MIN_ROWS or len(pc.unique(labels)) < 2:  # noqa: PLR2004
        return []
    is_regression = target.kind is TaskKind.REGRESSION
    suffix, name = ("_r2", "R2") if is_regression else ("", "ROC AUC")
    warn, error = (context.limit(check, key + suffix) for key in ("warn", "error"))
    copied = _copied(profile, context, target)
    findings = []
    for column in context.candidates:
        if column.name in copied:
            continue
        strength = _strength(sample.column(column.name), sample.column(target.column.name), is_regression)
        if strength >= warn:
            limit = error if strength >= error else warn
            findings.append(_strong(column.name, target, f"{name} {strength:.4f}, limit {limit:g}", limit >= error))
    return findings


def missing_together(profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """leak.missing_together: null where the target is, hardly elsewhere: perhaps known as late as it."""
    without = target.column.nulls
    if without < _MIN_MISSING_TARGETS or not target.rows:
        return []
    limit = context.limit("leak.missing_together", "warn")
    others = context.limit("leak.missing_together", "others")
    findings = []
    for candidate in context.candidates:
        column = profile.column(candidate.name)
        together = column.nulls_with_target_missing or 0
        elsewhere = (column.nulls - together) / target.rows
        if together / without > limit and elsewhere < others:
            findings.append(_late(column, target, limit))
    return findings


def _strong(name: str, target: TargetReading, measured: str, is_error: bool) -> Finding:
    return Finding(
        "leak.single_feature",
        Severity.ERROR if is_error else Severity.WARNING,
        f"{name} alone predicts the target {target.column.name} ({measured})",
        f"is it known when predictions are made? if not, exclude it: {exclusion(name)}",
        column=name,
    )


def _late(column: ColumnProfile, target: TargetReading, limit: float) -> Finding:
    together, without = column.nulls_with_target_missing or 0, target.column.nulls
    return Finding(
        "leak.missing_together",
        Severity.WARNING,
        f"{column.name} is missing in {together:,} of the {without:,} rows without a target "
        f"({together / without:.1%}), and in {column.nulls - together:,} of the others: "
        f"is it known only when {target.column.name} is?",
        f"if it is known too late for a prediction, exclude it: {exclusion(column.name)}",
        column=column.name,
        count=together,
        share=together / without,
        threshold=limit,
    )


def _looked_at(profile: Profile, context: Context, target: TargetReading) -> pa.Table:
    """The usable rows of the sample that have a target."""
    has_target = np.asarray(profile.sample.column(target.column.name).is_valid().to_numpy(), dtype=np.bool_)
    return profile.sample.filter(pa.array(has_target & context.usable))


def _copied(profile: Profile, context: Context, target: TargetReading) -> list[str]:
    sample = _looked_at(profile, context, target)
    if target.kind is None or not sample.num_rows:
        return []
    wanted = sample.column(target.column.name)
    codes = codes_of(wanted)
    return [
        column.name
        for column in context.candidates
        if _is_equal(sample.column(column.name), wanted)
        or (
            _is_one_to_one(codes_of(sample.column(column.name)), codes)
            and _may_be_one_to_one(profile.column(column.name), target.column)
        )
    ]


def _is_equal(column: pa.ChunkedArray, target: pa.ChunkedArray) -> bool:
    if column.null_count:
        return False
    if pa.types.is_large_string(column.type) or pa.types.is_large_string(target.type):
        return bool(column.type == target.type and pc.all(pc.equal(column, target)).as_py())
    return bool(np.array_equal(numbers_of(column), numbers_of(target)))


def _is_one_to_one(column: Codes, target: Codes) -> bool:
    """Whether values pair up; they have to repeat, as values that never do pair up with anything."""
    present = column >= 0
    rows = int(present.sum())
    if rows < len(target) / 2:
        return False
    left, right = column[present], target[present]
    values = len(np.unique(right))
    if values < 2 or rows < 2 * values or len(np.unique(left)) != values:  # noqa: PLR2004
        return False
    return len(np.unique(left * (int(right.max()) + 1) + right)) == values


def _may_be_one_to_one(column: ColumnProfile, target: ColumnProfile) -> bool:
    """Whether the exact counts of the whole table allow it: the same counts for some order of the values."""
    if column.nulls or target.nulls or column.values is None or target.values is None:
        return True
    return sorted(count for _, count in column.values) == sorted(count for _, count in target.values)


def _strength(column: pa.ChunkedArray, target: pa.ChunkedArray, is_regression: bool) -> float:
    bins: Any = bins_of(column)
    if not is_regression:
        return class_strength(bins, codes_of(target))
    numbers = None if pa.types.is_large_string(column.type) else numbers_of(column)
    return number_strength(bins, numbers, numbers_of(target))
