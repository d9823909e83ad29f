"""Which attempt begins next: the first for which there is a slot, of a few that are held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from raysweep.stages.search.attempts import Attempt

# Where there are slots of two kinds, so many attempts may wait for one kind before the other has to wait, too: each of
# them was proposed without knowing what the others will show.
MOST_HELD: Final = 8


class IdleSlots(Protocol):
    """Where attempts begin."""

    @property
    def has_idle(self) -> bool:
        """Whether any process waits for a candidate."""
        ...

    def can_begin(self, attempt: Attempt) -> bool:
        """Whether a process waits for this one, and there is room for it beside what runs."""
        ...

    def has_idle_for(self, attempt: Attempt) -> bool:
        """Whether a process waits that could take it, were there room beside what runs."""
        ...


class Held:
    """Attempts that wait for a slot of their kind.

    One that waits for room, since it needs memory or has to run alone, is overtaken by nobody: it would wait for ever.
    One that waits for a slot of its kind is overtaken by those of the other kind.

    Args:
        propose: gives the next attempt; None where there is none for now.
    """

    def __init__(self, propose: Callable[[], Attempt | None]) -> None:
        self._propose = propose
        self._held: list[Attempt] = []

    def take(self, slots: IdleSlots) -> Attempt | None:
        """What can begin now; None where nothing can."""
        if not slots.has_idle:
            return None
        for attempt in self._held:
            if slots.can_begin(attempt):
                self._held.remove(attempt)
                return attempt
            if slots.has_idle_for(attempt):
                return None
        while len(self._held) < MOST_HELD:
            proposed = self._propose()
            if proposed is None or slots.can_begin(proposed):
                return proposed
            self._held.append(proposed)
            if slots.has_idle_for(proposed):
                return None
        return None
