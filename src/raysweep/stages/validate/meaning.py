"""What a column seems to be for: by its values first, by its name where values leave it open."""

from __future__ import annotations

import re
from typing import Final

from raysweep.records.table import ColumnKind, ColumnProfile, Meaning
from raysweep.stages.validate.checks_leakage import NAMED_LIKE_A_TARGET
from raysweep.stages.validate.context import Context, ValueCounts
from raysweep.stages.validate.ids import is_id_like
from raysweep.stages.validate.text_forms import date_format, is_free_text, is_money, is_number

_FEW: Final = 10
_NEARLY_ALL: Final = 0.99
_NAMED_LIKE_MONEY: Final = re.compile(
    r"(?:^|[_ .-])(?:price|prices|cost|costs|amount|salary|wage|wages|income|revenue|fare|fee|fees|payment|budget|"
    r"usd|eur|gbp|dollars|euros)(?:$|[_ .-])",
    re.IGNORECASE,
)
_BY_KIND: Final = {
    ColumnKind.BOOLEAN: Meaning.BOOLEAN,
    ColumnKind.DATETIME: Meaning.TIME,
    ColumnKind.NESTED: Meaning.NESTED,
}
_YES_AND_NO: Final = frozenset({"0", "1", "yes", "no", "true", "false", "y", "n", "t", "f"})


def meanings_of(context: Context) -> dict[str, Meaning]:
    """The meaning of each column of the profile."""
    return {column.name: meaning_of(column, context) for column in context.profile.columns}


def meaning_of(column: ColumnProfile, context: Context) -> Meaning:
    """What one column seems to be for."""
    target = context.target
    if (target is not None and column.name == target.column.name) or NAMED_LIKE_A_TARGET.search(column.name):
        return Meaning.TARGET
    if column.nulls == column.count:
        return Meaning.EMPTY
    if column.kind in _BY_KIND:
        return _BY_KIND[column.kind]
    if _is_yes_and_no(column):
        return Meaning.BOOLEAN
    if is_id_like(column, context):
        return Meaning.IDENTIFIER
    return _of_text(context.texts(column.name)) if column.kind is ColumnKind.STRING else _of_number(column)


def _of_text(texts: ValueCounts) -> Meaning:
    if date_format(texts.values, texts.counts) is not None:
        return Meaning.TIME
    if is_free_text(texts.values, texts.counts):
        return Meaning.TEXT
    if texts.share(is_money(texts.values)) > _NEARLY_ALL:
        return Meaning.MONEY
    return Meaning.NUMBER if texts.share(is_number(texts.values)) > _NEARLY_ALL else Meaning.CATEGORY


def _of_number(column: ColumnProfile) -> Meaning:
    if _NAMED_LIKE_MONEY.search(column.name) and column.distinct > _FEW:
        return Meaning.MONEY
    return Meaning.CATEGORY if column.integral and column.distinct <= _FEW else Meaning.NUMBER


def _is_yes_and_no(column: ColumnProfile) -> bool:
    if column.distinct != 2 or column.values is None:  # noqa: PLR2004
        return False
    shown = {f"{label:g}" if isinstance(label, float) else str(label).strip().lower() for label, _ in column.values}
    return shown <= _YES_AND_NO
