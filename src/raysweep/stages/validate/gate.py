"""The data gate: every check, and whether the table is fit to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np

from raysweep.config import SweepConfig
from raysweep.documents import suggest
from raysweep.records.aims import aims_for
from raysweep.records.table import (
    ColumnProfile,
    DataCheck,
    Finding,
    Meaning,
    Profile,
    Severity,
    Structure,
    Suitability,
    Table,
)
from raysweep.split_rules import BY_TIME
from raysweep.stages.validate.checks import (
    FEATURE_CHECKS,
    MODEL_CHECKS,
    TABLE_CHECKS,
    TARGET_CHECKS,
    run_checks,
    run_model_checks,
    run_target_checks,
)
from raysweep.stages.validate.checks_leakage import copied_in_sample
from raysweep.stages.validate.checks_pairs import equal_in_sample
from raysweep.stages.validate.context import Context, Mask, without
from raysweep.stages.validate.exact import Answer, Questions
from raysweep.stages.validate.features import requested_features
from raysweep.stages.validate.learning_task import TargetReading, learning_task, read_target
from raysweep.stages.validate.meaning import meanings_of
from raysweep.stages.validate.measure import CarryOut, Measured, measure
from raysweep.stages.validate.proposals import propose
from raysweep.stages.validate.structure import structure_of
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.stages.validate.waivers import apply_waivers, unused_waivers

_ORDER: Final = tuple(Severity)
# Nothing is gained by keeping these, even where they are asked for by name.
_NEVER_KEPT: Final = frozenset({"col.nested", "col.all_missing"})
_PARTS: Final = 3
_WITHOUT_TIME: Final = {
    "group+time": "such a row goes with its group, which trains where it has no time at all",
    "column": "they are where split.column says",
}
_OF_SPLIT: Final = "split."
_LEAKS: Final = frozenset({"leak.copy", "leak.single_feature", "leak.missingness"})


@dataclass(frozen=True, slots=True)
class Means:
    """What the checks may use beside the profile.

    Attributes:
        answer: counts over every row of the table.
        carry_out: fits small models.
        today: by which waivers end.
        usable: rows of `profile.sample` that checks against the target may look at, as a mask; None: all.
        schema_findings: what the rows broke of the sweep's own schema.
    """

    answer: Answer
    carry_out: CarryOut
    today: date
    usable: Mask | None = None
    schema_findings: tuple[Finding, ...] = ()


def validate_table(table: Table, profile: Profile, config: SweepConfig, means: Means) -> DataCheck:
    """Run every check on the profile of a table; bad data are findings, never an exception.

    Args:
        table: whose columns the sweep names.
        profile: of that table.
        config: the sweep; without a target the target's checks are skipped.
        means: what the checks may use beside the profile.

    Raises:
        RequestInvalid: the sweep names a column, check, metric or class that is not there.
    """
    context = _context(table, profile, config, means)
    included = config.data.features.include or ()
    findings = [*_missing_target(table, config), *_weight(profile, config), *means.schema_findings]
    findings += _split_columns(context)
    findings += [_kept_on_request(finding, included) for finding in run_checks(TABLE_CHECKS, profile, context)]
    left_out = {
        finding.column: f"{finding.check}: {finding.message}"
        for finding in reversed(findings)
        if finding.leaves_out and finding.column is not None
    }
    context = _counted(replace(context, candidates=without(context, left_out)), left_out, means.answer)
    findings += run_checks(FEATURE_CHECKS, profile, context)
    findings += run_target_checks(profile, context)
    if context.target is not None and not context.candidates:
        findings.append(_no_features(len(left_out)))
    meanings = meanings_of(context)
    structure = structure_of(context, meanings)
    findings = _by_models(context, findings, structure, means)
    return _decide(context, findings, left_out, meanings, structure, means.today)


def _decide(
    context: Context,
    findings: Sequence[Finding],
    left_out: Mapping[str, str],
    meanings: Mapping[str, Meaning],
    structure: Structure,
    today: date,
) -> DataCheck:
    judged = apply_waivers(findings, context.config.checks.accept, today)
    # Those of the split are judged once there is one.
    asked = [waiver for waiver in context.config.checks.accept if not waiver.check.startswith(_OF_SPLIT)]
    unused = unused_waivers(judged, asked)
    ordered = tuple(sorted(judged, key=lambda finding: _ORDER.index(finding.severity)))
    suitability = suitability_of(ordered)
    # Thresholds may be set so high that a target without values passes every check.
    if context.target is not None and context.target.kind is None:
        suitability = Suitability.UNSUITABLE
    task = None
    if context.target is not None and suitability is not Suitability.UNSUITABLE:
        task = learning_task(context.target, context.candidates, context.config)
    proposals = propose(context, ordered, structure, left_out)
    passed = _passed(context, ordered)
    return DataCheck(suitability, ordered, task, left_out, meanings, structure, proposals, unused, passed)


def _passed(context: Context, findings: Sequence[Finding]) -> tuple[str, ...]:
    """The checks that have run and found nothing."""
    can_be_learned = context.target is not None and context.target.kind is not None
    ran = (*TABLE_CHECKS, *FEATURE_CHECKS, *TARGET_CHECKS, *(MODEL_CHECKS if can_be_learned else ()))
    named = {finding.check for finding in findings}
    return tuple(name for name in ran if name not in named)


def suitability_of(findings: Sequence[Finding]) -> Suitability:
    """What these findings mean for the table."""
    severities = {finding.severity for finding in findings}
    if Severity.ERROR in severities:
        return Suitability.UNSUITABLE
    return Suitability.WITH_WARNINGS if Severity.WARNING in severities else Suitability.SUITABLE


def with_findings(check: DataCheck, found: Sequence[Finding], config: SweepConfig, today: date) -> DataCheck:
    """The outcome of the gate with what came to light after it; waivers hold for these findings too."""
    judged = apply_waivers(found, config.checks.accept, today)
    ordered = tuple(sorted((*check.findings, *judged), key=lambda finding: _ORDER.index(finding.severity)))
    unused = unused_waivers(ordered, config.checks.accept)
    suitability = suitability_of(ordered)
    task = None if suitability is Suitability.UNSUITABLE else check.task
    return replace(check, findings=ordered, suitability=suitability, task=task, unused_waivers=unused)


def _context(table: Table, profile: Profile, config: SweepConfig, means: Means) -> Context:
    target = _read_target(profile, config)
    if target is not None and target.kind is not None:
        aims_for(config.search, target.kind)
    rows = profile.sample.num_rows
    return Context(
        config=config,
        profile=profile,
        thresholds=resolve_thresholds(config.checks),
        candidates=requested_features(table, config),
        target=target,
        usable=np.ones(rows, np.bool_) if means.usable is None else np.asarray(means.usable, np.bool_),
        files=tuple(file.address for file in table.files),
        conflicts=profile.conflicts,
    )


def _counted(context: Context, left_out: Mapping[str, str], answer: Answer) -> Context:
    """The context with what was counted over every row, because the sample suggests it."""
    profile, target = context.profile, context.target
    equal = equal_in_sample(context)
    copies, one_to_one = ([], []) if target is None else copied_in_sample(profile, context, target)
    counts_again = target is not None and bool(target.classes) and bool(context.candidates) and bool(left_out)
    questions = Questions(
        equal=equal,
        copies=tuple(copies),
        one_to_one=tuple(one_to_one),
        combination=tuple(column.name for column in context.candidates) if counts_again else (),
        target=None if target is None else target.column.name,
    )
    if not questions.columns:
        return context
    answers = answer(questions)
    copied = (*answers.copies, *answers.one_to_one)
    return replace(
        context,
        equal_columns=answers.equal,
        copied=tuple(column.name for column in context.candidates if column.name in copied),
        conflicts=answers.conflicts if counts_again else context.conflicts,
    )


def _by_models(context: Context, findings: Sequence[Finding], structure: Structure, means: Means) -> list[Finding]:
    """The findings with what small models say, fitted without the columns that give the target away."""
    if context.target is None or context.target.kind is None:
        return list(findings)
    leaks = {finding.column for finding in findings if finding.check in _LEAKS and finding.severity is Severity.ERROR}
    features = tuple(column for column in context.candidates if column.name not in leaks)
    task = replace(learning_task(context.target, features, context.config), weight=None)
    strong = frozenset(
        finding.column for finding in findings if _is_strong_warning(finding) and finding.column is not None
    )
    measured = measure(context, task, structure, means.carry_out, strong)
    return [_eased(finding, measured) for finding in findings] + run_model_checks(context, task, measured)


def _is_strong_warning(finding: Finding) -> bool:
    return finding.check == "leak.single_feature" and finding.severity is Severity.WARNING


def _eased(finding: Finding, measured: Measured) -> Finding:
    """A strong feature is no cause for alarm where the others tell as much without it: then the table is easy."""
    found = measured.without_strong
    if not _is_strong_warning(finding) or found is None or finding.threshold is None:
        return finding
    if not found.score.value > finding.threshold:
        return finding
    message = f"{finding.message}; but so do the other features together ({found.score.value:.4f}): the table is easy"
    return replace(finding, severity=Severity.INFORMATION, message=message)


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


def _split_columns(context: Context) -> list[Finding]:
    """What `data.group` and `data.time` lack to split the rows by."""
    profile, config = context.profile, context.config
    names = {column.name for column in profile.columns}
    findings = []
    for check, name, noun in (
        ("schema.group", config.data.group, "groups"),
        ("schema.time", config.data.time, "times"),
    ):
        if name is None or name not in names or not profile.rows:
            continue
        column = profile.column(name)
        if column.distinct < _PARTS and (noun == "groups" or config.split.kind in BY_TIME):
            message = f"{name} has {column.distinct:,} different {noun}, too few for training, testing and validation"
            findings.append(Finding(check, Severity.ERROR, message, "split otherwise: see split.kind", column=name))
        if column.nulls:
            where = f"{column.nulls:,} of {column.count:,} rows ({column.missing_share:.1%})"
            what = (
                "they count as one group"
                if noun == "groups"
                else _WITHOUT_TIME.get(config.split.kind or "", "they train")
            )
            findings.append(
                Finding(
                    check,
                    Severity.WARNING,
                    f"{name} is missing in {where}; {what}",
                    "fill it in the source, or leave such rows out there",
                    column=name,
                    count=column.nulls,
                    share=column.missing_share,
                    places=context.places(context.is_null(name)),
                )
            )
    return findings


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
