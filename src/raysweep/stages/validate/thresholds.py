"""The ids of the data checks and their thresholds, in one table that presets and `checks.set` override."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from raysweep.config import ChecksConfig, ChecksPreset
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid

Thresholds = Mapping[str, Mapping[str, float]]

# Shares are of the rows, 0 to 1. `warn` and `error` limit the finding; other keys say what they limit.
DEFAULTS: Final[Thresholds] = {
    "schema.unreadable": {},
    "schema.mismatch": {},
    "schema.missing_column": {},
    "schema.weight": {},
    "schema.group": {},
    "schema.time": {},
    "schema.no_features": {},
    "schema.rule": {"warn": 0, "error": 0},
    "rows.too_few": {"warn": 100, "error": 20, "warn_class": 10, "error_class": 3, "warn_per_feature": 10},
    "rows.duplicates": {"warn": 0.01, "error": 0.5},
    "rows.conflicting_labels": {"warn": 0.005, "error": 0.2, "rows_per_combination": 5},
    "col.all_missing": {},
    "col.constant": {},
    "col.missing": {"warn": 0.3, "leave_out": 0.95},
    "col.infinite": {"warn": 0, "error": 0.01},
    "col.sentinel": {"spike": 0.01, "spread": 5},
    "col.outliers": {"warn": 0.01, "deviations": 10},
    "col.overflow": {},
    "col.float32_collapse": {"warn": 0.01},
    "col.id_like": {"warn": 0.99},
    "col.high_cardinality": {"warn_values": 1_000, "warn": 0.2},
    "col.mixed_types": {"low": 0.01, "high": 0.99},
    "col.numeric_as_text": {},
    "col.variants": {"warn": 0},
    "col.duplicate": {},
    "col.near_duplicate": {"warn": 0.999},
    "col.text": {},
    "col.datetime": {},
    "col.nested": {},
    "target.missing": {"warn": 0, "error": 0.5},
    "target.constant": {},
    "target.rare_class": {"warn": 50, "error": 3},
    "target.imbalance": {"warn": 0.01},
    "target.kind": {"warn_values": 20, "warn_classes": 100},
    "target.outliers": {"rows": 0.001, "warn": 0.5},
    "leak.copy": {},
    "leak.single_feature": {"warn": 0.95, "error": 0.99, "warn_r2": 0.9, "error_r2": 0.98},
    "leak.missingness": {"warn": 0.9, "error": 0.99, "warn_r2": 0.8, "error_r2": 0.98},
    "leak.missing_together": {"warn": 0.5, "others": 0.01},
    "leak.name": {},
    "leak.order": {"warn": 0.9, "warn_r2": 0.8},
    "leak.group": {"warn": 0.02},
    "leak.time": {"warn": 0.02},
    "label.noise": {"warn": 0.05},
    "split.overlap": {},
    "split.left_out": {"warn": 0.2},
    "split.drift": {"psi": 0.25, "auc": 0.6},
    "split.new_category": {"warn": 0.05},
    "split.new_label": {},
    "signal.none": {"error": 0.02, "error_rows": 2_000},  # fewer rows are no evidence that there is nothing
    "signal.too_good": {"warn": 0.999},
    "signal.learning_curve": {},
}

_STRICT: Final[Thresholds] = {
    "rows.too_few": {"warn": 500, "error": 50, "warn_class": 30, "error_class": 5, "warn_per_feature": 20},
    "rows.duplicates": {"warn": 0.001, "error": 0.1},
    "rows.conflicting_labels": {"warn": 0.001, "error": 0.1},
    "col.missing": {"warn": 0.1, "leave_out": 0.8},
    "col.infinite": {"error": 0.001},
    "col.outliers": {"warn": 0.001},
    "col.float32_collapse": {"warn": 0.001},
    "col.id_like": {"warn": 0.95},
    "col.high_cardinality": {"warn_values": 100, "warn": 0.1},
    "col.near_duplicate": {"warn": 0.99},
    "target.missing": {"error": 0.1},
    "target.rare_class": {"warn": 100, "error": 10},
    "target.imbalance": {"warn": 0.05},
    "leak.single_feature": {"warn": 0.9, "error": 0.97, "warn_r2": 0.8, "error_r2": 0.95},
    "leak.missingness": {"warn": 0.8, "error": 0.95, "warn_r2": 0.6, "error_r2": 0.9},
    "leak.missing_together": {"warn": 0.25, "others": 0.05},
    "leak.order": {"warn": 0.75, "warn_r2": 0.5},
    "leak.group": {"warn": 0.01},
    "leak.time": {"warn": 0.01},
    "label.noise": {"warn": 0.02},
    "split.drift": {"psi": 0.1, "auc": 0.55},
    "split.new_category": {"warn": 0.01},
    "signal.none": {"error": 0.05},
    "signal.too_good": {"warn": 0.99},
}

_LENIENT: Final[Thresholds] = {
    "rows.too_few": {"warn": 50, "error": 10, "warn_class": 5, "error_class": 1, "warn_per_feature": 3},
    "rows.duplicates": {"warn": 0.05, "error": 0.9},
    "rows.conflicting_labels": {"warn": 0.02, "error": 0.4},
    "col.missing": {"warn": 0.5, "leave_out": 0.99},
    "col.infinite": {"warn": 0.001, "error": 0.1},
    "col.outliers": {"warn": 0.05},
    "col.float32_collapse": {"warn": 0.05},
    "col.high_cardinality": {"warn_values": 10_000, "warn": 0.5},
    "target.missing": {"warn": 0.05, "error": 0.9},
    "target.rare_class": {"warn": 10},
    "target.imbalance": {"warn": 0.001},
    "leak.single_feature": {"warn": 0.98, "error": 0.999, "warn_r2": 0.95, "error_r2": 0.999},
    "leak.missingness": {"warn": 0.95, "error": 0.999, "warn_r2": 0.9, "error_r2": 0.999},
    "leak.missing_together": {"warn": 0.8},
    "leak.group": {"warn": 0.05},
    "leak.time": {"warn": 0.05},
    "label.noise": {"warn": 0.1},
    "split.drift": {"psi": 0.5, "auc": 0.7},
    "split.new_category": {"warn": 0.2},
    "signal.none": {"error": 0.01},
    "signal.too_good": {"warn": 0.9999},
}

PRESETS: Final[Mapping[ChecksPreset, Thresholds]] = {"default": {}, "strict": _STRICT, "lenient": _LENIENT}


def resolve_thresholds(checks: ChecksConfig) -> Thresholds:
    """The thresholds of `checks.preset`, with those of `checks.set` in their place.

    Raises:
        RequestInvalid: a check or key that does not exist, each with the closest one.
    """
    problems = [*_unknown_keys(checks), *_unknown_waivers(checks)]
    if problems:
        raise RequestInvalid("\n".join(problems), problems=problems)
    preset = PRESETS[checks.preset]
    return {check: {**known, **preset.get(check, {}), **checks.set.get(check, {})} for check, known in DEFAULTS.items()}


def _unknown_keys(checks: ChecksConfig) -> list[str]:
    problems = []
    for check, values in checks.set.items():
        if check not in DEFAULTS:
            problems.append(f"checks.set: there is no check {check!r}{suggest(check, DEFAULTS)}")
            continue
        known = DEFAULTS[check]
        listed = f"known: {', '.join(known)}" if known else "it has no thresholds"
        problems += [
            f"checks.set.{check}: there is no key {key!r} ({listed}){suggest(key, known)}"
            for key in values
            if key not in known
        ]
    return problems


def _unknown_waivers(checks: ChecksConfig) -> list[str]:
    return [
        f"checks.accept.{position}.check: there is no check {waiver.check!r}{suggest(waiver.check, DEFAULTS)}"
        for position, waiver in enumerate(checks.accept)
        if waiver.check not in DEFAULTS
    ]
