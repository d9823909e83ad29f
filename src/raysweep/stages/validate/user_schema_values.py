"""The rules of one column in a user's schema, in each of the forms in which pandera reads and writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import pandas as pd

from raysweep.documents import shorten, suggest
from raysweep.records.table import ColumnKind
from raysweep.stages.validate.user_schema_rules import ALIASES, ARGUMENTS, WHOLE_COLUMN, ValueRule

Problem = Callable[[str], None]

_PLAIN: Final = (str, int, float, date, datetime)
_LISTS: Final = ("allowed_values", "forbidden_values")
# An option of a check -> the values that change nothing, and why it is refused with another; None: any value.
_OPTIONS: Final[Mapping[str, tuple[tuple[Any, ...] | None, str]]] = {
    "check_name": (None, ""),
    "name": (None, ""),
    "error": (None, ""),
    "title": (None, ""),
    "description": (None, ""),
    "n_failure_cases": (None, ""),
    "ignore_na": ((True,), "whether values may be missing is said by nullable"),
    "raise_warning": ((False,), "write checks.set: {schema.rule: {error: 1}} in the sweep file for warnings alone"),
    "groupby": ((None,), "groups take all rows at once, and the table is checked block by block"),
    "groups": ((None,), "groups take all rows at once, and the table is checked block by block"),
    "element_wise": ((None, False), "it is for checks with code of their own"),
}


def read_rules(path: str, column: Mapping[str, Any], known: Sequence[str], say: Problem) -> tuple[ValueRule, ...]:
    """The rules of a column, in their order, each once.

    Args:
        path: of the column in its document.
        column: what the document says of it.
        known: its keys that are no rules.
        say: takes each problem.
    """
    beside = [str(key) for key in column if key not in known]
    if beside and column.get("checks") is not None:
        say(f"{path}: pandera passes over {', '.join(beside)} where there are `checks`; write all rules in one form")
    entries = [*_entries(f"{path}.checks", column.get("checks"), say), *((key, column[key]) for key in beside)]
    rules = [_read_rule(f"{path}.{name}", name, value, say) for name, value in entries]
    return tuple({rule.key: rule for rule in rules if rule is not None}.values())


def tried_values(kind: ColumnKind) -> Any:
    """A pandas Series of one value of the kind, in the type that values of a block have."""
    values = {
        ColumnKind.NUMBER: pd.Series([0.0]),
        ColumnKind.BOOLEAN: pd.Series([False]),
        ColumnKind.DATETIME: pd.Series([pd.Timestamp(0)]).astype("datetime64[us]"),
    }
    return values.get(kind, pd.Series(["a"], dtype="str"))


def _entries(path: str, checks: Any, say: Problem) -> Iterator[tuple[str, Any]]:
    """Name and arguments of each rule below `checks`, which is a mapping or a list."""
    if isinstance(checks, Mapping):
        yield from ((str(name), value) for name, value in checks.items())
    elif isinstance(checks, list):
        for position, one in enumerate(checks):
            options = one.get("options") if isinstance(one, Mapping) else None
            if isinstance(options, Mapping) and isinstance(options.get("check_name"), str):
                yield options["check_name"], one
            else:
                say(f"{path}[{position}]: must be as `{{value: 0, options: {{check_name: greater_than}}}}`")
    elif checks is not None:
        say(f"{path}: must be a mapping such as `greater_than: 0`, or a list, not {shorten(repr(checks))}")


def _read_rule(path: str, written: str, value: Any, say: Problem) -> ValueRule | None:
    check = ALIASES.get(written, written)
    if check in WHOLE_COLUMN:
        say(f"{path}: is refused: it takes the whole column at once, and the table is checked block by block")
        return None
    if check not in ARGUMENTS:
        known = suggest(written, (*ARGUMENTS, *ALIASES)) or f" (known: {', '.join(ARGUMENTS)})"
        say(f"{path}: is none of pandera's checks of single values, and a config brings no code of its own{known}")
        return None
    given = _arguments(check, value)
    for key, option in _options(check, given, value).items():
        harmless, why = _OPTIONS.get(key, (None, ""))
        if key not in _OPTIONS:
            say(f"{path}.{key}: unknown{suggest(key, ARGUMENTS[check])} (known: {', '.join(ARGUMENTS[check])})")
        elif harmless is not None and option not in harmless:
            say(f"{path}.{key}: is refused: {why}")
    arguments = {key: given[key] for key in ARGUMENTS[check] if given.get(key) is not None}
    problem = _argument_problem(check, arguments)
    if problem:
        say(f"{path}: {problem}")
        return None
    return ValueRule(check, arguments)


def _arguments(check: str, value: Any) -> Mapping[str, Any]:
    """The arguments by their names, and what else stands beside them."""
    first = ARGUMENTS[check][0]
    if not isinstance(value, Mapping):
        return {first: value}
    given = {str(key): one for key, one in value.items() if key != "options"}
    if "value" in given and first not in given:
        given[first] = given.pop("value")
    return given


def _options(check: str, given: Mapping[str, Any], value: Any) -> dict[str, Any]:
    options = value.get("options") if isinstance(value, Mapping) else None
    beside = {key: one for key, one in given.items() if key not in ARGUMENTS[check]}
    return {**beside, **({str(key): one for key, one in options.items()} if isinstance(options, Mapping) else {})}


def _argument_problem(check: str, arguments: Mapping[str, Any]) -> str:
    needed = ARGUMENTS[check][:2] if check == "in_range" else ARGUMENTS[check][:1]
    if check == "str_length":
        needed = () if arguments else ("min_value, max_value or exact_value",)
    absent = [name for name in needed if name not in arguments]
    if absent:
        return f"needs {' and '.join(absent)}"
    for name, value in arguments.items():
        if name in _LISTS:
            if not (isinstance(value, list) and value and all(isinstance(one, _PLAIN) for one in value)):
                return f"{name} must be a list of plain values, not {shorten(repr(value))}"
        elif name.startswith("include_"):
            if not isinstance(value, bool):
                return f"{name} must be true or false, not {shorten(repr(value))}"
        elif not isinstance(value, _PLAIN):
            return f"{name} must be a plain value, not {shorten(repr(value))}"
    return ""
