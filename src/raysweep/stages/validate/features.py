"""Which columns the sweep file asks to learn from, and which of the source's they come from."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.config import DataConfig, SweepConfig
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid
from raysweep.records.table import Column, ColumnKind, Table
from raysweep.rows.prepare_columns import made_of, needed_for, prepared_columns, rule_problems


def requested_features(table: Table, config: SweepConfig) -> tuple[Column, ...]:
    """The columns to learn from before any finding leaves one out, after the rules of `data.prepare`.

    They come in the source's order. `data.features` may name a column of the source, which stands for everything that
    is made of it, or a column that a rule makes, such as `joined.year`.

    Raises:
        RequestInvalid: a column that is named in the sweep does not exist, or cannot be what it is named for.
    """
    problems = rule_problems(table.columns, config.data.prepare)
    problems = problems or _unknown_columns(table, config) or _contradictions(table, config)
    if problems:
        raise RequestInvalid("\n".join(problems), problems=problems)
    data = config.data
    origin = made_of(table.columns, data.prepare)
    apart = {data.target, data.weight, *data.features.exclude}
    if data.group is not None and data.group not in (data.features.include or ()):
        apart.add(data.group)  # a new group's name says nothing
    apart.add(config.split.column)
    included = set(table.names if data.features.include is None else data.features.include)
    return tuple(
        column
        for column in prepared_columns(table.columns, data.prepare)
        if {column.name, origin[column.name]} & included and not {column.name, origin[column.name]} & apart
    )


def requested_inputs(table: Table, config: SweepConfig) -> tuple[Column, ...]:
    """The source's columns that the requested features come from.

    Raises:
        RequestInvalid: as `requested_features`.
    """
    return needed_for(requested_features(table, config), table.columns, config.data.prepare)[0]


def _unknown_columns(table: Table, config: SweepConfig) -> list[str]:
    data = config.data
    made = tuple(column.name for column in prepared_columns(table.columns, data.prepare))
    either = tuple(dict.fromkeys([*table.names, *made]))
    named: list[tuple[str, Sequence[str], Sequence[str]]] = [
        ("data.features.include", data.features.include or (), either),
        ("data.features.exclude", data.features.exclude, either),
        ("data.weight", () if data.weight is None else (data.weight,), table.names),
        ("data.group", () if data.group is None else (data.group,), table.names),
        ("data.time", () if data.time is None else (data.time,), table.names),
        ("split.key", config.split.key or (), table.names),
        ("split.column", () if config.split.column is None else (config.split.column,), table.names),
        ("confirm.slices", tuple(config.confirm.slices), table.names),
    ]
    return [
        f"{path}: there is no column {name!r}{suggest(name, known)}"
        for path, names, known in named
        for name in names
        if name not in known
    ]


def _contradictions(table: Table, config: SweepConfig) -> list[str]:
    data = config.data
    included = data.features.include or ()
    problems = [
        f"data.features: {name!r} is both included and excluded" for name in included if name in data.features.exclude
    ]
    kept = {name for pair in made_of(table.columns, data.prepare).items() for name in pair}
    problems += [
        f"data.features.include holds {name!r}, which data.prepare drops" for name in included if name not in kept
    ]
    problems += _time_problems(table, data)
    return problems if data.weight is None else [*problems, *_weight_problems(table.column(data.weight), data)]


def _time_problems(table: Table, data: DataConfig) -> list[str]:
    if data.time is None or table.column(data.time).kind in {ColumnKind.DATETIME, ColumnKind.NUMBER}:
        return []
    kind = table.column(data.time).kind.value
    return [f"data.time: {data.time!r} holds values of kind {kind}, not dates or numbers; make it a date in the source"]


def _weight_problems(column: Column, data: DataConfig) -> list[str]:
    problems = []
    if column.name in (data.features.include or ()):
        problems.append(f"data.features.include holds the weight {column.name!r}: it is no feature")
    if column.kind is not ColumnKind.NUMBER:
        problems.append(f"data.weight: {column.name!r} holds values of kind {column.kind.value}, not numbers")
    return problems
