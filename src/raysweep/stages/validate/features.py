"""Which columns the sweep file asks to learn from."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.config import SweepConfig
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid
from raysweep.records.table import Column, ColumnKind, Table


def requested_features(table: Table, config: SweepConfig) -> tuple[Column, ...]:
    """The columns to learn from before any finding leaves one out, in the source's order.

    Raises:
        RequestInvalid: a column that is named in the sweep does not exist, or cannot be what it is named for.
    """
    problems = _unknown_columns(table, config) or _contradictions(table, config)
    if problems:
        raise RequestInvalid("\n".join(problems), problems=problems)
    data = config.data
    apart = {data.target, data.weight, *data.features.exclude}
    included = set(table.names if data.features.include is None else data.features.include)
    return tuple(column for column in table.columns if column.name in included and column.name not in apart)


def _unknown_columns(table: Table, config: SweepConfig) -> list[str]:
    data = config.data
    named: list[tuple[str, Sequence[str]]] = [
        ("data.features.include", data.features.include or ()),
        ("data.features.exclude", data.features.exclude),
        ("data.weight", () if data.weight is None else (data.weight,)),
        ("split.key", config.split.key or ()),
    ]
    return [
        f"{path}: there is no column {name!r}{suggest(name, table.names)}"
        for path, names in named
        for name in names
        if name not in table.names
    ]


def _contradictions(table: Table, config: SweepConfig) -> list[str]:
    data = config.data
    included = data.features.include or ()
    problems = [
        f"data.features: {name!r} is both included and excluded" for name in included if name in data.features.exclude
    ]
    if data.weight is None:
        return problems
    if data.weight in included:
        problems.append(f"data.features.include holds the weight {data.weight!r}: it is no feature")
    column = table.column(data.weight)
    if column.kind is not ColumnKind.NUMBER:
        problems.append(f"data.weight: {column.name!r} holds values of kind {column.kind.value}, not numbers")
    return problems
