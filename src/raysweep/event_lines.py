"""Events as lines of JSON, and back: what `--events jsonl` writes, and whoever follows a sweep from elsewhere reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, Final, get_args

from raysweep.documents import Document, read_record
from raysweep.events import Event, SearchPlanned
from raysweep.records.trial import Trial

_KINDS: Final[Mapping[str, type[Event]]] = {kind.__name__: kind for kind in get_args(Event)}
_KNOWN: Final = "TrialKnown"  # a trial of a driver before this one: a line each, so that none is longer than others
_START: Final = '{"event": "'


def event_lines(event: Event) -> Iterator[str]:
    """The event as lines, its class's name under `event`; one line, but for a search that goes on with known trials."""
    if isinstance(event, SearchPlanned):
        for trial in event.known:
            yield _line(_KNOWN, {"trial": plain_view(trial)})
    yield _line(type(event).__name__, plain_view(event))


class EventReader:
    """Reads the lines that `event_lines` wrote, among lines of others; one reader for each log."""

    def __init__(self) -> None:
        self._known: list[Trial] = []

    def read(self, line: str) -> Event | str | None:
        """What a line says.

        Returns:
            The event; the line itself where it is none; None where what it says belongs to an event that is to come.
        """
        found = _parsed(line)
        if found is None:
            return line
        try:
            if found["event"] == _KNOWN:
                self._known.append(read_record(Trial, found["trial"]))
                return None
            event: Event = read_record(_KINDS[found["event"]], found)
        except (KeyError, TypeError, ValueError):
            return line  # a newer raysweep may have kinds and words that this one does not know
        if isinstance(event, SearchPlanned):
            event, self._known = replace(event, known=tuple(self._known)), []
        return event


def plain_view(value: object) -> Any:
    """`value` as JSON can hold it, without what records hide from their repr: references, data, private folders."""
    plain: Any
    match value:
        case Enum():
            plain = plain_view(value.value)
        case float():
            plain = value if math.isfinite(value) else None
        case None | str() | int():
            plain = value
        case Document():
            plain = value.model_dump(mode="json", by_alias=True)
        case Mapping():
            plain = {str(key): plain_view(one) for key, one in value.items()}
        case AbstractSet():
            plain = sorted(plain_view(one) for one in value)
        case list() | tuple():
            plain = [plain_view(one) for one in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            plain = {field.name: plain_view(getattr(value, field.name)) for field in fields(value) if field.repr}
        case _:
            plain = str(value)
    return plain


def _line(kind: str, plain: Mapping[str, Any]) -> str:
    return json.dumps({"event": kind, **plain}, ensure_ascii=False, allow_nan=False)


def _parsed(line: str) -> Mapping[str, Any] | None:
    if not line.startswith(_START):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
