"""The data checks in the order in which they run: rows and columns, then the target, leakage, and small models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from raysweep.records.table import Finding, LearningTask, Profile, Severity
from raysweep.stages.validate import (
    checks_columns,
    checks_leakage,
    checks_models,
    checks_numbers,
    checks_pairs,
    checks_rows,
    checks_target,
    checks_texts,
)
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.learning_task import TargetReading
from raysweep.stages.validate.measure import Measured

Check = Callable[[Profile, Context], list[Finding]]
TargetCheck = Callable[[Profile, Context, TargetReading], list[Finding]]
ModelCheck = Callable[[Context, LearningTask, Measured], list[Finding]]

TABLE_CHECKS: Final[dict[str, Check]] = {
    "rows.too_few": checks_rows.too_few,
    "rows.duplicates": checks_rows.duplicates,
    "col.all_missing": checks_columns.all_missing,
    "col.constant": checks_columns.constant,
    "col.nested": checks_columns.nested,
    "col.text": checks_texts.free_text,
    "col.datetime": checks_texts.dates,
    "col.missing": checks_columns.missing,
    "col.id_like": checks_columns.id_like,
}
# Of columns that are left out by then, nothing more is said.
FEATURE_CHECKS: Final[dict[str, Check]] = {
    "col.infinite": checks_numbers.infinite,
    "col.overflow": checks_numbers.overflow,
    "col.sentinel": checks_numbers.sentinel,
    "col.outliers": checks_numbers.outliers,
    "col.float32_collapse": checks_numbers.float32_collapse,
    "col.high_cardinality": checks_texts.high_cardinality,
    "col.mixed_types": checks_texts.mixed_types,
    "col.numeric_as_text": checks_texts.numeric_as_text,
    "col.variants": checks_texts.variants,
    "col.duplicate": checks_pairs.duplicate,
    "col.near_duplicate": checks_pairs.near_duplicate,
}
TARGET_CHECKS: Final[dict[str, TargetCheck]] = {
    "target.missing": checks_target.missing,
    "target.constant": checks_target.constant,
    "target.kind": checks_target.kind,
    "target.rare_class": checks_target.rare_class,
    "target.imbalance": checks_target.imbalance,
    "target.outliers": checks_target.outliers,
    "rows.conflicting_labels": checks_rows.conflicting_labels,
    "leak.copy": checks_leakage.copies,
    "leak.missingness": checks_leakage.missingness,
    "leak.single_feature": checks_leakage.single_feature,
    "leak.missing_together": checks_leakage.missing_together,
    "leak.name": checks_leakage.name,
    "leak.order": checks_leakage.order,
}
MODEL_CHECKS: Final[dict[str, ModelCheck]] = {
    "signal.none": checks_models.no_signal,
    "signal.too_good": checks_models.too_good,
    "signal.learning_curve": checks_models.learning_curve,
    "label.noise": checks_models.label_noise,
    "leak.group": checks_models.group,
    "leak.time": checks_models.time,
}


_TOO_FEW: Final = "too few rows with a target, validation rows apart, for the small models that would find out"


def run_checks(checks: dict[str, Check], profile: Profile, context: Context) -> list[Finding]:
    """What can be said of rows and columns, with or without a target."""
    return [finding for check in checks.values() for finding in check(profile, context)]


def run_target_checks(profile: Profile, context: Context) -> list[Finding]:
    """What can be said of the target and of the candidates against it; skipped without a target."""
    target = context.target
    if target is None:
        why = "there is no target to look at"
        return [Finding(name, Severity.SKIPPED, why, "set data.target") for name in (*TARGET_CHECKS, *MODEL_CHECKS)]
    return [finding for check in TARGET_CHECKS.values() for finding in check(profile, context, target)]


def run_model_checks(context: Context, task: LearningTask, measured: Measured) -> list[Finding]:
    """What small models say; skipped, with the reason, where they could not be fitted."""
    if not measured.rows:
        why = "no feature is left to fit a small model on" if not task.features else _TOO_FEW
        return [Finding(name, Severity.SKIPPED, why) for name in MODEL_CHECKS]
    failed = [Finding("signal.none", Severity.SKIPPED, f"a measurement failed: {reason}") for reason in measured.failed]
    return failed + [finding for check in MODEL_CHECKS.values() for finding in check(context, task, measured)]
