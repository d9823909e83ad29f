"""JSON schemas of the documents that cross to people and other programs; written by tests/write_schemas.py."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

SCHEMAS: Final = ("manifest-2", "sweep-1", "space-1")


def read_schema(name: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of that name, one of `SCHEMAS`."""
    schema: dict[str, Any] = json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return schema
