"""Checks of single columns that may become features: constant, missing, an id, a list."""

from __future__ import annotations

import re
from typing import Final

from raysweep.documents import shorten
from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Profile, Severity
from raysweep.rows.empty_like import looks_empty
from raysweep.stages.validate.context import Context, Mask, mask_of
from raysweep.stages.validate.ids import distinct_share, is_id_like
from raysweep.stages.validate.learning_task import label_text
from raysweep.stages.validate.sweep_lines import exclusion

_SHOWN: Final = 5
_UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def all_missing(_profile: Profile, context: Context) -> list[Finding]:
    """col.all_missing: not one value."""
    return [
        Finding(
            "col.all_missing",
            Severity.WARNING,
            f"{column.name} has no value in any of {column.count:,} rows; it is left out",
            f"fill it in the source, or drop it: {exclusion(column.name)}",
            column=column.name,
            count=column.nulls,
            share=1.0,
            leaves_out=True,
        )
        for column in context.columns
        if _is_empty(column)
    ]


def constant(_profile: Profile, context: Context) -> list[Finding]:
    """col.constant: one value in every row; one value beside nulls still tells something."""
    return [
        Finding(
            "col.constant",
            Severity.WARNING,
            f"{column.name} is {_only_value(column)} in all {column.count:,} rows; it is left out",
            f"nothing can be learned from it; drop it: {exclusion(column.name)}",
            column=column.name,
            count=column.count,
            share=1.0,
            leaves_out=True,
        )
        for column in context.columns
        if column.distinct == 1 and not column.nulls
    ]


def missing(_profile: Profile, context: Context) -> list[Finding]:
    """col.missing: many nulls, or texts that look like one."""
    findings = []
    for column in context.columns:
        warn, leave_out = (context.limit("col.missing", key) for key in ("warn", "leave_out"))
        absent = column.nulls + column.empty_like
        share = absent / column.count if column.count else 0.0
        if _is_empty(column) or share <= warn:
            continue
        is_left_out = column.missing_share > leave_out
        findings.append(
            Finding(
                "col.missing",
                Severity.WARNING,
                _missing_message(column, is_left_out=is_left_out),
                "find out why it is missing and fill it in the source, or drop it: " + exclusion(column.name),
                column=column.name,
                count=absent,
                share=share,
                threshold=leave_out if is_left_out else warn,
                places=context.places(_is_absent(column, context)),
                leaves_out=is_left_out,
            )
        )
    return findings


def id_like(profile: Profile, context: Context) -> list[Finding]:
    """col.id_like: integers, UUIDs or texts that are different in nearly every row."""
    findings = []
    limit = context.limit("col.id_like", "warn")
    for column in context.columns:
        if not is_id_like(column, context):
            continue
        present, share = column.count - column.nulls, distinct_share(column, context)
        examples = _examples(profile, column.name)
        noun = "UUIDs" if all(_UUID.fullmatch(example) for example in examples) else "values"
        about = "" if column.distinct_exact else "about "
        counting = ", each larger or smaller than the one before" if column.name in profile.increasing else ""
        findings.append(
            Finding(
                "col.id_like",
                Severity.WARNING,
                f"{column.name} has {about}{column.distinct:,} different {noun} in {present:,} rows{counting}: "
                "it looks like an id; it is left out",
                "if it does carry meaning, list it in data.features.include with all the others; "
                f"else drop it: {exclusion(column.name)}",
                column=column.name,
                measured=share,
                threshold=limit,
                examples=examples,
                leaves_out=True,
            )
        )
    return findings


def nested(_profile: Profile, context: Context) -> list[Finding]:
    """col.nested: lists, structs and binary values."""
    return [
        Finding(
            "col.nested",
            Severity.WARNING,
            f"{column.name} holds {column.type} values, which cannot be learned from; it is left out",
            f"spread it over plain columns in the source, or drop it: {exclusion(column.name)}",
            column=column.name,
            leaves_out=True,
        )
        for column in context.columns
        if column.kind is ColumnKind.NESTED
    ]


def _is_empty(column: ColumnProfile) -> bool:
    return column.nulls == column.count


def _is_absent(column: ColumnProfile, context: Context) -> Mask:
    """Which sampled values are null, or look so."""
    null = context.is_null(column.name)
    return null | mask_of(looks_empty(context.sampled(column.name))) if column.empty_like else null


def _only_value(column: ColumnProfile) -> str:
    return label_text(column.values[0][0]) if column.values else "the same"


def _missing_message(column: ColumnProfile, *, is_left_out: bool) -> str:
    message = f"{column.name} is missing in {column.nulls:,} of {column.count:,} rows ({column.missing_share:.1%})"
    if column.empty_like:
        message += f' and looks missing ("", NA, ?, null, none) in {column.empty_like:,} more'
    return f"{message}; it is left out" if is_left_out else message


def _examples(profile: Profile, name: str) -> tuple[str, ...]:
    values = profile.sample.column(name).drop_null().slice(0, _SHOWN)
    return tuple(shorten(str(value)) for value in values.to_pylist())
