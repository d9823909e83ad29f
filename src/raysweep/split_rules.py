"""How rows are dealt out to the three parts: what the sweep file may say of it, and what contradicts itself."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from raysweep.documents import Document
from raysweep.prepare_rules import ColumnName, Share

Seed = Annotated[int, Field(ge=0, lt=2**32)]
SplitKind = Literal["stratified", "random", "group", "time", "group+time", "column"]
# A time: text in ISO 8601 for a date, a plain number for a column of numbers.
RARE_CLASS_ROWS: Final = 200  # classes with fewer are dealt out by quota where the split is stratified
Moment = float | str

BY_TIME: Final = frozenset({"time", "group+time"})
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - all times are UTC without a zone
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])")
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


class PartsConfig(Document):
    """Shares of the rows; they add up to 1."""

    training: Share = 0.6
    testing: Share = 0.2
    validation: Share = 0.2

    @model_validator(mode="after")
    def _check(self) -> PartsConfig:
        total = self.training + self.testing + self.validation
        if abs(total - 1) > 1e-9:  # noqa: PLR2004
            raise ValueError(f"training, testing and validation must add up to 1, not {total:g}")
        return self


class SplitConfig(Document):
    """How rows are assigned to training, testing and validation.

    Attributes:
        kind: stratified by class, random, group (rows of one `data.group` stay together), time (`data.time`: the
            earliest rows train, the latest validate), group+time (a whole group goes where its first row's time puts
            it) or column (`column` says it); inferred when absent.
        key: the columns that identify a row; all but the target when absent.
        column: kind column: the column that holds training, testing or validation.
        embargo: kinds by time: how long before each cut rows are left out, such as 7d (w, d, h, m, s), or a number
            where `data.time` holds numbers.
        cuts: kinds by time: when testing and validation begin, as `data/split.json` records it.
    """

    kind: SplitKind | None = None
    key: Annotated[tuple[ColumnName, ...], Field(min_length=1)] | None = None
    column: ColumnName | None = None
    embargo: Moment | None = None
    cuts: tuple[Moment, Moment] | None = None
    parts: PartsConfig = PartsConfig()
    folds: Literal["auto"] | Annotated[int, Field(ge=1, le=20)] = "auto"
    seed: Seed = 0

    @field_validator("embargo", mode="before")
    @classmethod
    def _is_no_flag(cls, embargo: object) -> object:
        if isinstance(embargo, bool):
            raise ValueError(f"write it as 7d, 12h, 30m, 45s or 2w, or as a number over 0, not {str(embargo).lower()}")  # noqa: TRY004 - pydantic wants it
        return embargo

    @field_validator("embargo")
    @classmethod
    def _is_a_span(cls, embargo: Moment | None) -> Moment | None:
        if embargo is not None and (span_of(embargo) or 0) <= 0:
            raise ValueError(f"write it as 7d, 12h, 30m, 45s or 2w, or as a number over 0, not {embargo}")
        return embargo

    @field_validator("cuts", mode="before")
    @classmethod
    def _dates_as_text(cls, cuts: object) -> object:
        if not isinstance(cuts, list | tuple):
            return cuts
        return tuple(cut.isoformat() if isinstance(cut, date) else cut for cut in cuts)

    @field_validator("cuts")
    @classmethod
    def _in_order(cls, cuts: tuple[Moment, Moment] | None) -> tuple[Moment, Moment] | None:
        if cuts is None:
            return cuts
        if isinstance(cuts[0], str) is not isinstance(cuts[1], str):
            raise ValueError("both are dates, or both are numbers")
        first, second = (instant_of(cut) if isinstance(cut, str) else cut for cut in cuts)
        if not first < second:
            raise ValueError(f"testing begins before validation: {cuts[0]} is not before {cuts[1]}")
        return cuts


def span_of(span: Moment) -> float | None:
    """A span as microseconds (or the number that it is); None where the text is none.

    Args:
        span: such as `7d`, or a number.
    """
    if not isinstance(span, str):
        return span
    found = _SPAN.fullmatch(span.strip())
    return None if found is None else float(found[1]) * _SECONDS[found[2]] * 1e6


def instant_of(text: str) -> float:
    """Microseconds since 1970 of a date in ISO 8601; UTC where it carries no zone.

    Raises:
        ValueError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"write a date as 2026-01-31 or 2026-01-31T12:00:00, not {text!r}") from error
    plain = found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo is not None else found
    return float((plain - _EPOCH) // timedelta(microseconds=1))


def iso_of(microseconds: float) -> Moment:
    """The date in ISO 8601, in UTC; the number itself where the calendar ends before it."""
    try:
        return (_EPOCH + timedelta(microseconds=int(microseconds))).isoformat()
    except OverflowError:
        return microseconds


def contradiction(split: SplitConfig, *, group: str | None, time: str | None) -> str | None:
    """What in `split` cannot be together, or not with `data.group` and `data.time`; None where nothing is."""
    return _lacking(split, group, time) or _needless(split) or _apart(split, group)


def _lacking(split: SplitConfig, group: str | None, time: str | None) -> str | None:
    kind = split.kind
    if kind in {"group", "group+time"} and group is None:
        return f"split.kind is {kind}, but data.group names no column"
    if kind in BY_TIME and time is None:
        return f"split.kind is {kind}, but data.time names no column"
    if kind == "column" and split.column is None:
        return "split.kind is column, but split.column names no column"
    return None


def _needless(split: SplitConfig) -> str | None:
    if split.column is not None and split.kind != "column":
        return f"split.column is {split.column!r}, which goes with split.kind: column alone"
    for name, given in (("embargo", split.embargo), ("cuts", split.cuts)):
        if given is not None and split.kind not in BY_TIME:
            return f"split.{name} goes with split.kind: time or group+time alone"
    return None


def _apart(split: SplitConfig, group: str | None) -> str | None:
    """Two answers to which rows stay together."""
    kind, by_time = split.kind, split.kind in BY_TIME
    if group is not None and kind in {"stratified", "random", "time"}:
        return f"data.group keeps rows together, but split.kind is {kind}: leave it out, or say group or group+time"
    if group is not None and split.key is not None:
        return "data.group and split.key both say which rows stay together; give one of them"
    if by_time and split.key is not None:
        return f"split.kind is {kind}: rows are not told apart by split.key; leave it out"
    if by_time and split.folds not in {"auto", 1}:
        return f"split.kind {kind} has no folds: later rows would train what predicts earlier ones"
    return None
