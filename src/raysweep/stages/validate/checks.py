"""The data checks in the order in which they run: rows and columns, then the target, then leakage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from raysweep.records.table import Finding, Profile, Severity
from raysweep.stages.validate import checks_columns, checks_leakage, checks_rows, checks_target
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.learning_task import TargetReading

Check = Callable[[Profile, Context], list[Finding]]
TargetCheck = Callable[[Profile, Context, TargetReading], list[Finding]]

TABLE_CHECKS: Final[Mapping[str, Check]] = {
    "rows.too_few": checks_rows.too_few,
    "rows.duplicates": checks_rows.duplicates,
    "col.all_missing": checks_columns.all_missing,
    "col.constant": checks_columns.constant,
    "col.nested": checks_columns.nested,
    "col.missing": checks_columns.missing,
    "col.id_like": checks_columns.id_like,
}
TARGET_CHECKS: Final[Mapping[str, TargetCheck]] = {
    "target.missing": checks_target.missing,
    "target.constant": checks_target.constant,
    "target.kind": checks_target.kind,
    "target.rare_class": checks_target.rare_class,
    "target.imbalance": checks_target.imbalance,
}
LEAK_CHECKS: Final[Mapping[str, TargetCheck]] = {
    "leak.copy": checks_leakage.copies,
    "leak.single_feature": checks_leakage.single_feature,
    "leak.missing_together": checks_leakage.missing_together,
}


def run_table_checks(profile: Profile, context: Context) -> list[Finding]:
    """What can be said of rows and columns, with or without a target."""
    return [finding for check in TABLE_CHECKS.values() for finding in check(profile, context)]


def run_target_checks(profile: Profile, context: Context) -> list[Finding]:
    """What can be said of the target and of the candidates against it; skipped without a target."""
    checks = {**TARGET_CHECKS, **LEAK_CHECKS}
    target = context.target
    if target is None:
        why = "there is no target to look at"
        return [Finding(name, Severity.SKIPPED, why, "set data.target") for name in checks]
    return [finding for check in checks.values() for finding in check(profile, context, target)]
