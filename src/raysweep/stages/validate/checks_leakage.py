"""Checks for columns that know the target: copies, near-perfect predictors, nulls that come with it."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.config import TaskKind
from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, ColumnProfile, Finding, Profile, Severity
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.learning_task import TargetReading, label_text
from raysweep.stages.validate.single_feature import (
    Codes,
    bins_of,
    class_strength,
    codes_of,
    number_strength,
    numbers_of,
)
from raysweep.stages.validate.sweep_lines import exclusion

_MIN_ROWS: Final = 100
_MIN_MISSING_TARGETS: Final = 10
NAMED_LIKE_A_TARGET: Final = re.compile(
    r"(?:^|[_ .-])(?:target|label|labels|outcome|ground[_ ]?truth|y_true|y_pred|prediction|predicted)(?:$|[_ .-])",
    re.IGNORECASE,
)


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
            share=1.0,
        )
        for name in context.copied
    ]


def single_feature(profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """leak.single_feature: a column that predicts the target nearly perfectly on its own."""
    if not _can_be_predicted(context, target):
        return []
    check, suffix, measure = "leak.single_feature", *_scale(target)
    told_by_nulls = {finding.column for finding in missingness(profile, context, target)}
    labels = context.labelled.column(target.column.name)
    findings = []
    for column in context.candidates:
        if column.name in context.copied or column.name in told_by_nulls:
            continue
        strength = _strength(context.labelled.column(column.name), labels, target.kind)
        crossed = context.crossed(check, strength, suffix)
        if crossed is not None:
            message = f"{column.name} alone predicts the target {target.column.name}"
            findings.append(_strong(check, column.name, message, strength, crossed, measure))
    return findings


def missingness(profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """leak.missingness: whether a value is there predicts the target."""
    if not _can_be_predicted(context, target):
        return []
    check, suffix, measure = "leak.missingness", *_scale(target)
    labels = context.labelled.column(target.column.name)
    findings = []
    for column in context.candidates:
        values = context.labelled.column(column.name)
        if column.name in context.copied or not 0 < values.null_count < len(values):
            continue
        strength = _strength(values.is_null(), labels, target.kind)
        crossed = context.crossed(check, strength, suffix)
        if crossed is not None:
            shares = _missing_by_class(profile, profile.column(column.name))
            message = f"whether {column.name} is missing{shares} predicts the target {target.column.name}"
            findings.append(_strong(check, column.name, message, strength, crossed, measure))
    return findings


def _missing_by_class(profile: Profile, column: ColumnProfile) -> str:
    """In which class it is missing most and least, over all rows."""
    if not profile.classes or not column.by_class:
        return ""
    shares = sorted(
        (found.nulls / count, label_text(label))
        for (label, count), found in zip(profile.classes, column.by_class, strict=True)
    )
    (low, least), (high, most) = shares[0], shares[-1]
    return f" ({high:.1%} of the rows with {most}, {low:.1%} of those with {least})"


def name(_profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """leak.name: a name such as `target_mean`, `label` or `final_outcome`."""
    return [
        Finding(
            "leak.name",
            Severity.WARNING,
            f"{column.name} is called like a target: does it come from {target.column.name}?",
            f"if it is known only with the target, exclude it: {exclusion(column.name)}",
            column=column.name,
        )
        for column in context.candidates
        if NAMED_LIKE_A_TARGET.search(column.name)
    ]


def order(profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """leak.order: where a row stands in the source predicts the target."""
    if not _can_be_predicted(context, target) or profile.sample_places is None:
        return []
    check, suffix, measure = "leak.order", *_scale(target)
    places = profile.sample_places.take(pa.array(np.flatnonzero(context.labelled_rows)))
    files, rows = (places.column(one).to_numpy() for one in (FILE_OF_ROW, NUMBER_OF_ROW))
    position = np.empty(len(files))
    position[np.lexsort((rows, files))] = np.arange(len(files))
    labels = context.labelled.column(target.column.name)
    strength = _strength(pa.chunked_array([position]), labels, target.kind)
    crossed = context.crossed(check, strength, suffix)
    if crossed is None:
        return []
    message = (
        f"the order of the rows predicts the target {target.column.name} ({measure} {strength:.4f}, "
        f"limit {crossed[1]:g}): the table seems sorted by it"
    )
    advice = "the split does not follow the order; but leave out columns that count rows, files or batches"
    return [Finding(check, Severity.WARNING, message, advice, measured=strength, threshold=crossed[1])]


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
            findings.append(_late(column, target, limit, context))
    return findings


def _strong(
    check: str, column: str, message: str, strength: float, crossed: tuple[Severity, float], measure: str
) -> Finding:
    return Finding(
        check,
        crossed[0],
        f"{message} ({measure} {strength:.4f}, limit {crossed[1]:g})",
        f"is it known when predictions are made? if not, exclude it: {exclusion(column)}",
        column=column,
        measured=strength,
        threshold=crossed[1],
    )


def _scale(target: TargetReading) -> tuple[str, str]:
    """The ending of the thresholds' keys, and the name of the measure."""
    return ("_r2", "R2") if target.kind is TaskKind.REGRESSION else ("", "ROC AUC")


def _can_be_predicted(context: Context, target: TargetReading) -> bool:
    labelled = context.labelled
    return (
        target.kind is not None
        and labelled.num_rows >= _MIN_ROWS
        and len(pc.unique(labelled.column(target.column.name))) > 1
    )


def _late(column: ColumnProfile, target: TargetReading, limit: float, context: Context) -> Finding:
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
        places=context.places(context.is_null(column.name) & context.is_null(target.column.name)),
    )


def copied_in_sample(profile: Profile, context: Context, target: TargetReading) -> tuple[list[str], list[str]]:
    """Columns that are the target in every usable row of the sample, and those whose values go one to one with it."""
    sample = context.labelled
    if target.kind is None or not sample.num_rows:
        return [], []
    wanted = sample.column(target.column.name)
    codes = codes_of(wanted)
    equal = [column.name for column in context.candidates if _is_equal(sample.column(column.name), wanted)]
    one_to_one = [
        column.name
        for column in context.candidates
        if column.name not in equal
        and _is_one_to_one(codes_of(sample.column(column.name)), codes)
        and _may_be_one_to_one(profile.column(column.name), target.column)
    ]
    return equal, one_to_one


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


def _strength(column: pa.ChunkedArray, target: pa.ChunkedArray, kind: TaskKind | None) -> float:
    bins: Any = bins_of(column)
    if kind is not TaskKind.REGRESSION:
        return class_strength(bins, codes_of(target))
    numbers = None if pa.types.is_large_string(column.type) else numbers_of(column)
    return number_strength(bins, numbers, numbers_of(target))
