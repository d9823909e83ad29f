"""Columns that only name a row: different in nearly every one, or counting up from row to row."""

from __future__ import annotations

from typing import Final

import pyarrow.compute as pc

from raysweep.records.table import ColumnKind, ColumnProfile
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.text_forms import date_format, has_fraction, is_free_text, is_number

MIN_ROWS_FOR_IDS: Final = 100
# Three standard errors of the estimate of distinct values, as a share.
_ESTIMATE_ERROR: Final = 0.025
_SOME: Final = 0.1  # ids are whole numbers, also as text


def is_id_like(column: ColumnProfile, context: Context) -> bool:
    """Whether the column looks like an id; free text does not, though it differs from row to row."""
    if column.count - column.nulls < MIN_ROWS_FOR_IDS:
        return False
    if column.name in context.profile.increasing and column.integral:
        return True
    if not _may_be_id(column) or distinct_share(column, context) <= context.limit("col.id_like", "warn"):
        return False
    if column.kind is not ColumnKind.STRING:
        return True
    texts = context.texts(column.name)
    is_something_else = is_free_text(texts.values, texts.counts) or date_format(texts.values, texts.counts) is not None
    return not is_something_else and texts.share(is_number(texts.values) & has_fraction(texts.values)) <= _SOME


def distinct_share(column: ColumnProfile, context: Context) -> float:
    """Distinct values over values; where it is an estimate, the sample (which errs upwards) has to agree."""
    share = column.distinct / (column.count - column.nulls)
    if column.distinct_exact:
        return share
    values = context.profile.sample.column(column.name).drop_null()
    of_sample = float(pc.count_distinct(values).as_py() / max(len(values), 1))
    return min(of_sample, share + _ESTIMATE_ERROR)


def _may_be_id(column: ColumnProfile) -> bool:
    """Whether values of this kind can be ids; whole floats only where nulls have made floats of integers."""
    if column.kind is ColumnKind.NUMBER:
        return column.type == "int64" or (column.integral and column.nulls > 0)
    return column.kind is ColumnKind.STRING
