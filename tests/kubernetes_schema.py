"""Manifests against the operator's published schema, more strictly than a cluster, which drops unknown fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TYPES = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "array": list,
}
KNOWN = {
    *("type", "properties", "required", "items", "enum", "pattern", "additionalProperties", "description", "default"),
    *("format", "minimum", "minItems", "anyOf", "nullable", "maxLength", "maxItems", "minLength", "maximum"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-int-or-string"),
    *("x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations", "x-kubernetes-embedded-resource"),
}


@cache
def schema_of(folder: Path, kind: str) -> Mapping[str, Any]:
    """The schema of ray.io/v1 for `RayJob` or `RayCluster`."""
    text = (folder / f"ray.io_{kind.lower()}s.yaml").read_text(encoding="utf-8")
    definition = yaml.load(text, Loader=yaml.CSafeLoader)
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1"]
    return version["schema"]["openAPIV3Schema"]


def problems_of(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every way in which a value is not as its schema says, each with its path."""
    unread = set(schema) - KNOWN
    assert not unread, f"{path}: the schema says {unread}, which is not looked at here"
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield f"{path}: {value!r} is no number and no string"
        elif "pattern" in schema and not re.search(schema["pattern"], str(value)):
            yield f"{path}: {value!r} is no quantity"
        return
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        yield f"{path}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value!r} does not match {schema['pattern']}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: {value!r} is less than {schema['minimum']}"
    if isinstance(value, dict):
        yield from _problems_of_object(value, schema, path)
    if isinstance(value, list):
        yield from _problems_of_list(value, schema, path)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def _problems_of_object(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    yield from (f"{path}.{name}: is missing" for name in schema.get("required", ()) if name not in value)
    for name, inner in value.items():
        if name in properties:
            yield from problems_of(inner, properties[name], f"{path}.{name}")
        elif isinstance(others, Mapping):
            yield from problems_of(inner, others, f"{path}.{name}")
        elif properties and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}: there is no such field"


def _problems_of_list(value: list[Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{path}: has {len(value)} items, and needs {schema['minItems']}"
    for place, inner in enumerate(value):
        yield from problems_of(inner, schema["items"], f"{path}[{place}]")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    if keys and all(isinstance(inner, dict) for inner in value):
        seen = [tuple(inner.get(key) for key in keys) for inner in value]
        yield from (f"{path}: {one} is there twice" for one in {one for one in seen if seen.count(one) > 1})
