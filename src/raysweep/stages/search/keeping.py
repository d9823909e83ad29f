"""What long trials have come to: handed to the store while they run, and fetched from there when they go on.

Nothing here waits for the store: a state is fetched by a thread while the search does other things.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from raysweep.errors import NotFound
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.slot_events import Reached
from raysweep.stages.search.steering import Steering
from raysweep.stages.search.trial_log import Kept
from raysweep.storage.kept_states import KeptStates
from raysweep.training.kept_state import KeptState

_AHEAD: Final = 2  # attempts that are got ready at a time
_OVERTAKEN_AFTER_SECONDS: Final = 10.0


class _Coming:
    """An attempt, and the state from which it goes on, once that is here.

    Attributes:
        until: nobody overtakes it before that, by `time.monotonic`.
        state: from which it goes on; None: it begins anew.
        why: it begins anew though it should not; empty where it should.
    """

    def __init__(self, attempt: Attempt, place: KeptStates | None) -> None:
        self.attempt = attempt
        self.until = time.monotonic() + _OVERTAKEN_AFTER_SECONDS
        self.state: bytes | None = None
        self.why = ""
        self._here = threading.Event()
        if place is None or attempt.start is None:
            self._here.set()
        else:
            threading.Thread(
                target=self._fetch, args=(place, attempt.start), name="raysweep-fetch", daemon=True
            ).start()

    @property
    def is_here(self) -> bool:
        """Whether it can begin."""
        return self._here.is_set()

    def _fetch(self, place: KeptStates, kept: Kept) -> None:
        try:
            state = place.get(kept.key, kept.sha256)
            KeptState.unpack(state)
            self.state = state
        except NotFound:
            self.why = "its state is gone"
        except Exception as error:  # noqa: BLE001 - whatever it is, the trial begins anew
            self.why = f"its state cannot be read ({str(error) or type(error).__name__})"
        finally:
            self._here.set()


class Keeping:
    """Keeps the states of long trials, and finds them again.

    Args:
        place: for them; None: every attempt begins anew.
        steering: of the search.
        say: gets a sentence.
    """

    def __init__(self, place: KeptStates | None, steering: Steering, say: Callable[[str], None]) -> None:
        self._place, self._steering, self._say = place, steering, say
        self._said_unkept = False
        self._coming: deque[_Coming] = deque()
        self._ready: dict[int, _Coming] = {}

    def next(self) -> Attempt | None:
        """What to run next; one that goes on from a state comes when that is here."""
        while len(self._coming) < _AHEAD and (attempt := self._steering.next()) is not None:
            self._coming.append(_Coming(attempt, self._place))
            if attempt.start is None:  # it can begin when those before it have: nothing else is needed now
                break
        now = time.monotonic()
        for one in self._coming:
            if one.is_here:
                self._coming.remove(one)
                self._ready[one.attempt.candidate.number] = one
                return one.attempt
            if now < one.until:
                return None
        return None

    def start_of(self, attempt: Attempt) -> bytes | None:
        """The state that an attempt goes on from, as it begins."""
        ready = self._ready.pop(attempt.candidate.number)
        if self._place is None or attempt.start is None:
            return None
        number = attempt.candidate.number
        if ready.state is None:
            self._say(f"trial {number} begins anew: {ready.why}")
            self._steering.begins_anew(number)
        else:
            self._say(f"trial {number} goes on from rung {attempt.start.rung}")
        return ready.state

    def reached(self, reached: Reached) -> None:
        """Keep what a trial has come to that goes on."""
        number = reached.attempt.candidate.number
        if reached.unkept and not self._said_unkept:
            self._said_unkept = True
            self._say(f"trial {number} would begin anew if its process was lost: {reached.unkept}")
        if self._place is not None and reached.state:
            self._place.put(number, reached.report.rung, reached.state)

    def look(self) -> None:
        """Write down what lies in the store by now."""
        for one in () if self._place is None else self._place.take_stored():
            self._steering.kept(one.candidate, Kept(one.rung, one.key, one.sha256))

    def forget(self, number: int) -> None:
        """Let go of the states of a trial that is over."""
        if self._place is not None and not self._steering.is_open(number):
            self._place.forget(number)
