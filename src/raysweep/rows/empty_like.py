"""Texts that look like a missing value though they are none."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_EMPTY_LIKE: Final = ("", "na", "n/a", "nan", "?", "null", "none")
_LONGEST: Final = 4


def looks_empty(texts: Any) -> Any:
    """Which texts of an array say that there is nothing, whatever their case and blanks; false for null."""
    trimmed = pc.utf8_trim_whitespace(texts)
    short = pc.if_else(pc.less_equal(pc.binary_length(trimmed), _LONGEST), trimmed, "-")  # long texts are not lowered
    return pc.is_in(pc.utf8_lower(short), value_set=pa.array(_EMPTY_LIKE, trimmed.type))
