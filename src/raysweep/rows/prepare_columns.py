"""Which columns the rules of `data.prepare` take and leave behind, and what is wrong with them for a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.documents import shorten, suggest
from raysweep.prepare_rules import DateParts, Drop, Rule, ToNull
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import INSTANT
from raysweep.rows.prepare_values import values_of_kind

_EVERY: Final = frozenset(ColumnKind)
_TAKES: Final[Mapping[str, frozenset[ColumnKind]]] = {
    "to_null": _EVERY - {ColumnKind.NESTED},
    "clip": frozenset({ColumnKind.NUMBER}),
    "drop": _EVERY,
    "group_rare": frozenset({ColumnKind.STRING}),
    "date_parts": frozenset({ColumnKind.DATETIME}),
    "to_date": frozenset({ColumnKind.STRING}),
    "to_number": frozenset({ColumnKind.STRING}),
    "normalize_text": frozenset({ColumnKind.STRING}),
}
_GIVES: Final[Mapping[str, tuple[ColumnKind, str]]] = {
    "clip": (ColumnKind.NUMBER, "double"),
    "to_date": (ColumnKind.DATETIME, str(INSTANT)),
    "to_number": (ColumnKind.NUMBER, "double"),
}
_WORDS: Final[Mapping[ColumnKind, str]] = {
    ColumnKind.NUMBER: "numbers",
    ColumnKind.BOOLEAN: "true and false",
    ColumnKind.STRING: "text",
    ColumnKind.DATETIME: "dates",
    ColumnKind.NESTED: "lists or structs",
}
_ADVICE: Final[Mapping[tuple[str, ColumnKind], str]] = {
    ("clip", ColumnKind.STRING): "put a to_number rule before it",
    ("date_parts", ColumnKind.STRING): "put a to_date rule before it",
    ("to_number", ColumnKind.NUMBER): "the rule is not needed",
    ("to_date", ColumnKind.DATETIME): "the rule is not needed",
}


def prepared_columns(columns: Sequence[Column], rules: Sequence[Rule]) -> tuple[Column, ...]:
    """The columns after the rules, for rules without problems; parts of a date stand where it stood."""
    for rule in rules:
        columns = [after for column in columns for after in _after(column, rule)]
    return tuple(columns)


def made_of(columns: Sequence[Column], rules: Sequence[Rule]) -> dict[str, str]:
    """The name of every column after the rules -> the name of the table's column that it comes from."""
    origin = {column.name: column.name for column in columns}
    current = tuple(columns)
    for rule in rules:
        for column in current:
            origin.update({after.name: origin[column.name] for after in _after(column, rule)})
        current = prepared_columns(current, [rule])
    return {column.name: origin[column.name] for column in current}


def needed_for(
    features: Sequence[Column], columns: Sequence[Column], rules: Sequence[Rule]
) -> tuple[tuple[Column, ...], tuple[Rule, ...]]:
    """The table's columns that these features come from, and the rules narrowed to them."""
    origin = made_of(columns, rules)
    wanted = {origin[feature.name] for feature in features}
    inputs = tuple(column for column in columns if column.name in wanted)
    narrowed = []
    current = inputs
    for rule in rules:
        present = {column.name for column in current}
        names = tuple(name for name in rule.columns if name in present)
        if names:
            narrowed.append(rule.model_copy(update={"columns": names}))
        current = prepared_columns(current, [rule])
    return inputs, tuple(narrowed)


def rule_problems(columns: Sequence[Column], rules: Sequence[Rule]) -> list[str]:
    """What is wrong with the rules for a table of these columns, each with its path in the sweep file."""
    problems: list[str] = []
    gone: dict[str, str] = {}
    current = tuple(columns)
    for position, rule in enumerate(rules):
        path = f"data.prepare[{position}]"
        present = {column.name: column for column in current}
        fitting = []
        for name in rule.columns:
            problem = _problem(rule, name, present, gone)
            problems += [f"{path}: {problem}"] if problem else []
            fitting += [] if problem else [name]
        applied = rule.model_copy(update={"columns": tuple(fitting)})
        current = prepared_columns(current, [applied])
        left = {column.name for column in current}
        gone |= {name: f"{rule.rule} in {path}" for name in present if name not in left}
    return problems


def _after(column: Column, rule: Rule) -> list[Column]:
    if column.name not in rule.columns:
        return [column]
    if isinstance(rule, Drop):
        return []
    if isinstance(rule, DateParts):
        return [Column(part_name(column.name, part), ColumnKind.NUMBER, "int64") for part in rule.parts]
    kind, stored = _GIVES.get(rule.rule, (column.kind, column.type))
    return [Column(column.name, kind, stored)]


def part_name(name: str, part: str) -> str:
    """What the column with a part of the date `name` is called."""
    return f"{name}.{part}"


def _problem(rule: Rule, name: str, present: Mapping[str, Column], gone: Mapping[str, str]) -> str:
    shown = repr(shorten(name))
    if name not in present:
        if name in gone:
            return f"the column {shown} is gone after {gone[name]}"
        return f"there is no column {shown}{suggest(name, present)}"
    kind = present[name].kind
    if kind not in _TAKES[rule.rule]:
        taken = " or ".join(_WORDS[one] for one in ColumnKind if one in _TAKES[rule.rule])
        advice = _ADVICE.get((rule.rule, kind), "mend it in the source, or leave the column out of the rule")
        return f"{rule.rule} takes {taken}, but {shown} holds {_WORDS[kind]}: {advice}"
    if isinstance(rule, ToNull) and not values_of_kind(rule.values, kind):
        return f"none of the values can stand in {shown}, which holds {_WORDS[kind]}"
    if isinstance(rule, DateParts):
        taken_names = [part_name(name, part) for part in rule.parts if part_name(name, part) in present]
        if taken_names:
            return f"there is a column {shorten(taken_names[0])!r} already: rename it in the source"
    return ""
