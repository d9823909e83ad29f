"""Rules on single values that a user's schema may hold: pandera's checks, the kinds of column that each one fits.

Only checks that look at one value at a time are known here, so that a table may be checked block by block.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from raysweep.documents import shorten
from raysweep.records.table import ColumnKind

Mask = npt.NDArray[np.bool_]
Breaks = Callable[[Any], Mask]

_COMPARED: Final = (ColumnKind.NUMBER, ColumnKind.BOOLEAN, ColumnKind.STRING, ColumnKind.DATETIME)
_FLAGS: Final = ("include_min", "include_max")
_OF_TEXT: Final = ("str_matches", "str_contains", "str_startswith", "str_endswith", "str_length")

# pandera's name of the check -> its arguments; the first one may be given without its name.
ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "equal_to": ("value",),
    "not_equal_to": ("value",),
    "greater_than": ("min_value",),
    "greater_than_or_equal_to": ("min_value",),
    "less_than": ("max_value",),
    "less_than_or_equal_to": ("max_value",),
    "in_range": ("min_value", "max_value", *_FLAGS),
    "isin": ("allowed_values",),
    "notin": ("forbidden_values",),
    "str_matches": ("pattern",),
    "str_contains": ("pattern",),
    "str_startswith": ("string",),
    "str_endswith": ("string",),
    "str_length": ("min_value", "max_value", "exact_value"),
}
ALIASES: Final[Mapping[str, str]] = {
    "eq": "equal_to",
    "ne": "not_equal_to",
    "gt": "greater_than",
    "ge": "greater_than_or_equal_to",
    "lt": "less_than",
    "le": "less_than_or_equal_to",
    "between": "in_range",
}
# pandera's checks that look at a whole column at once.
WHOLE_COLUMN: Final = frozenset({"unique_values_eq", "two_sample_ttest", "one_sample_ttest"})


@dataclass(frozen=True, slots=True)
class ValueRule:
    """One of pandera's checks with its arguments, as plain values."""

    check: str
    arguments: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What tells the rule from every other one."""
        return f"{self.check}({dict(self.arguments)!r})"

    @property
    def label(self) -> str:
        """Such as `in_range(0, 10)`."""
        values = [*self.arguments.values()]
        if len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        named = [f"{name}={value}" for name, value in self.arguments.items()]
        is_plain = self.check not in {"in_range", "str_length"} or len(values) == 2  # noqa: PLR2004 - low, high
        is_plain = is_plain and not (self.check == "str_length" and "exact_value" in self.arguments)
        return shorten(f"{self.check}({', '.join(map(str, values) if is_plain else named)})", 100)


def kinds_of(rule: ValueRule) -> tuple[ColumnKind, ...]:
    """The kinds of column whose values may be held against the rule; none where its arguments are of no use."""
    if rule.check in _OF_TEXT:
        return (ColumnKind.STRING,) if _is_of_text(rule) else ()
    values = _compared(rule)
    return tuple(kind for kind in _COMPARED if all(_fits(kind, value) for value in values))


def breaks_of(rules: Sequence[ValueRule], kind: ColumnKind) -> list[Breaks]:
    """For each rule what says which values of a pandas Series without nulls break it; pandera does the work.

    Raises:
        Exception: whatever pandera says where it cannot read a rule.
    """
    from pandera.io.pandas_io import deserialize_schema

    checks = [{**_typed(rule, kind), "options": {"check_name": rule.check}} for rule in rules]
    schema = deserialize_schema({"columns": {"values": {"checks": checks}}})
    return [_breaks(check) for check in schema.columns["values"].checks]


def _breaks(check: Any) -> Breaks:
    def breaks(values: Any) -> Mask:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns of groups in a pattern
            return ~np.asarray(check(values).check_output, np.bool_)

    return breaks


def _compared(rule: ValueRule) -> list[Any]:
    """The arguments that values are compared with."""
    values: list[Any] = []
    for name, value in rule.arguments.items():
        if name not in _FLAGS:
            values += value if isinstance(value, list) else [value]
    return values


def _is_of_text(rule: ValueRule) -> bool:
    if rule.check == "str_length":
        return all(isinstance(value, int) and not isinstance(value, bool) for value in rule.arguments.values())
    return all(isinstance(value, str) for value in rule.arguments.values())


def _fits(kind: ColumnKind, value: object) -> bool:
    match kind:
        case ColumnKind.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
        case ColumnKind.BOOLEAN:
            return isinstance(value, bool)
        case ColumnKind.DATETIME:
            return _instant(value) is not None
        case _:
            return isinstance(value, str)


def _instant(value: object) -> datetime | None:
    """The moment that is meant, in UTC and without a zone, as date columns hold it."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - canonical values have no zone
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _typed(rule: ValueRule, kind: ColumnKind) -> dict[str, Any]:
    if kind is not ColumnKind.DATETIME:
        return dict(rule.arguments)
    return {
        name: value
        if name in _FLAGS
        else [_instant(one) for one in value]
        if isinstance(value, list)
        else _instant(value)
        for name, value in rule.arguments.items()
    }
