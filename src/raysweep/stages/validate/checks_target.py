"""Checks of the target: missing, constant, rare classes, the wrong kind of task."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from raysweep.config import TaskKind
from raysweep.records.table import Finding, Profile, Severity
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.learning_task import MAX_SHOWN, TargetReading, label_text
from raysweep.stages.validate.single_feature import numbers_of

_MIN_ROWS: Final = 100


def missing(_profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """target.missing: rows without a target are left out; over half is too many."""
    check, column = "target.missing", target.column
    share = column.missing_share
    crossed = context.crossed(check, share)
    if crossed is None:
        return []
    severity, limit = crossed
    where = f"in {column.nulls:,} of {column.count:,} rows ({share:.1%})"
    message = f"the target {column.name} is missing {where}; they are left out"
    advice = "find out why: if such rows will be asked about, the score says nothing about them"
    places = context.places(context.is_null(column.name))
    return [Finding(check, severity, message, advice, column.name, column.nulls, share, limit, places=places)]


def constant(_profile: Profile, _context: Context, target: TargetReading) -> list[Finding]:
    """target.constant: one value, so there is nothing to learn."""
    column = target.column
    if column.distinct != 1:
        return []
    value = label_text(column.values[0][0]) if column.values else "the same"
    return [
        Finding(
            "target.constant",
            Severity.ERROR,
            f"the target {column.name} is {value} in all {target.rows:,} rows that have one",
            "was the table filtered by it? add rows with other values, or choose another data.target",
            column=column.name,
            count=target.rows,
            share=1.0,
        )
    ]


def rare_class(_profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """target.rare_class: a class with too few rows for all three parts."""
    check = "target.rare_class"
    if not target.classes:
        return []
    parts = context.config.split.parts
    share = min(parts.testing, parts.validation)
    error, warn = context.limit(check, "error"), context.limit(check, "warn")
    counted = sorted(zip(target.class_counts, map(label_text, target.classes), strict=True))
    too_rare = [(count, label) for count, label in counted if count < error]
    is_error = bool(too_rare)
    rare = too_rare or [(count, label) for count, label in counted if count * share < warn]
    if not rare:
        return []
    shown = ", ".join(f"{label} ({count:,} row{'s' if count != 1 else ''})" for count, label in rare[:MAX_SHOWN])
    why = (
        f"fewer than {error:g} rows cannot be in all three parts"
        if is_error
        else f"under {warn:g} rows are expected in testing or validation"
    )
    return [
        Finding(
            check,
            Severity.ERROR if is_error else Severity.WARNING,
            f"{len(rare):,} of {len(counted):,} classes of {target.column.name} are rare: {shown}; {why}",
            "get more rows of them, merge them with other classes, or remove them from the source",
            column=target.column.name,
            count=sum(count for count, _ in rare),
            share=sum(count for count, _ in rare) / target.rows,
            measured=1 - rare[0][0] / error if is_error else 1 - rare[0][0] * share / warn,
            threshold=error if is_error else warn,
            examples=tuple(label for _, label in rare[:MAX_SHOWN]),
            places=_places_of_classes(target, rare[-1][0], context),
        )
    ]


def imbalance(_profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """target.imbalance: the rarest class is a tiny share, of what two classes have where there are more."""
    if not target.classes:
        return []
    limit = context.limit("target.imbalance", "warn")
    count = min(target.class_counts)
    share = count / target.rows
    if share * len(target.classes) / 2 >= limit:
        return []
    label = label_text(target.classes[target.class_counts.index(count)])
    is_binary = target.kind is TaskKind.BINARY
    better = "average_precision" if is_binary else "balanced_accuracy"
    return [
        Finding(
            "target.imbalance",
            Severity.WARNING,
            f"only {count:,} of {target.rows:,} rows ({share:.2%}) have {target.column.name} = {label}: "
            "accuracy and ROC AUC mislead",
            f"set search.metric: {better}",
            column=target.column.name,
            count=count,
            share=share,
            measured=1 - share,
            threshold=limit,
            examples=(label,),
        )
    ]


def kind(_profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """target.kind: the task does not look like the values."""
    if target.kind is None:
        return list(target.findings)
    column, values = target.column, context.limit("target.kind", "warn_values")
    if target.kind is TaskKind.REGRESSION:
        if not column.integral or column.distinct > values:
            return []
        message = f"the target {column.name} of a regression has only {column.distinct} whole values"
        return [_odd_kind(target, message, "if they are classes, set data.task: multiclass", values)]
    classes = context.limit("target.kind", "warn_classes")
    if column.distinct <= classes:
        return []
    message = f"the target {column.name} of a classification has {column.distinct:,} classes"
    return [_odd_kind(target, message, "if they are amounts, set data.task: regression; else merge some", classes)]


def outliers(_profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """target.outliers: a few rows carry most of the variance, and a squared error looks at nothing else."""
    check = "target.outliers"
    if target.kind is not TaskKind.REGRESSION:
        return []
    numbers = numbers_of(context.labelled.column(target.column.name))
    if len(numbers) < _MIN_ROWS:
        return []
    distance = np.abs(numbers / np.abs(numbers).max() - (numbers / np.abs(numbers).max()).mean())
    squares = np.sort(distance**2)[::-1]
    few = max(1, round(context.limit(check, "rows") * len(squares)))
    share, limit = float(squares[:few].sum() / squares.sum()) if squares.sum() else 0.0, context.limit(check, "warn")
    if share <= limit:
        return []
    rows = np.argsort(-distance)[:few]
    return [
        Finding(
            check,
            Severity.WARNING,
            f"{few:,} of {len(numbers):,} rows of the sample carry {share:.0%} of {target.column.name}'s variance: "
            "rmse is about little else",
            "are they right? if so, learn a logarithm of the target, or set search.metric: mae",
            column=target.column.name,
            count=few,
            measured=share,
            threshold=limit,
            examples=tuple(f"{numbers[row]:.6g}" for row in rows[:MAX_SHOWN]),
            places=context.places_at(np.flatnonzero(context.labelled_rows)[rows]),
        )
    ]


def _places_of_classes(target: TargetReading, rows: int, context: Context) -> tuple[str, ...]:
    """Rows of the classes that have no more than so many."""
    name = target.column.name
    labels = [label for label, count in zip(target.classes, target.class_counts, strict=True) if count <= rows]
    return context.places_of(name, pa.array(labels, context.sampled(name).type))


def _odd_kind(target: TargetReading, message: str, advice: str, limit: float) -> Finding:
    return Finding(
        "target.kind",
        Severity.WARNING,
        message,
        advice,
        column=target.column.name,
        threshold=limit,
    )
