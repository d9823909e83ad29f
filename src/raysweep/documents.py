"""YAML and JSON to and from frozen, versioned models; every problem at once, each with its path."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from raysweep.errors import NotFound, RequestInvalid

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_SHOWN_PROBLEMS = 20
MAX_SHOWN_VALUE = 60


class Document(BaseModel):
    """Base of everything that crosses to people or to disk: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


_MERGE_TAG = "tag:yaml.org,2002:merge"

DocumentT = TypeVar("DocumentT", bound=Document)
RecordT = TypeVar("RecordT")


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads `1e-3` as a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE_TAG:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | date | type(None)):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _allow_plain_exponents() -> None:
    import re

    _Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


_allow_plain_exponents()


def read_yaml(text: str, *, place: str) -> dict[str, Any]:
    """Parse YAML (or JSON, which YAML contains) that must be a mapping.

    Args:
        text: the document.
        place: what to call it in an error, such as its path.

    Raises:
        RequestInvalid: it does not parse, or is not a mapping.
    """
    try:
        loaded = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with more refusals
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RequestInvalid(f"{place} is not valid YAML: {_one_line(error)}") from error
    if not isinstance(loaded, dict):
        found = "nothing" if loaded is None else f"a {type(loaded).__name__}"
        raise RequestInvalid(f"{place} must hold keys and values (such as `version: 1`), but holds {found}")
    return {str(key): value for key, value in loaded.items()}


def read_yaml_file(path: Path) -> dict[str, Any]:
    """Parse the YAML file at `path`; see `read_yaml`.

    Raises:
        NotFound: there is no such file.
        RequestInvalid: it cannot be read as a mapping.
    """
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise RequestInvalid(f"{path} is over {MAX_DOCUMENT_BYTES:,} bytes: is it really a config file?")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}{_nearby(path)}") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"{path} is not a text file in UTF-8 ({error.reason})") from error
    except OSError as error:
        raise RequestInvalid(f"{path} cannot be read: {error.strerror}") from error
    return read_yaml(text, place=str(path))


