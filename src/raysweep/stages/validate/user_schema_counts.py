"""How many rows break each rule of a user's schema: counted in one block, merged over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.documents import shorten
from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, ColumnKind, Table
from raysweep.stages.validate.user_schema import SchemaColumn, UserSchema, require_pandera
from raysweep.stages.validate.user_schema_rules import Breaks, Mask, ValueRule, breaks_of, kinds_of

NOT_NULLABLE: Final = "not nullable"
_SHOWN: Final = 5

Places = tuple[tuple[int, int, str | None], ...]


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What is counted in one column of the table.

    Attributes:
        kind: of the column's values.
        wrong_kind: why no value can be right; empty where the kind fits.
        wants_whole: the type of whole numbers that the schema asks for; empty where it asks for none.
    """

    name: str
    kind: ColumnKind
    nullable: bool
    wrong_kind: str
    wants_whole: str
    rules: tuple[ValueRule, ...]


@dataclass(frozen=True, slots=True)
class Breach:
    """Rows that break one rule: how many, and file, number and value (None: missing) of the first ones."""

    count: int
    first: Places


@dataclass(frozen=True, slots=True)
class SchemaCounts:
    """The breaches of each (column, key of the rule), and of how many rows."""

    rows: int
    breaches: Mapping[tuple[str, str], Breach]


def plan_columns(schema: UserSchema, table: Table) -> tuple[ColumnPlan, ...]:
    """What is to be counted in the columns that the table has."""
    return tuple(_plan(column, table) for column in schema.columns if column.name in table.names)


@dataclass(frozen=True, slots=True)
class BlockCounter:
    """Counts in blocks with canonical types and the places of their rows."""

    columns: tuple[tuple[ColumnPlan, tuple[Breaks, ...]], ...]

    def count(self, block: pa.Table) -> SchemaCounts:
        """The breaches in the rows of one block."""
        places = np.stack([block.column(name).to_numpy().astype(np.int64) for name in (FILE_OF_ROW, NUMBER_OF_ROW)])
        found: dict[tuple[str, str], Breach] = {}
        for plan, checks in self.columns:
            values = block.column(plan.name)
            missing = np.asarray(values.is_null().to_numpy(), np.bool_)
            if not plan.nullable and missing.any():
                found[plan.name, NOT_NULLABLE] = _breach(np.flatnonzero(missing), places, None)
            present, rows = values.drop_null(), np.flatnonzero(~missing)
            for key, broken in _broken(plan, checks, present) if len(rows) else ():
                if broken.any():
                    found[plan.name, key] = _breach(rows[broken], places, present.filter(pa.array(broken)))
        return SchemaCounts(block.num_rows, found)


def block_counter(plans: Sequence[ColumnPlan]) -> BlockCounter:
    """What counts in blocks; made where the blocks are, since it holds pandera's checks."""
    require_pandera()
    return BlockCounter(tuple((plan, tuple(breaks_of(plan.rules, plan.kind))) for plan in plans))


def merge_counts(parts: Sequence[SchemaCounts]) -> SchemaCounts:
    """The breaches in all the rows behind `parts`, whatever their order."""
    merged: dict[tuple[str, str], Breach] = {}
    for part in parts:
        for key, breach in part.breaches.items():
            known = merged.get(key, Breach(0, ()))
            first = tuple(sorted((*known.first, *breach.first), key=_place)[:_SHOWN])
            merged[key] = Breach(known.count + breach.count, first)
    return SchemaCounts(sum(part.rows for part in parts), merged)


def _plan(column: SchemaColumn, table: Table) -> ColumnPlan:
    kind = table.column(column.name).kind
    unfit = next((rule for rule in column.rules if kind not in kinds_of(rule)), None)
    wrong = ""
    if column.kind not in {None, kind}:
        wrong = f"the schema says {column.dtype}"
    elif unfit is not None:
        wrong = f"{unfit.label} is no rule for that"
    return ColumnPlan(
        name=column.name,
        kind=kind,
        nullable=column.nullable,
        wrong_kind=wrong,
        wants_whole=column.dtype if column.is_whole and not wrong else "",
        rules=() if wrong else column.rules,
    )


def _broken(plan: ColumnPlan, checks: Sequence[Breaks], present: pa.ChunkedArray) -> list[tuple[str, Mask]]:
    """Which of the values break which rule."""
    if plan.wrong_kind:
        return [(plan.wrong_kind, np.ones(len(present), np.bool_))]
    broken: list[tuple[str, Mask]] = []
    if plan.wants_whole and pa.types.is_floating(present.type):
        numbers = present.to_numpy()
        broken.append((plan.wants_whole, ~np.isfinite(numbers) | (numbers != np.floor(numbers))))
    if checks:
        series = present.to_pandas()
        broken += [(rule.key, check(series)) for rule, check in zip(plan.rules, checks, strict=True)]
    return broken


def _breach(rows: npt.NDArray[np.int64], places: npt.NDArray[np.int64], values: Any) -> Breach:
    """The breach of `rows` of a block; `values` are theirs, None where they are missing."""
    files, numbers = places[:, rows]
    order = np.lexsort((numbers, files))[:_SHOWN]
    shown = [None] * len(order) if values is None else map(_text, values.take(pa.array(order)).to_pylist())
    return Breach(len(rows), tuple(zip(files[order].tolist(), numbers[order].tolist(), shown, strict=True)))


def _place(found: tuple[int, int, str | None]) -> tuple[int, int]:
    return found[:2]


def _text(value: object) -> str:
    return shorten(str(value))
