"""Checks of text columns: too many categories, numbers and dates kept as text, spellings of one value, free text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Profile, Severity
from raysweep.stages.validate.context import Context, Mask, ValueCounts
from raysweep.stages.validate.ids import is_id_like
from raysweep.stages.validate.sweep_lines import exclusion, prepare
from raysweep.stages.validate.text_forms import (
    date_format,
    folded,
    is_code,
    is_free_text,
    is_number,
    marks_of_numbers,
)

_MIN_CATEGORIES: Final = 20  # below that, a fifth of the rows of a small table is no burden
_NEARLY_ALL: Final = 0.99
_MOSTLY_DIFFERENT: Final = 0.5
_HALF: Final = 0.5


def high_cardinality(_profile: Profile, context: Context) -> list[Finding]:
    """col.high_cardinality: so many categories that most of them say little."""
    check = "col.high_cardinality"
    findings = []
    for column, _ in _categories(context):
        present = column.count - column.nulls
        share, many = column.distinct / present, context.limit(check, "warn_values")
        is_dense = share > context.limit(check, "warn") and column.distinct > _MIN_CATEGORIES
        is_few = column.distinct <= many and not is_dense
        if is_few or context.config.data.is_fitted("group_rare", column.name):
            continue
        about = "" if column.distinct_exact else "about "
        findings.append(
            Finding(
                check,
                Severity.WARNING,
                f"{column.name} has {about}{column.distinct:,} categories in {present:,} rows",
                _advice(column, share),
                column=column.name,
                measured=share,
                threshold=many if column.distinct > many else context.limit(check, "warn"),
            )
        )
    return findings


def mixed_types(_profile: Profile, context: Context) -> list[Finding]:
    """col.mixed_types: some of the texts are numbers, others are not."""
    low, high = context.limit("col.mixed_types", "low"), context.limit("col.mixed_types", "high")
    findings = []
    for column, texts in _repeated(context):
        numeric = is_number(texts.values)
        share = texts.share(numeric)
        if not low <= share <= high:
            continue
        findings.append(
            Finding(
                "col.mixed_types",
                Severity.WARNING,
                f"{column.name} mixes numbers ({share:.1%} of its values) with texts; all are taken as categories",
                "if it should be a number, make numbers of them, and the other texts null: "
                + prepare("to_number", column.name, errors="coerce"),
                column=column.name,
                share=share,
                threshold=low,
                examples=(*texts.shown(numeric, 2), *texts.shown(~numeric, 3)),
                places=_places(column, texts, numeric if share <= _HALF else ~numeric, context),
            )
        )
    return findings


def numeric_as_text(_profile: Profile, context: Context) -> list[Finding]:
    """col.numeric_as_text: numbers kept as text, so that 10 and 9 are only different, not more and less."""
    findings = []
    for column, texts in _text_columns(context):
        numeric = is_number(texts.values)
        if texts.share(numeric) <= context.limit("col.mixed_types", "high") or is_code(texts.values).any():
            continue
        findings.append(
            Finding(
                "col.numeric_as_text",
                Severity.WARNING,
                f"{column.name} holds numbers as text; they are taken as categories",
                "make them numbers: " + prepare("to_number", column.name, **marks_of_numbers(texts.values)),
                column=column.name,
                share=texts.share(numeric),
                examples=texts.shown(numeric),
            )
        )
    return findings


def variants(_profile: Profile, context: Context) -> list[Finding]:
    """col.variants: "Yes" beside "yes ": one value in several spellings."""
    findings = []
    for column, texts in _repeated(context):
        is_minor = _minor_spellings(texts)
        share = texts.share(is_minor)
        if share <= context.limit("col.variants", "warn"):
            continue
        pairs = _spelling_pairs(texts, is_minor)
        findings.append(
            Finding(
                "col.variants",
                Severity.WARNING,
                f"{column.name} spells one value in several ways: {', '.join(pairs)}",
                "make them one: " + prepare("normalize_text", column.name),
                column=column.name,
                count=int(texts.counts[is_minor].sum()) if column.values is not None else None,
                share=share,
                threshold=context.limit("col.variants", "warn"),
                examples=pairs,
                places=_places(column, texts, is_minor, context),
            )
        )
    return findings


def free_text(profile: Profile, context: Context) -> list[Finding]:
    """col.text: sentences, of which no category can be made."""
    return [
        Finding(
            "col.text",
            Severity.WARNING,
            f"{column.name} holds free text (such as {_first(texts)}); it is left out",
            f"make numbers or categories of it in the source, or drop it: {exclusion(column.name)}",
            column=column.name,
            count=profile.rows - column.nulls,
            leaves_out=True,
        )
        for column, texts in _text_columns(context)
        if is_free_text(texts.values, texts.counts)
    ]


def dates(_profile: Profile, context: Context) -> list[Finding]:
    """col.datetime: dates as text are left out; real ones are expanded into their parts."""
    findings = [
        Finding(
            "col.datetime",
            Severity.INFORMATION,
            f"{column.name} holds dates: learned from as days since 1970, year, month, day, weekday and hour",
            column=column.name,
        )
        for column in context.columns
        if column.kind is ColumnKind.DATETIME
    ]
    for column, texts in _text_columns(context):
        found = date_format(texts.values, texts.counts)
        if found is None:
            continue
        findings.append(
            Finding(
                "col.datetime",
                Severity.WARNING,
                f"{column.name} holds dates as text (such as {_first(texts)}); it is left out",
                "make them dates: " + prepare("to_date", column.name, format=found),
                column=column.name,
                leaves_out=True,
            )
        )
    return findings


def _advice(column: ColumnProfile, share: float) -> str:
    if share > _MOSTLY_DIFFERENT:
        return f"most rows have one of their own: leave it out: {exclusion(column.name)}"
    return "group those that are rare: " + prepare("group_rare", column.name, below=20)


def _first(texts: ValueCounts) -> str:
    return shorten(texts.shown(np.ones(len(texts.values), np.bool_), 1)[0])


def _places(column: ColumnProfile, texts: ValueCounts, chosen: Mask, context: Context) -> tuple[str, ...]:
    """Rows that hold one of the chosen texts."""
    return context.places_of(column.name, texts.values.filter(pa.array(chosen)))


def _text_columns(context: Context) -> Iterator[tuple[ColumnProfile, ValueCounts]]:
    for column in context.columns:
        if column.kind is ColumnKind.STRING and column.nulls < column.count:
            yield column, context.texts(column.name)


def _categories(context: Context) -> Iterator[tuple[ColumnProfile, ValueCounts]]:
    """Text columns that are neither ids, free text, dates nor numbers."""
    for column, texts in _text_columns(context):
        if is_id_like(column, context) or is_free_text(texts.values, texts.counts):
            continue
        if date_format(texts.values, texts.counts) is None and texts.share(is_number(texts.values)) <= _NEARLY_ALL:
            yield column, texts


def _repeated(context: Context) -> Iterator[tuple[ColumnProfile, ValueCounts]]:
    """Those of them whose values come back: names and titles are spelled as they like."""
    for column, texts in _categories(context):
        if column.distinct <= _MOSTLY_DIFFERENT * (column.count - column.nulls):
            yield column, texts


def _minor_spellings(texts: ValueCounts) -> Mask:
    """Which values are spelled like a more frequent one but for case and blanks."""
    codes = np.asarray(folded(texts.values).dictionary_encode().indices)
    order = np.lexsort((-texts.counts, codes))
    is_minor = np.zeros(len(codes), np.bool_)
    is_minor[order[1:]] = codes[order[1:]] == codes[order[:-1]]
    return is_minor


def _spelling_pairs(texts: ValueCounts, is_minor: Mask) -> tuple[str, ...]:
    plain = folded(texts.values)
    pairs = []
    for minor in texts.shown(is_minor, 3):
        position = int(pc.index(texts.values, minor).as_py())
        same = np.asarray(pc.equal(plain, plain[position]).to_numpy(zero_copy_only=False), np.bool_)
        pairs.append(f"{shorten(repr(texts.shown(same, 1)[0]), 40)} beside {shorten(repr(minor), 40)}")
    return tuple(pairs)