def parse_document(model: type[DocumentT], values: Mapping[str, Any], *, place: str) -> DocumentT:
    """Check `values` against `model`, naming every problem and its path.

    Args:
        model: the document to build.
        values: keys and values as YAML, JSON or a dict gives them.
        place: what to call the document in an error, such as its path.

    Raises:
        RequestInvalid: with all `problems`.
    """
    try:
        text = json.dumps(values, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestInvalid(f"{place}: {_one_line(error)}") from error
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        problems = problems_in(error, model)
        raise RequestInvalid(_list_problems(place, problems), problems=problems) from error


def problems_in(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """What is wrong with a document, one line for each place, in words of our own."""
    return list(dict.fromkeys(_describe(problem, model) for problem in error.errors(include_url=False)))


def set_path(values: Mapping[str, Any], assignment: str) -> dict[str, Any]:
    """A copy of `values` in which the path of `a.b.c=value` has that value (read as YAML).

    Raises:
        RequestInvalid: `assignment` is not of that form, or the path runs into a plain value.
    """
    path, equals, text = assignment.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise RequestInvalid(f"--set {assignment}: write it as PATH=VALUE, such as search.trials=20")
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with more refusals
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RequestInvalid(f"--set {assignment}: the value is not valid YAML: {_one_line(error)}") from error
    # Names of checks hold a dot (`checks.set.col.missing.warn`): what follows `checks.set` is at most one such name.
    if keys[:2] == ["checks", "set"] and len(keys) > 3:  # noqa: PLR2004
        keys = [*keys[:2], ".".join(keys[2:4]), *keys[4:]]
    return _with_value(values, keys, value, f"--set {assignment}")


def expand_paths(values: Mapping[Any, Any], *, place: str) -> dict[Any, Any]:
    """`values` with keys such as `data.group` put where they belong, as the lines that raysweep proposes have them.

    Args:
        values: a document; only its outermost keys may be paths.
        place: where it comes from, for the message.

    Raises:
        RequestInvalid: what a path names stands in the document already, or the path runs into a plain value.
    """
    expanded: dict[Any, Any] = {key: value for key, value in values.items() if "." not in str(key)}
    for path, value in values.items():
        keys = str(path).split(".")
        if len(keys) == 1:
            continue
        below: Any = expanded
        for key in keys:
            below = below.get(key) if isinstance(below, Mapping) else None
        if below is not None:
            raise RequestInvalid(f"{place}: {path} has a value already, further up or down; join the two")
        expanded = _with_value(expanded, keys, value, str(path))
    return expanded


def _with_value(values: Mapping[str, Any], keys: Sequence[str], value: object, place: str) -> dict[str, Any]:
    head, *rest = keys
    if not rest:
        return {**values, head: value}
    below = values.get(head)
    if below is not None and not isinstance(below, Mapping):
        raise RequestInvalid(f"{place}: {head} is a plain value, it has no key {rest[0]}")
    return {**values, head: _with_value(below or {}, rest, value, place)}


def canonical_json(value: object) -> bytes:
    """The one byte sequence for `value`: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)
    return text.encode("utf-8")


def readable_json(value: object) -> bytes:
    """`value` as JSON for people: sorted keys, indented, UTF-8, no NaN, with a last newline."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    return (text + "\n").encode("utf-8")


def plain_record(value: object) -> Any:
    """A record as JSON can hold it: dataclasses and mappings as dicts, enums as values, NaN and infinity as None."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    elif is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    elif isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        return {str(key): plain_record(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_record(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def read_record(kind: type[RecordT], plain: object) -> RecordT:
    """The record that `plain_record` wrote: absent keys take their defaults, keys that it does not know are left.

    Args:
        kind: a dataclass; its fields may be dataclasses, documents, enums, tuples, sets, mappings, plain values, and
            unions of them.
        plain: what `plain_record` gave, or JSON gave back. None reads as NaN where only a float may stand.

    Raises:
        TypeError: a value is of another kind than its field.
        ValueError: a key is missing, or a word is not one of its enum. Both name the place.
    """
    record: RecordT = _read(kind, plain, kind.__name__)
    return record


def _read(kind: Any, plain: Any, place: str) -> Any:
    if get_origin(kind) in {Union, UnionType}:
        return _read_union(get_args(kind), plain, place)
    if is_dataclass(kind):
        return _read_dataclass(kind, _expect(plain, Mapping, place), place)
    if get_args(kind):
        return _read_holder(kind, plain, place)
    if isinstance(kind, type) and issubclass(kind, Enum | BaseModel):
        return _read_enum(kind, plain, place) if issubclass(kind, Enum) else kind.model_validate(plain)
    if kind is float:
        return math.nan if plain is None else float(_expect(plain, (int, float), place))
    return plain if kind is Any else _expect(plain, kind, place)


def _read_holder(kind: Any, plain: Any, place: str) -> Any:
    if get_origin(kind) is tuple:
        return _read_tuple(get_args(kind), _expect(plain, (list, tuple), place), place)
    if get_origin(kind) is frozenset:
        return frozenset(_read_tuple((*get_args(kind), ...), _expect(plain, (list, tuple), place), place))
    keys, values = get_args(kind)
    items = _expect(plain, Mapping, place).items()
    return {_read_key(keys, key, place): _read(values, item, f"{place}[{key!r}]") for key, item in items}


def _read_union(kinds: tuple[Any, ...], plain: Any, place: str) -> Any:
    """The first of the kinds that fits; None only where it is one of them."""
    if plain is None and type(None) in kinds:
        return None
    *others, last = [kind for kind in kinds if kind is not type(None)]
    for kind in others:
        try:
            return _read(kind, plain, place)
        except (TypeError, ValueError):
            continue
    return _read(last, plain, place)


def _read_dataclass(kind: Any, plain: Mapping[str, Any], place: str) -> Any:
    hints, values = get_type_hints(kind), {}
    for item in fields(kind):
        if item.name in plain:
            values[item.name] = _read(hints[item.name], plain[item.name], f"{place}.{item.name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{place}.{item.name}: is missing")
    return kind(**values)


def _read_tuple(kinds: tuple[Any, ...], plain: Sequence[Any], place: str) -> tuple[Any, ...]:
    if kinds[-1:] == (...,):
        kinds = kinds[:1] * len(plain)
    if len(kinds) != len(plain):
        raise ValueError(f"{place}: {len(plain):,} values, not {len(kinds):,}")
    return tuple(_read(kind, one, f"{place}[{at}]") for at, (kind, one) in enumerate(zip(kinds, plain, strict=True)))


def _read_key(kind: Any, key: str, place: str) -> Any:
    """JSON knows only texts as keys."""
    if kind in {int, float}:
        return kind(key)
    return _read(kind, key, f"a key of {place}")


def _read_enum(kind: type[Enum], plain: Any, place: str) -> Enum:
    try:
        return kind(plain)
    except ValueError:
        known = ", ".join(repr(one.value) for one in kind)
        raise ValueError(f"{place}: {shorten(repr(plain))} is none of {known}") from None


def _expect(plain: Any, kinds: Any, place: str) -> Any:
    is_flag = isinstance(plain, bool) and kinds is not bool and kinds is not object  # a bool is an int in Python
    if is_flag or not isinstance(plain, kinds):
        names = " or ".join(one.__name__ for one in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise TypeError(f"{place}: {names} should stand here, not {shorten(repr(plain))}")
    return plain


def to_yaml(document: Document) -> str:
    """The document as YAML, in the order of its fields."""
    return plain_yaml(document.model_dump(mode="json", by_alias=True))


def plain_yaml(value: object) -> str:
    """Plain keys and values as YAML, in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def digest(value: object) -> str:
    """The sha256 of `canonical_json(value)`, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def suggest(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the known name closest to `name`, or nothing."""
    known = list(known)
    lowered = {candidate.lower(): candidate for candidate in reversed(known)}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    return f", did you mean {lowered[close[0]]!r}?" if close else ""


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} {shorten(repr(value))} has no form in JSON")


def shorten(text: str, limit: int = MAX_SHOWN_VALUE) -> str:
    """`text` on one line, cut to `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _one_line(error: BaseException) -> str:
    return shorten(str(error).replace('in "<unicode string>", line', "at line"), 300)


def _nearby(path: Path) -> str:
    try:
        siblings = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f" (nor a folder {path.parent})" if not path.parent.exists() else ""
    return suggest(path.name, siblings)


def _list_problems(place: str, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"{place}: {problems[0]}"
    shown = "".join(f"\n  - {problem}" for problem in problems[:MAX_SHOWN_PROBLEMS])
    rest = len(problems) - MAX_SHOWN_PROBLEMS
    more = f"\n  … and {rest} more" if rest > 0 else ""
    return f"{place} has {len(problems)} problems:{shown}{more}"


def _describe(problem: Any, model: type[BaseModel]) -> str:
    path = _path_of(problem["loc"], model)
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = _keys_at(model, problem["loc"][:-1])
        listed = f" (known: {', '.join(known)})" if known else ""
        return f"{path}: unknown key{suggest(str(problem['loc'][-1]), known) or listed}"
    if kind == "missing":
        return f"{path}: is missing"
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _describe_tag(path, problem, model)
    message = str(problem["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return f"{path}: {message}" if path else message
    message = message[0].lower() + message[1:]
    value = shorten(json.dumps(problem["input"], default=repr, ensure_ascii=False))
    hint = suggest(problem["input"], _quoted(message)) if isinstance(problem["input"], str) else ""
    return f"{path}: {message}, not {value}{hint}"


def _describe_tag(path: str, problem: Any, model: type[BaseModel]) -> str:
    """Which of several models is meant stands in one of their keys, and that is absent or names none of them."""
    key = problem["ctx"]["discriminator"].strip("'")
    known = [tag for kind in _follow(model, problem["loc"])[1] for tag in _tags(kind, key)]
    listed = f" (known: {', '.join(known)})"
    if problem["type"] == "union_tag_not_found":
        return f"{path}.{key}: is missing{listed}"
    tag = str(problem["ctx"]["tag"])
    return f"{path}.{key}: there is no {tag!r}{suggest(tag, known) or listed}"


def _quoted(message: str) -> list[str]:
    return message.split("'")[1::2]


def _path_of(location: Sequence[int | str], model: type[BaseModel]) -> str:
    parts: list[str] = []
    for step in _follow(model, location)[0]:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if parts else step)
    return "".join(parts)


def _keys_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Names of the fields of the model that stands at `location` below `model`; empty where it is not one."""
    return [
        field.alias or name
        for kind in _follow(model, location)[1]
        if isinstance(kind, type) and issubclass(kind, BaseModel)
        for name, field in kind.model_fields.items()
    ]


def _follow(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[int | str], list[Any]]:
    """The steps of `location` that a user knows, and the types that may stand at its end.

    After a union, pydantic's location holds its own name of the branch, which is left out.
    """
    known: list[int | str] = []
    kinds: list[Any] = [model]
    branch_named = False
    for step in location:
        if len(kinds) > 1 and not branch_named:
            branch_named = True
            kinds = [kind for kind in kinds if step in _tags(kind)] or kinds
            continue
        known.append(step)
        kinds = [below for kind in kinds for below in _below(kind, step)]
        branch_named = False
    return known, kinds


def _tags(kind: Any, key: str | None = None) -> tuple[Any, ...]:
    """The words that tell this model from others: the values of its field `key` (default: any) that is a Literal."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return ()
    literals = [field.annotation for name, field in kind.model_fields.items() if key in {None, name}]
    return tuple(word for literal in literals if get_origin(literal) is Literal for word in get_args(literal))


def _below(kind: Any, step: int | str) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        found = [field.annotation for name, field in kind.model_fields.items() if step in {name, field.alias}]
    else:
        arguments = [argument for argument in get_args(kind) if argument is not ...]
        found = arguments[-1:]  # the values of a mapping, the items of a tuple
    return [member for annotation in found for member in _members(annotation)]


def _members(annotation: Any) -> list[Any]:
    """The types of a union without None; the type itself where it is none."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [one for part in get_args(annotation) if part is not type(None) for one in _members(part)]
    return [annotation]
