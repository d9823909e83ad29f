"""The data gate: every check, and whether the table is fit to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from raysweep.config import SweepConfig
from raysweep.documents import suggest
from raysweep.records.metric import metric_for
from raysweep.records.table import ColumnProfile, DataCheck, Finding, Profile, Severity, Suitability, Table
from raysweep.stages.validate.checks import run_table_checks, run_target_checks
from raysweep.stages.validate.context import Context, Mask
from raysweep.stages.validate.features import requested_features
from raysweep.stages.validate.learning_task import TargetReading, learning_task, read_target
from raysweep.stages.validate.thresholds import resolve_thresholds

_ORDER: Final = tuple(Severity)
# Nothing is gained by keeping these, even where they are asked for by name.
_NEVER_KEPT: Final = frozenset({"col.nested", "col.all_missing"})


def validate_table(table: Table, profile: Profile, config: SweepConfig, usable: Mask | None = None) -> DataCheck:
    """Run every check on the profile of a table; bad data are findings, never an exception.

    Args:
        table: whose columns the sweep names.
        profile: of that table.
        config: the sweep; without a target the target's checks are skipped.
        usable: rows of `profile.sample` that model-based checks may look at, as a mask; default: all.

    Raises:
        RequestInvalid: the sweep names a column, check, metric or class that is not there.
    """
    context = _context(table, profile, config, usable)
    included = config.data.features.include or ()
    findings = [*_missing_target(table, config), *_weight(profile, config)]
    findings += [_kept_on_request(finding, included) for finding in run_table_checks(profile, context)]
    left_out = {
        finding.column: f"{finding.check}: {finding.message}"
        for finding in reversed(findings)
        if finding.leaves_out and finding.column is not None
    }
    features = tuple(column for column in context.candidates if column.name not in left_out)
    findings += run_target_checks(profile, replace(context, candidates=features))
    if context.target is not None and not features:
        findings.append(_no_features(len(left_out)))
    ordered = tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))
    suitability = _suitability(ordered, context.target)
    task = None
    if context.target is not None and suitability is not Suitability.UNSUITABLE:
        task = learning_task(context.target, features, config)
    return DataCheck(suitability, ordered, task, left_out)


def _context(table: Table, profile: Profile, config: SweepConfig, usable: Mask | None) -> Context:
    target = _read_target(profile, config)
    if target is not None and target.kind is not None:
        metric_for(config.search.metric, target.kind)
    return Context(
        config=config,
        thresholds=resolve_thresholds(config.checks),
        candidates=requested_features(table, config),
        target=target,
        usable=np.ones(profile.sample.num_rows, np.bool_) if usable is None else np.asarray(usable, np.bool_),
    )


def _read_target(profile: Profile, config: SweepConfig) -> TargetReading | None:
    name = config.data.target
    columns = {column.name: column for column in profile.columns}
    return read_target(columns[name], config.data) if name is not None and name in columns else None


def _missing_target(table: Table, config: SweepConfig) -> list[Finding]:
    name = config.data.target
    if name is None or name in table.names:
        return []
    message = f"there is no column {name!r} to predict{suggest(name, table.names)}"
    advice = f"set data.target to one of the {len(table.names):,} columns of {table.address}"
    examples = table.names[:5]
    return [Finding("schema.missing_column", Severity.ERROR, message, advice, column=name, examples=examples)]


def _weight(profile: Profile, config: SweepConfig) -> list[Finding]:
    if config.data.weight is None:
        return []
    column = profile.column(config.data.weight)
    problem = _weight_problem(column)
    if not profile.rows or not problem:
        return []
    message = f"the weight {column.name} {problem}"
    advice = "weights are finite, zero or more, in every row; mend the source, or leave data.weight out"
    return [Finding("schema.weight", Severity.ERROR, message, advice, column=column.name)]


def _weight_problem(column: ColumnProfile) -> str:
    smallest, largest = column.minimum, column.maximum
    if column.nulls:
        return f"is missing in {column.nulls:,} of {column.count:,} rows"
    if column.infinite:
        return f"is infinite in {column.infinite:,} of {column.count:,} rows"
    if isinstance(smallest, int | float) and smallest < 0:
        return f"is negative in places (down to {smallest:g})"
    return "is 0 in every row" if largest == 0 else ""


def _kept_on_request(finding: Finding, included: Sequence[str]) -> Finding:
    """A column that is listed in `data.features.include` stays, and the finding says so."""
    if not finding.leaves_out or finding.column not in included or finding.check in _NEVER_KEPT:
        return finding
    message = finding.message.removesuffix("; it is left out")
    kept = f"{message}; it is kept, because data.features.include lists it"
    return replace(finding, message=kept, leaves_out=False)


def _no_features(left_out: int) -> Finding:
    return Finding(
        "schema.no_features",
        Severity.ERROR,
        f"no column is left to learn from ({left_out:,} left out by the checks)",
        "see the findings that left columns out, and data.features",
        count=left_out,
    )


def _suitability(findings: Sequence[Finding], target: TargetReading | None) -> Suitability:
    severities = {finding.severity for finding in findings}
    # Thresholds may be set so high that a target without values passes every check.
    if Severity.ERROR in severities or (target is not None and target.kind is None):
        return Suitability.UNSUITABLE
    return Suitability.WITH_WARNINGS if Severity.WARNING in severities else Suitability.SUITABLE
