"""Texts that look like a missing value though they are none."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_EMPTY_LIKE: Final = ("", "na", "n/a", "nan", "?", "null", "none")


def looks_empty(texts: Any) -> Any:
    """Which texts of an array say that there is nothing, whatever their case and blanks; false for null."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    return pc.is_in(plain, value_set=pa.array(_EMPTY_LIKE, plain.type))
