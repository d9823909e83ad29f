"""The ids of the data checks and their thresholds, in one table that `checks.set` overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from raysweep.config import ChecksConfig
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid

Thresholds = Mapping[str, Mapping[str, float]]

# Shares are of the rows, 0 to 1. `warn` and `error` limit the finding; other keys say what they limit.
DEFAULTS: Final[Thresholds] = {
    "schema.unreadable": {},
    "schema.mismatch": {},
    "schema.missing_column": {},
    "schema.weight": {},
    "schema.no_features": {},
    "rows.too_few": {"warn": 100, "error": 20, "warn_class": 10, "error_class": 3, "warn_per_feature": 10},
    "rows.duplicates": {"warn": 0.01, "error": 0.5},
    "col.all_missing": {},
    "col.constant": {},
    "col.missing": {"warn": 0.3, "leave_out": 0.95},
    "col.id_like": {"warn": 0.99},
    "col.nested": {},
    "target.missing": {"warn": 0, "error": 0.5},
    "target.constant": {},
    "target.rare_class": {"warn": 50, "error": 3},
    "target.imbalance": {"warn": 0.01},
    "target.kind": {"warn_values": 20, "warn_classes": 100},
    "leak.copy": {},
    "leak.single_feature": {"warn": 0.95, "error": 0.99, "warn_r2": 0.9, "error_r2": 0.98},
    "leak.missing_together": {"warn": 0.5, "others": 0.01},
}


def resolve_thresholds(checks: ChecksConfig) -> Thresholds:
    """The default thresholds with those of `checks.set` in their place.

    Raises:
        RequestInvalid: a check or key that does not exist, each with the closest one.
    """
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
    if problems:
        raise RequestInvalid("\n".join(problems), problems=problems)
    return {check: {**known, **checks.set.get(check, {})} for check, known in DEFAULTS.items()}
