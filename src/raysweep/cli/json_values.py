"""Records as the JSON text of `--json`."""

from __future__ import annotations

import json

from raysweep.event_lines import plain_view


def to_json(value: object) -> str:
    """`value` as indented JSON; NaN and infinities, which JSON does not know, become null."""
    return json.dumps(plain_view(value), indent=2, ensure_ascii=False, allow_nan=False)
