"""A user's own schema: a YAML file as pandera writes it, read without running anything that stands in it.

A table is checked block by block, so a rule that needs all rows at once is refused here, before any data are read; so
is whatever would change values, since a check changes none.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raysweep.config import SweepConfig
from raysweep.documents import read_yaml_file, shorten, suggest
from raysweep.errors import RequestInvalid
from raysweep.records.table import ColumnKind
from raysweep.runtime.environment import environment_kept
from raysweep.stages.validate.user_schema_rules import ValueRule, breaks_of, kinds_of
from raysweep.stages.validate.user_schema_values import Problem, read_rules, tried_values

# When it is imported, for a pyspark that need not be there; the first has Arrow forget zones.
_SET_BY_PANDERA: Final = ("PYARROW_IGNORE_TIMEZONE", "SPARK_LOCAL_IP")
_NO_CHANGES: Final = "a check changes no values; prepare columns with data.prepare"
_NO_BLOCKS: Final = "it takes all rows at once, and the table is checked block by block"
# What pandera may say of a column or a table, and why it cannot be said here unless it is null, false or empty.
_COLUMN_REFUSED: Final[Mapping[str, str]] = {
    "unique": f"{_NO_BLOCKS}; repeated rows are counted by the check rows.duplicates",
    "coerce": _NO_CHANGES,
    "default": _NO_CHANGES,
    "parsers": _NO_CHANGES,
    "drop_invalid_rows": "a check drops no rows; leave them out of the source",
    "regex": "write each column by its full name",
}
_TABLE_REFUSED: Final[Mapping[str, str]] = {
    "checks": "a check of the whole table may compare rows or run code; write checks below the columns",
    "index": "a table has no index here; write the rules below the columns",
    "multiindex": "a table has no index here; write the rules below the columns",
    "dtype": "write a dtype below each column",
    "coerce": _NO_CHANGES,
    "parsers": _NO_CHANGES,
    "unique": f"{_NO_BLOCKS}; repeated rows are counted by the check rows.duplicates",
    "ordered": "the order of columns means nothing here",
    "add_missing_columns": _NO_CHANGES,
    "drop_invalid_rows": "a check drops no rows; leave them out of the source",
}
_NOTES: Final = ("title", "description", "metadata", "name", "report_duplicates")
_COLUMN_KEYS: Final = (*_NOTES, "dtype", "nullable", "required", "checks", *_COLUMN_REFUSED)
_TABLE_KEYS: Final = (
    *(*_NOTES, "schema_type", "version", "api", "dataframe_library", "columns", "strict", "unique_column_names"),
    *_TABLE_REFUSED,
)


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """What the schema says of one column.

    Attributes:
        dtype: as it is written; empty where nothing is said.
        kind: what the values have to be; None where nothing is said.
        is_whole: the numbers have to be whole ones.
    """

    name: str
    dtype: str
    kind: ColumnKind | None
    is_whole: bool
    nullable: bool
    required: bool
    rules: tuple[ValueRule, ...]


@dataclass(frozen=True, slots=True)
class UserSchema:
    """A schema that may be checked block by block.

    Attributes:
        path: of its file.
        content: of its file, which is published.
        strict: columns that it does not name are not welcome.
    """

    path: str
    content: bytes
    columns: tuple[SchemaColumn, ...]
    strict: bool


def read_user_schema(config: SweepConfig) -> UserSchema | None:
    """The schema of `checks.schema`; None where there is none.

    Raises:
        NotFound: there is no such file.
        RequestInvalid: pandera is not installed, or the schema cannot be checked block by block; with every problem.
    """
    if config.checks.schema_file is None:
        return None
    require_pandera()
    path = Path(config.checks.schema_file)
    document = read_yaml_file(path)
    problems = _table_problems(document)
    columns = [
        _read_column(name, values, problems.append) for name, values in _named_columns(document, problems.append)
    ]
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise RequestInvalid(f"checks.schema: {path} cannot be used:{listed}", problems=problems)
    return UserSchema(str(path), path.read_bytes(), tuple(columns), document.get("strict") is True)


def require_pandera() -> None:
    """Refuse to go on where pandera is not installed, on this machine or on another one of a cluster.

    Raises:
        RequestInvalid: it is not; the message says how to get it.
    """
    try:
        with environment_kept(*_SET_BY_PANDERA):
            import pandera.io.pandas_io
            import pandera.pandas  # noqa: F401 - what pandera loads later would set variables by then
    except ImportError as error:
        host = platform.node()
        message = f"checks.schema needs pandera, which is not installed on {host}: pip install 'raysweep[pandera]'"
        raise RequestInvalid(message) from error


def _table_problems(document: Mapping[str, Any]) -> list[str]:
    problems = _refused("", document, _TABLE_REFUSED)
    problems += [f"{key}: unknown key{suggest(key, _TABLE_KEYS)}" for key in document if key not in _TABLE_KEYS]
    if document.get("schema_type") not in {None, "dataframe"}:
        problems.append(f"schema_type: must be dataframe, not {shorten(repr(document['schema_type']))}")
    strict = document.get("strict")
    if strict == "filter":
        problems.append("strict: filter would drop columns; write true, or leave columns out by data.features.exclude")
    elif strict is not None and not isinstance(strict, bool):
        problems.append(f"strict: must be true or false, not {shorten(repr(strict))}")
    return problems


def _refused(path: str, values: Mapping[str, Any], reasons: Mapping[str, str]) -> list[str]:
    asked = [key for key in reasons if values.get(key) is not None and values[key] is not False]
    return [f"{path}{key}: is refused: {reasons[key]}" for key in asked if values[key] not in ([], {})]


def _named_columns(document: Mapping[str, Any], say: Problem) -> list[tuple[str, Any]]:
    columns = document.get("columns")
    if isinstance(columns, Mapping) and columns:
        named = list(columns.items())
    elif isinstance(columns, list) and columns and all(isinstance(one, Mapping) for one in columns):
        named = [(one.get("name"), one) for one in columns]
    else:
        say("columns: must hold at least one column, such as `fare: {dtype: float64, ge: 0}`")
        return []
    for name, _ in named:
        if not isinstance(name, str):
            say(f"columns: a name must be a text, not {shorten(repr(name))}: put quotes round it")
    names = [name for name, _ in named]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        say(f"columns.{name}: stands here twice")
    return [(name, values) for name, values in named if isinstance(name, str)]


def _read_column(name: str, values: Any, say: Problem) -> SchemaColumn:
    path = f"columns.{name}"
    if values is not None and not isinstance(values, Mapping):
        say(f"{path}: must hold keys and values, not {shorten(repr(values))}")
    values = values if isinstance(values, Mapping) else {}
    for problem in _refused(f"{path}.", values, _COLUMN_REFUSED):
        say(problem)
    kind, is_whole = _kind_of(f"{path}.dtype", values.get("dtype"), say)
    rules = read_rules(path, values, _COLUMN_KEYS, say)
    for rule in rules:
        _try(f"{path}.{rule.check}", rule, kind, say)
    return SchemaColumn(
        name=name,
        dtype=str(values.get("dtype") or ""),
        kind=kind,
        is_whole=is_whole,
        nullable=_flag(values, "nullable", path, say),
        required=_flag({"required": True, **values}, "required", path, say),
        rules=rules,
    )


def _flag(values: Mapping[str, Any], key: str, path: str, say: Problem) -> bool:
    value = values.get(key, False)
    if not isinstance(value, bool):
        say(f"{path}.{key}: must be true or false, not {shorten(repr(value))}")
    return value is True


def _kind_of(path: str, dtype: Any, say: Problem) -> tuple[ColumnKind | None, bool]:
    """The kind of values that pandera's name of a type stands for, and whether they are whole numbers."""
    from pandera import dtypes
    from pandera.engines.pandas_engine import Engine

    if dtype is None:
        return None, False
    try:
        found = Engine.dtype(str(dtype))
    except (TypeError, ValueError) as error:
        say(f"{path}: pandera knows no type {shorten(repr(dtype))} ({shorten(str(error))})")
        return None, False
    tests: Sequence[tuple[Callable[[Any], bool], ColumnKind]] = (
        (dtypes.is_bool, ColumnKind.BOOLEAN),
        (dtypes.is_datetime, ColumnKind.DATETIME),
        (dtypes.is_string, ColumnKind.STRING),
        (dtypes.is_int, ColumnKind.NUMBER),
        (dtypes.is_float, ColumnKind.NUMBER),
    )
    kinds = [kind for test, kind in tests if test(found)]
    if not kinds:
        say(f"{path}: {dtype} is refused: write int64, float64, bool, str or datetime64[ns], or leave it out")
        return None, False
    return kinds[0], kinds[0] is ColumnKind.NUMBER and bool(dtypes.is_int(found))


def _try(path: str, rule: ValueRule, kind: ColumnKind | None, say: Problem) -> None:
    """Hold one value of each kind that the rule is for against it, so that no rule fails over the data."""
    kinds = kinds_of(rule)
    if kind is not None and kind not in kinds:
        say(f"{path}: {rule.label} is no rule for a column of kind {kind.value}; write text in quotes, numbers without")
        return
    if not kinds:
        say(f"{path}: {rule.label} compares with values of no one kind; write text in quotes, numbers without")
    for one in kinds if kind is None else (kind,):
        try:
            breaks_of([rule], one)[0](tried_values(one))
        except Exception as error:  # noqa: BLE001 - pandera, pandas and re each raise their own
            say(f"{path}: pandera cannot use {rule.label}: {shorten(str(error), 200)}")
            return
