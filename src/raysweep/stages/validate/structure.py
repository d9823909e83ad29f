"""How columns hang together: which determine others, which may name a group of rows, which may order them in time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from raysweep.records.table import ColumnKind, ColumnProfile, Meaning, Structure
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.single_feature import Codes, codes_of

_LOOKED_AT: Final = 20_000
_MAX_COLUMNS: Final = 60
_MIN_GROUPS: Final = 20
_MIN_ROWS_EACH: Final = 2.0
_REPEATED: Final = 0.1
_NAMED_LIKE_A_GROUP: Final = re.compile(
    r"(?:^|[_ .-])(?:id|ids|uid|key|user|customer|client|patient|subject|person|household|family|session|device|"
    r"account|member|student|school|hospital|store|shop|machine|sensor|meter|site|station|batch|lot|group|tailnum)"
    r"(?:$|[_ .-])|[a-z]Id$|(?:^|[_a-z])ID$",
)


def structure_of(context: Context, meanings: Mapping[str, Meaning]) -> Structure:
    """Groups, times and dependencies among the candidates, by up to 20,000 rows of the sample."""
    times = [one for one in context.columns if meanings[one.name] is Meaning.TIME and one.distinct > 1]
    codes = {
        column.name: codes_of(context.sampled(column.name)[:_LOOKED_AT])
        for column in context.columns
        if _can_determine(column, meanings[column.name])
    }
    if len(codes) > _MAX_COLUMNS:
        codes = {}
    dependencies = tuple((name, found) for name in codes if (found := _determined_by(name, codes)))
    return Structure(
        groups=_groups(context, codes, dict(dependencies), meanings),
        times=tuple(one.name for one in sorted(times, key=lambda one: -one.distinct)),
        dependencies=dependencies,
    )


def _can_determine(column: ColumnProfile, meaning: Meaning) -> bool:
    if column.distinct < 2 or meaning in {Meaning.IDENTIFIER, Meaning.TEXT, Meaning.NESTED}:  # noqa: PLR2004
        return False
    return column.kind is not ColumnKind.NUMBER or column.integral


def _determined_by(name: str, codes: Mapping[str, Codes]) -> tuple[str, ...]:
    """The columns whose value follows from this one's, where its values repeat often enough to tell."""
    own = codes[name]
    own_values = len(np.unique(own))
    if len(own) - own_values < _REPEATED * len(own):
        return ()
    return tuple(
        other
        for other, values in codes.items()
        if other != name
        and (different := len(np.unique(values))) > 1
        and different <= own_values
        and len(np.unique(own * (int(values.max()) + 2) + values + 1)) == own_values
    )


def _groups(
    context: Context,
    codes: Mapping[str, Codes],
    dependencies: Mapping[str, tuple[str, ...]],
    meanings: Mapping[str, Meaning],
) -> tuple[str, ...]:
    """Columns with many values that come back, and that look like a name of somebody, or determine other columns."""
    found = []
    for column in context.columns:
        rows_each = (column.count - column.nulls) / max(1, column.distinct)
        if column.name not in codes or meanings[column.name] in {Meaning.TIME, Meaning.MONEY, Meaning.TARGET}:
            continue
        if column.distinct < _MIN_GROUPS or rows_each < _MIN_ROWS_EACH:
            continue
        is_named = _NAMED_LIKE_A_GROUP.search(column.name) is not None
        followers = [name for name in dependencies.get(column.name, ()) if name not in dependencies.get(name, ())]
        if is_named or (column.kind is ColumnKind.STRING and followers):
            found.append((not is_named, -column.distinct, column.name))
    return tuple(name for _, _, name in sorted(found))
