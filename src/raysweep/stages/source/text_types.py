"""What the texts of a CSV column mean, decided over all rows: boolean, whole number, number, instant, or text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import INSTANT, TEXT

_BOOLEANS: Final = {"true": True, "false": False}


def _as_boolean(texts: pa.Array) -> pa.Array:
    lowered = pc.utf8_lower(texts)
    known = pc.is_in(lowered, value_set=pa.array(list(_BOOLEANS), TEXT))
    if not pc.all(pc.or_kleene(known, pc.is_null(texts))).as_py():
        raise pa.ArrowInvalid("not a boolean")
    return pc.if_else(pc.is_null(texts), pa.scalar(None, pa.bool_()), pc.equal(lowered, "true"))


def _as_integer(texts: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring(texts, "x", ignore_case=True)).as_py():
        raise pa.ArrowInvalid("hexadecimal: an id, not a number")
    return texts.cast(pa.int64())


# Tried in this order; the first that all values of the column pass is the column's type.
_PARSERS: Final[dict[str, Callable[[pa.Array], pa.Array]]] = {
    "bool": _as_boolean,
    "int64": _as_integer,
    "double": lambda texts: texts.cast(pa.float64()),
    "timestamp[us]": lambda texts: texts.cast(INSTANT),
    "timestamp[us, tz=UTC]": lambda texts: texts.cast(pa.timestamp("us", "UTC")).cast(INSTANT),
}
_KINDS: Final = {
    "bool": ColumnKind.BOOLEAN,
    "int64": ColumnKind.NUMBER,
    "double": ColumnKind.NUMBER,
    "timestamp[us]": ColumnKind.DATETIME,
    "timestamp[us, tz=UTC]": ColumnKind.DATETIME,
}


@dataclass(frozen=True, slots=True)
class TextTypes:
    """The types that every value seen so far has passed."""

    possible: tuple[str, ...] = tuple(_PARSERS)
    has_value: bool = False

    def narrowed(self, texts: pa.Array) -> TextTypes:
        """What is still possible after these values too."""
        if texts.null_count == len(texts):
            return self
        trimmed = pc.utf8_trim_whitespace(texts)
        return TextTypes(tuple(name for name in self.possible if _parses(name, trimmed)), has_value=True)

    def column(self, name: str) -> Column:
        """The column called `name`, of the first type that is possible; `null` where there is no value."""
        if not self.has_value:
            return Column(name, ColumnKind.NUMBER, "null")
        if not self.possible:
            return Column(name, ColumnKind.STRING, "string")
        return Column(name, _KINDS[self.possible[0]], self.possible[0])


def parse_text(texts: pa.Array, column: Column) -> pa.Array:
    """The texts as values of the column's type.

    Raises:
        pa.ArrowInvalid: one of them is not such a value (the file changed since its types were decided).
    """
    if column.kind is ColumnKind.STRING:
        return texts
    return _PARSERS[column.type](pc.utf8_trim_whitespace(texts))


def _parses(name: str, texts: pa.Array) -> bool:
    try:
        _PARSERS[name](texts)
    except pa.ArrowInvalid:
        return False
    return True
