"""How columns are prepared before anything is learned from them: the rules of `data.prepare`, and their state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from raysweep.documents import Document, shorten

ColumnName = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
OneCharacter = Annotated[str, Field(min_length=1, max_length=1)]
DatePart = Literal[
    "year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "second", "days"
]
PlainValue = bool | int | float | str
OnError = Literal["raise", "coerce"]

_PART_OF_A_NUMBER: Final = frozenset("0123456789+-eE")


class _Rule(Document):
    """One step for the named columns; `rule` says which."""

    rule: str
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1)]

    @property
    def is_fitted(self) -> bool:
        """Whether it learns something from the rows that a model is fitted on."""
        return False

    @field_validator("columns")
    @classmethod
    def _names_each_once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for position, name in enumerate(columns) if name in columns[:position]]
        if twice:
            raise ValueError(f"the column {shorten(twice[0])!r} stands here twice")
        return columns


class ToNull(_Rule):
    """Values that stand for a missing one become missing: numbers, texts, booleans; dates as ISO text."""

    rule: Literal["to_null"]
    values: Annotated[tuple[PlainValue, ...], Field(min_length=1)]

    @field_validator("values")
    @classmethod
    def _fit_into_columns(cls, values: tuple[PlainValue, ...]) -> tuple[PlainValue, ...]:
        if any(isinstance(value, int) and abs(value) > 2**64 for value in values):
            raise ValueError("a value is beyond 2**64: no column holds it")
        return values


class Clip(_Rule):
    """Numbers outside of the bounds become the bound; quantiles are those of the rows that are fitted on."""

    rule: Literal["clip"]
    low: float | None = None
    high: float | None = None
    low_quantile: Share | None = None
    high_quantile: Share | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether a bound is a quantile."""
        return self.low_quantile is not None or self.high_quantile is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        pairs = ((self.low, self.low_quantile), (self.high, self.high_quantile))
        if all(one is None for pair in pairs for one in pair):
            raise ValueError("clip needs a bound: low, high, low_quantile or high_quantile")
        for end, (bound, quantile) in zip(("low", "high"), pairs, strict=True):
            if bound is not None and quantile is not None:
                raise ValueError(f"clip takes either {end} or {end}_quantile, not both")
        for low, high in ((self.low, self.high), (self.low_quantile, self.high_quantile)):
            if low is not None and high is not None and low >= high:
                raise ValueError(f"the lower bound {low:g} is not below the upper one, {high:g}")
        return self


class Drop(_Rule):
    """The columns are not learned from, nor checked."""

    rule: Literal["drop"]


class GroupRare(_Rule):
    """Categories in fewer rows than `below`, and those that are new, become one.

    `below` is a number, or a share, of the rows that are fitted on.
    """

    rule: Literal["group_rare"]
    below: Annotated[int, Field(ge=1)] | Share
    into: Annotated[str, Field(min_length=1)] = "(rare)"

    @property
    def is_fitted(self) -> bool:
        """Always: categories are counted."""
        return True


class DateParts(_Rule):
    """Dates become numbers, in columns called `<name>.<part>`; `days` count from 1970-01-01, Monday is weekday 0."""

    rule: Literal["date_parts"]
    parts: Annotated[tuple[DatePart, ...], Field(min_length=1)]

    @field_validator("parts")
    @classmethod
    def _holds_each_once(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(parts)) < len(parts):
            raise ValueError("a part stands here twice")
        return parts


class ToDate(_Rule):
    """Text becomes a date, read by a format such as `%d.%m.%Y %H:%M`."""

    rule: Literal["to_date"]
    format: str
    errors: OnError = "raise"

    @field_validator("format")
    @classmethod
    def _is_a_format(cls, text: str) -> str:
        try:
            datetime.strptime(datetime(2001, 2, 3, tzinfo=UTC).strftime(text), text)  # noqa: DTZ007 - only tried
        except (ValueError, re.error) as error:
            raise ValueError(f"{text!r} cannot be read as a format: {error}") from error
        if "%" not in text:
            raise ValueError(f"{text!r} holds no directive such as %Y-%m-%d")
        return text


class ToNumber(_Rule):
    """Text becomes a number; the characters of `strip` are dropped from both ends, and after a leading sign."""

    rule: Literal["to_number"]
    thousands: OneCharacter | None = None
    decimal: OneCharacter = "."
    strip: str = ""
    errors: OnError = "raise"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are the same character, {self.decimal!r}")
        for key, text in (("thousands", self.thousands or ""), ("decimal", self.decimal), ("strip", self.strip)):
            wrong = sorted(_PART_OF_A_NUMBER.intersection(text))
            if wrong:
                raise ValueError(f"{key} holds {wrong[0]!r}, which is part of a number itself")
        return self


class NormalizeText(_Rule):
    """Texts that differ only in blanks around or within them, or in case, become the same."""

    rule: Literal["normalize_text"]
    trim: bool = True
    collapse: bool = True
    casefold: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.trim or self.collapse or self.casefold):
            raise ValueError("normalize_text does nothing without trim, collapse and casefold")
        return self


Rule = ToNull | Clip | Drop | GroupRare | DateParts | ToDate | ToNumber | NormalizeText
PrepareRule = Annotated[Rule, Field(discriminator="rule")]


class RuleState(Document):
    """What a rule has learned from the rows that a model was fitted on; empty for most.

    Attributes:
        bounds: column -> low and high, None where there is no bound (`clip`).
        kept: column -> its categories that are not rare, sorted (`group_rare`).
    """

    bounds: Mapping[str, tuple[float | None, float | None]] = {}
    kept: Mapping[str, tuple[str, ...]] = {}


class PreparationDocument(Document):
    """model/prepare.json: the rules that a model's columns go through, each with its state."""

    schema_version: Literal[1] = 1
    rules: tuple[PrepareRule, ...]
    states: tuple[RuleState, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.rules) != len(self.states):
            raise ValueError(f"{len(self.rules)} rules have {len(self.states)} states")
        for rule, state in zip(self.rules, self.states, strict=True):
            held: set[str] = {*state.bounds, *state.kept}
            if (rule.is_fitted and held != set(rule.columns)) or (not rule.is_fitted and held):
                raise ValueError(f"the state of {rule.rule} does not fit its columns")
        return self


def rule_documents(rules: tuple[Rule, ...]) -> tuple[dict[str, Any], ...]:
    """The rules as JSON, without what has its default."""
    return tuple(rule.model_dump(mode="json", exclude_defaults=True) for rule in rules)


def rule_line(rule: Rule) -> str:
    """The rule on one line, as it may stand in a sweep file or a report."""
    options = [f"{key} {_shown(value)}" for key, value in rule_documents((rule,))[0].items() if key not in _NAMED]
    said = f" ({', '.join(options)})" if options else ""
    return f"{rule.rule}{said}: {', '.join(rule.columns)}"


_NAMED: Final = frozenset({"rule", "columns"})


def _shown(value: object) -> str:
    return ", ".join(map(_shown, value)) if isinstance(value, list) else shorten(str(value))
