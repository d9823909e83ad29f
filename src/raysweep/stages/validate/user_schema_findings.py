"""What the data gate says of a table that does not keep to the user's own schema."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.config import ChecksConfig
from raysweep.documents import shorten, suggest
from raysweep.records.table import Finding, Place, Severity, Table
from raysweep.stages.validate.context import place_text
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.stages.validate.user_schema import UserSchema
from raysweep.stages.validate.user_schema_counts import NOT_NULLABLE, Breach, ColumnPlan, SchemaCounts, plan_columns

_SHOWN_COLUMNS = 5


def schema_findings(schema: UserSchema, table: Table, counts: SchemaCounts, checks: ChecksConfig) -> list[Finding]:
    """Findings of the columns that are absent or unknown, and of every rule that rows break, in the schema's order.

    Args:
        schema: the user's own.
        table: whose columns are held against it.
        counts: of all its rows.
        checks: whose thresholds of `schema.rule` say how bad a share is.
    """
    findings = [*_absent(schema, table), *_unknown(schema, table)]
    for plan in plan_columns(schema, table):
        for key, label in _labels(plan).items():
            breach = counts.breaches.get((plan.name, key))
            if breach is not None:
                findings += _Broken(schema, table, plan, breach, counts.rows).findings(label, checks)
    return findings


def _labels(plan: ColumnPlan) -> dict[str, str]:
    """What may be broken, in the order of the findings -> its name in a message."""
    of_column = (plan.wrong_kind, NOT_NULLABLE, plan.wants_whole)
    return {**{key: key for key in of_column if key}, **{rule.key: rule.label for rule in plan.rules}}


def _absent(schema: UserSchema, table: Table) -> list[Finding]:
    return [
        Finding(
            "schema.missing_column",
            Severity.ERROR,
            f"there is no column {column.name!r}, which the schema requires{suggest(column.name, table.names)}",
            f"mend the source, or say `required: false` of the column in {schema.path}",
            column=column.name,
        )
        for column in schema.columns
        if column.required and column.name not in table.names
    ]


def _unknown(schema: UserSchema, table: Table) -> list[Finding]:
    known = {column.name for column in schema.columns}
    unknown = [name for name in table.names if name not in known]
    if not schema.strict or not unknown:
        return []
    columns = "a column" if len(unknown) == 1 else f"{len(unknown):,} columns"
    return [
        Finding(
            "schema.mismatch",
            Severity.ERROR,
            f"the table has {columns} that the strict schema does not name: {shorten(', '.join(unknown), 200)}",
            f"name them in {schema.path}, or say `strict: false` there",
            count=len(unknown),
            examples=tuple(shorten(name) for name in unknown[:_SHOWN_COLUMNS]),
        )
    ]


@dataclass(frozen=True, slots=True)
class _Broken:
    """A rule that rows of a column break."""

    schema: UserSchema
    table: Table
    plan: ColumnPlan
    breach: Breach
    rows: int

    def findings(self, label: str, checks: ChecksConfig) -> list[Finding]:
        name, numbers = self.plan.name, f"in {self.breach.count:,} of {self.rows:,} rows"
        mend = f"mend the source, or the rule in {self.schema.path}"
        if label == self.plan.wrong_kind:
            message = f"{name} holds values of kind {self.plan.kind.value} ({numbers}), but {label}"
            return [self._finding("schema.mismatch", Severity.ERROR, message, mend)]
        crossed = _crossed(self.breach.count / self.rows, checks)
        if crossed is None:
            return []
        severity, limit = crossed
        if label == NOT_NULLABLE:
            message = f"{name} is not nullable, but missing {numbers}"
            advice = f"mend the source, or say `nullable: true` of the column in {self.schema.path}"
        elif label == self.plan.wants_whole:
            message, advice = f"{name} is no whole number, as {label} asks for, {numbers}", mend
        else:
            message, advice = f"{name} breaks {label} {numbers}", mend
        return [self._finding("schema.rule", severity, message, advice, limit)]

    def _finding(
        self, check: str, severity: Severity, message: str, advice: str, limit: float | None = None
    ) -> Finding:
        files = tuple(file.address for file in self.table.files)
        return Finding(
            check,
            severity,
            message,
            advice,
            column=self.plan.name,
            count=self.breach.count,
            share=self.breach.count / self.rows,
            threshold=limit,
            examples=tuple(dict.fromkeys(value for _, _, value in self.breach.first if value is not None)),
            places=tuple(place_text(files, Place(file, row)) for file, row, _ in self.breach.first),
        )


def _crossed(share: float, checks: ChecksConfig) -> tuple[Severity, float] | None:
    """The severity of a share, and the limit that it is over."""
    limits = resolve_thresholds(checks)["schema.rule"]
    for severity, key in ((Severity.ERROR, "error"), (Severity.WARNING, "warn")):
        if share > limits[key]:
            return severity, limits[key]
    return None
