"""What texts look like: numbers, codes, dates, free text, and their spelling without case and blanks."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_PLAIN: Final = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_GROUPED: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"
_MARKS: Final = "$€£¥%"
_NUMBER: Final = rf"^[$€£¥]?\s?[+-]?[$€£¥]?\s?(?:{_GROUPED}|{_PLAIN})\s?[%$€£¥]?$"
_MONEY: Final = rf"^(?:[+-]?[$€£¥]\s?[+-]?(?:{_GROUPED}|{_PLAIN})|[+-]?(?:{_GROUPED}|{_PLAIN})\s?[$€£¥])$"
_CODE: Final = r"^0\d+$"
_DATES: Final = {
    "%Y-%m-%d": r"^\d{4}-\d{1,2}-\d{1,2}$",
    "%Y-%m-%d %H:%M": r"^\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}$",
    "%Y-%m-%d %H:%M:%S": r"^\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}:\d{2}$",
    "%Y-%m-%dT%H:%M:%S": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$",
    "%Y-%m-%dT%H:%M:%SZ": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
    "%Y/%m/%d": r"^\d{4}/\d{1,2}/\d{1,2}$",
    "%d.%m.%Y": r"^\d{1,2}\.\d{1,2}\.\d{4}$",
    "%m/%d/%Y": r"^(?:0?[1-9]|1[0-2])/\d{1,2}/\d{4}$",
    "%d/%m/%Y": r"^\d{1,2}/(?:0?[1-9]|1[0-2])/\d{4}$",
    "%d %B %Y": r"^\d{1,2} [A-Z][a-z]{3,8} \d{4}$",
    "%d %b %Y": r"^\d{1,2} [A-Z][a-z]{2} \d{4}$",
    "%B %d, %Y": r"^[A-Z][a-z]{2,8} \d{1,2}, \d{4}$",
}
_NEARLY_ALL: Final = 0.99
_WORDS: Final = 4
_DIFFERENT: Final = 0.5
_LOOKED_AT: Final = 2_000


def is_number(texts: pa.Array) -> Mask:
    """Which texts are a number, also with blanks around, thousands separators, a currency or percent sign."""
    return _matches(pc.utf8_trim_whitespace(texts), _NUMBER)


def is_money(texts: pa.Array) -> Mask:
    """Which texts are an amount with a currency sign."""
    return _matches(pc.utf8_trim_whitespace(texts), _MONEY)


def is_code(texts: pa.Array) -> Mask:
    """Which texts are digits that begin with 0, such as a postal code: no numbers, though they look so."""
    return _matches(pc.utf8_trim_whitespace(texts), _CODE)


def has_fraction(texts: pa.Array) -> Mask:
    """Which texts have digits after a point."""
    return _matches(texts, r"\d\.\d")


def marks_of_numbers(texts: pa.Array) -> dict[str, Any]:
    """The options of the rule `to_number` that read these texts."""
    strip = "".join(mark for mark in _MARKS if pc.any(pc.match_substring(texts, mark)).as_py())
    options: dict[str, Any] = {"strip": strip} if strip else {}
    if pc.any(pc.match_substring(texts, ",")).as_py():
        options["thousands"] = ","
    return options


def date_format(texts: pa.Array, counts: Integers) -> str | None:
    """The strptime format that nearly all texts have; None where they are no dates."""
    plain, weights = pc.utf8_trim_whitespace(texts[:_LOOKED_AT]), counts[:_LOOKED_AT]
    for name, pattern in _DATES.items():
        if len(plain) and float(weights[_matches(plain, pattern)].sum()) >= _NEARLY_ALL * float(weights.sum()):
            return name
    return None


def is_free_text(texts: pa.Array, counts: Integers) -> bool:
    """Whether most texts have several words and most rows have a text of their own."""
    some = texts[:_LOOKED_AT]
    if len(texts) < _DIFFERENT * float(counts.sum()) or not len(some):
        return False
    words = np.asarray(pc.list_value_length(pc.utf8_split_whitespace(some)))
    return bool(np.median(words) >= _WORDS)


def folded(texts: pa.Array) -> pa.Array:
    """The texts without case and needless blanks."""
    return pc.utf8_lower(pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), r"\s+", " "))


def _matches(texts: pa.Array, pattern: str) -> Mask:
    return np.asarray(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False), np.bool_)
