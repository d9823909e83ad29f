"""Carrying out the rules of `data.prepare` on a table: fitted on some rows, and applied to any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.errors import DataUnsuitable
from raysweep.prepare_rules import (
    Clip,
    DateParts,
    Drop,
    GroupRare,
    NormalizeText,
    Rule,
    RuleState,
    ToDate,
    ToNull,
    ToNumber,
)
from raysweep.records.table import Finding, Severity
from raysweep.rows.canonical import kind_of
from raysweep.rows.prepare_columns import part_name
from raysweep.rows.prepare_values import (
    clipped,
    date_part,
    dates_from,
    frequent,
    grouped,
    normalized,
    numbers_from,
    quantiles,
    unread,
    values_of_kind,
    without_values,
)


def fit_rules(table: pa.Table, rules: Sequence[Rule]) -> tuple[tuple[RuleState, ...], pa.Table]:
    """Learn what the rules need from these rows, one after the other; returns their states and the rows prepared.

    Args:
        table: in canonical types; columns that no rule names pass through.
        rules: in their order, without problems for these columns (`raysweep.rows.prepare_columns.rule_problems`).

    Raises:
        DataUnsuitable: a text cannot be read as the number or date that it is declared to be.
    """
    states = []
    for rule in rules:
        states.append(_fit(table, rule))
        table = _applied(table, rule, states[-1])
    return tuple(states), table


def apply_rules(table: pa.Table, rules: Sequence[Rule], states: Sequence[RuleState]) -> pa.Table:
    """The rows after the rules, with the states that `fit_rules` learned.

    Raises:
        DataUnsuitable: as `fit_rules`.
    """
    for rule, state in zip(rules, states, strict=True):
        table = _applied(table, rule, state)
    return table


def apply_unfitted(table: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """The rows after those rules that learn nothing; they have the columns that all rules would leave.

    Raises:
        DataUnsuitable: as `fit_rules`.
    """
    for rule in rules:
        # A clip that is fitted still turns whole numbers into floats.
        table = _applied(table, rule, RuleState()) if not isinstance(rule, GroupRare) else table
    return table


@dataclass(frozen=True, slots=True)
class Unread:
    """Texts of a column that are not the numbers or dates that a rule declares: how many, and the first in order."""

    rule: ToDate | ToNumber
    column: str
    count: int
    example: str


def find_unread(table: pa.Table, rules: Sequence[Rule]) -> list[Unread]:
    """Everything because of which these rows would be refused, each column once a rule."""
    found = []
    for rule in rules:
        if isinstance(rule, ToDate | ToNumber) and rule.errors == "raise":
            for name in rule.columns:
                found += _lost(table.column(name), _texts_read(table.column(name), rule), name, rule)
            table = apply_unfitted(table, [rule.model_copy(update={"errors": "coerce"})])
        else:
            table = apply_unfitted(table, [rule])
    return found


def refusal(found: Sequence[Unread], rows: int) -> DataUnsuitable:
    """Why rows cannot be prepared as declared, with a finding for each column."""
    advice = "mend the source, put a to_null rule before it, or set errors: coerce to make such values missing"
    findings = [
        Finding(f"prepare.{one.rule.rule}", Severity.ERROR, _say(one, rows), advice, one.column, one.count)
        for one in found
    ]
    return DataUnsuitable("; ".join([*(finding.message for finding in findings), advice]), findings=findings)


def _say(one: Unread, rows: int) -> str:
    what = "numbers" if isinstance(one.rule, ToNumber) else f"dates of the format {one.rule.format}"
    return (
        f"{one.rule.rule}: {one.count:,} of {rows:,} rows of the column {shorten(one.column)!r} cannot be read as "
        f"{what}, such as {shorten(repr(one.example))}"
    )


def _fit(table: pa.Table, rule: Rule) -> RuleState:
    if isinstance(rule, GroupRare):
        return RuleState(kept={name: frequent(table.column(name), rule.below) for name in rule.columns})
    if isinstance(rule, Clip) and rule.is_fitted:
        shares = (rule.low_quantile, rule.high_quantile)
        found = {name: quantiles(table.column(name), shares) for name in rule.columns}
        return RuleState(bounds={name: (low, high) for name, (low, high) in found.items()})
    return RuleState()


def _applied(table: pa.Table, rule: Rule, state: RuleState) -> pa.Table:
    touched = frozenset(rule.columns)
    names: list[str] = []
    arrays: list[pa.ChunkedArray] = []
    for name, values in zip(table.column_names, table.columns, strict=True):
        if name not in touched:
            names.append(name)
            arrays.append(values)
        elif isinstance(rule, DateParts):
            names += [part_name(name, part) for part in rule.parts]
            arrays += [date_part(values, part) for part in rule.parts]
        elif not isinstance(rule, Drop):
            names.append(name)
            arrays.append(_converted(values, name, rule, state))
    return pa.Table.from_arrays(arrays, names=names)


def _converted(
    values: pa.ChunkedArray,
    name: str,
    rule: ToNull | Clip | GroupRare | ToDate | ToNumber | NormalizeText,
    state: RuleState,
) -> pa.ChunkedArray:
    match rule:
        case ToNull():
            return without_values(values, values_of_kind(rule.values, kind_of(values.type)))
        case Clip():
            low, high = state.bounds.get(name, (None, None))
            return clipped(values, rule.low if low is None else low, rule.high if high is None else high)
        case GroupRare():
            return grouped(values, state.kept[name], rule.into)
        case NormalizeText():
            return normalized(values, rule)
        case ToDate() | ToNumber():
            return _read(values, name, rule)
        case _:
            assert_never(rule)


def _read(values: pa.ChunkedArray, name: str, rule: ToDate | ToNumber) -> pa.ChunkedArray:
    """What was read, unless a text came to nothing and the rule says that this must not be."""
    read = _texts_read(values, rule)
    lost = _lost(values, read, name, rule) if rule.errors == "raise" else []
    if lost:
        raise refusal(lost, len(values))
    return read


def _texts_read(values: pa.ChunkedArray, rule: ToDate | ToNumber) -> pa.ChunkedArray:
    return dates_from(values, rule) if isinstance(rule, ToDate) else numbers_from(values, rule)


def _lost(values: pa.ChunkedArray, read: pa.ChunkedArray, name: str, rule: ToDate | ToNumber) -> list[Unread]:
    lost = unread(values, read)
    return [Unread(rule, name, len(lost), pc.min(lost).as_py())] if len(lost) else []
