"""Records as JSON text: one document for `--json`, one line an event for `--events jsonl`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from raysweep.events import Event


def to_json(value: object) -> str:
    """`value` as indented JSON; NaN and infinities, which JSON does not know, become null."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def event_line(event: Event) -> str:
    """The event on one line, its class's name under `event`."""
    return json.dumps({"event": type(event).__name__, **_plain(event)}, ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> Any:
    plain: Any
    match value:
        case Enum():
            plain = _plain(value.value)
        case float():
            plain = value if math.isfinite(value) else None
        case None | str() | int():
            plain = value
        case Mapping():
            plain = {str(key): _plain(one) for key, one in value.items()}
        case AbstractSet():
            plain = sorted(_plain(one) for one in value)
        case list() | tuple():
            plain = [_plain(one) for one in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            # What a record hides from its repr is opaque: references, data, folders of this machine.
            plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.repr}
        case _:
            plain = str(value)
    return plain
