"""Checks of the rows: are there enough, are they different."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from raysweep.records.table import Finding, Profile, Severity
from raysweep.rows.hashing import hash_rows, hash_values
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.learning_task import TargetReading


def too_few(profile: Profile, context: Context) -> list[Finding]:
    """rows.too_few: the validation part, its rarest class, or the rows for each feature are few."""
    check, share = "rows.too_few", context.config.split.parts.validation
    rows = profile.rows if context.target is None else context.target.rows
    noun = "rows" if context.target is None else "rows with a target"
    problems: list[tuple[Severity, str, float, float]] = []
    expected = rows * share
    for severity, key in ((Severity.ERROR, "error"), (Severity.WARNING, "warn")):
        if expected < context.limit(check, key):
            text = f"about {expected:.0f} of {rows:,} {noun} would be left for validation"
            problems.append((severity, text, context.limit(check, key), expected))
            break
    counts = context.target.class_counts if context.target is not None else ()
    for severity, key in ((Severity.ERROR, "error_class"), (Severity.WARNING, "warn_class")):
        if counts and min(counts) * share < context.limit(check, key):
            text = f"about {min(counts) * share:.1f} rows of the rarest class would be in validation"
            problems.append((severity, text, context.limit(check, key), min(counts) * share))
            break
    features = len(context.candidates)
    if rows < features * context.limit(check, "warn_per_feature"):
        text = f"{rows:,} {noun} are few for {features:,} features"
        problems.append((Severity.WARNING, text, context.limit(check, "warn_per_feature"), rows / features))
    if not problems:
        return []
    worst = min(problems, key=lambda problem: problem[0] is not Severity.ERROR)
    needed = ", ".join(f"{text} (limit {limit:g})" for _, text, limit, _ in problems)
    advice = "get more rows, or fewer features, or give validation more: split.parts.validation"
    lacking = max(1 - found / limit for severity, _, limit, found in problems if severity is worst[0])
    return [Finding(check, worst[0], needed, advice, count=rows, measured=lacking, threshold=worst[2])]


def duplicates(profile: Profile, context: Context) -> list[Finding]:
    """rows.duplicates: rows that repeat an earlier one exactly, in every column."""
    check = "rows.duplicates"
    share = profile.duplicate_rows / profile.rows if profile.rows else 0.0
    crossed = context.crossed(check, share)
    if crossed is None:
        return []
    severity, limit = crossed
    count = profile.duplicate_rows
    combinations = _possible_rows(profile)
    if combinations < profile.rows:
        return [_coarse(check, profile, combinations, share, limit)]
    message = f"{count:,} of {profile.rows:,} rows ({share:.1%}) repeat another row exactly, over {limit:.1%}"
    advice = "was a file read twice, or a join too wide? remove the copies in the source"
    places = context.places(_repeats(profile))
    return [Finding(check, severity, message, advice, count=count, share=share, threshold=limit, places=places)]


def conflicting_labels(profile: Profile, context: Context, target: TargetReading) -> list[Finding]:
    """rows.conflicting_labels: equal features, different classes; no model can be right about all of them.

    The share is that of the rows whose class is not the most frequent one among the rows with equal features. Where
    features are so coarse that many rows share them, that is no fault of the labels, and never an error.
    """
    check, conflicts = "rows.conflicting_labels", context.conflicts
    if conflicts is None or not target.classes or not target.rows:
        return []
    share = conflicts.minority_rows / target.rows
    crossed = context.crossed(check, share)
    if crossed is None:
        return []
    severity, limit = crossed
    if target.rows / conflicts.combinations >= context.limit(check, "rows_per_combination"):
        severity, limit = Severity.WARNING, context.limit(check, "warn")
    message = (
        f"{conflicts.rows:,} of {target.rows:,} rows have the same features as another row with another "
        f"{target.column.name}: no model can have an accuracy above {1 - share:.2%} on them"
    )
    advice = "are labels wrong, or does a column lack that tells these rows apart?"
    places = context.places(_torn(profile, context, target))
    count = conflicts.rows
    return [Finding(check, severity, message, advice, count=count, share=share, threshold=limit, places=places)]


def _possible_rows(profile: Profile) -> float:
    """How many different rows the columns' values allow."""
    return math.prod(max(1, column.distinct + (column.nulls > 0)) for column in profile.columns)


def _coarse(check: str, profile: Profile, combinations: float, share: float, limit: float) -> Finding:
    """Rows repeat because they cannot but do so; that is no fault, but the split should know of it."""
    message = (
        f"{profile.duplicate_rows:,} of {profile.rows:,} rows ({share:.1%}) repeat another row, as they must: the "
        f"columns allow only {combinations:,.0f} different rows"
    )
    advice = (
        "equal rows stay in one part of the split, so that a model is asked about combinations that it has not seen; "
        "if rows are different things all the same, add a column that names them and set split.key"
    )
    count = profile.duplicate_rows
    return Finding(check, Severity.WARNING, message, advice, count=count, share=share, threshold=limit)


def _torn(profile: Profile, context: Context, target: TargetReading) -> npt.NDArray[np.bool_]:
    """Which rows of the sample have the features of another one with another label, the features in turn."""
    names = [column.name for column in context.candidates]
    values = profile.sample.column(target.column.name)
    known = np.asarray(values.is_valid().to_numpy(), np.bool_)
    _, groups = np.unique(hash_rows(profile.sample, names), return_inverse=True)
    labels = hash_values(values)
    lowest, highest = np.full(groups.max() + 1, labels.max()), np.full(groups.max() + 1, labels.min())
    np.minimum.at(lowest, groups[known], labels[known])
    np.maximum.at(highest, groups[known], labels[known])
    return np.asarray(known & (lowest < highest)[groups], dtype=np.bool_)


def _repeats(profile: Profile) -> npt.NDArray[np.bool_]:
    """Which rows of the sample repeat the one before: equal rows stand together there."""
    hashes = hash_rows(profile.sample, profile.sample.column_names)
    return np.append(False, hashes[1:] == hashes[:-1]) if len(hashes) else np.zeros(0, np.bool_)
