"""Lines for the sweep file: what an advice tells the owner of the data to write there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_PLAIN_NAME: Final = re.compile(r"[^\W\d][\w .()/-]*")
_WORDS_OF_YAML: Final = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false", "null", "~"})


def exclusion(*names: str) -> str:
    """The line that leaves columns out."""
    return f"data.features.exclude: {flow(names)}"


def prepare(rule: str, name: str, **options: Any) -> str:
    """The line that prepares a column by a rule."""
    return f"data.prepare: [{flow({'rule': rule, 'columns': [name], **options})}]"


def flow(value: object) -> str:
    """A value in YAML's flow style, which stands in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**53:
        return str(int(value))
    is_plain = isinstance(value, str) and _PLAIN_NAME.fullmatch(value) and value.lower() not in _WORDS_OF_YAML
    return str(value) if is_plain and value == str(value).strip() else json.dumps(value, ensure_ascii=False)
