"""The loop of a search: begins attempts, takes in what happens to them, and keeps what long ones have come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.holding import Held
from raysweep.stages.search.ray_slots import SlotProcesses
from raysweep.stages.search.slot_events import Broke, Gone, Happened, Overdue, Reached
from raysweep.stages.search.steering import Steering
from raysweep.stages.search.trial_log import Kept, Loss
from raysweep.storage.kept_states import KeptStates

_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Watch:
    """What goes on beside the trials.

    Attributes:
        must_stop: why the search has to end now, if so.
        look: is called from time to time.
        masked: takes out of a text what nobody may read.
    """

    must_stop: Callable[[], str | None]
    look: Callable[[], None]
    masked: Callable[[str], str]


class Keeping:
    """Keeps the states of long trials, and finds them again; nothing where there is no place for them.

    Args:
        place: for them.
        say: gets a sentence.
    """

    def __init__(self, place: KeptStates | None, say: Callable[[str], None]) -> None:
        self._place = place
        self._say = say
        self._said_unkept = False

    def start_of(self, attempt: Attempt) -> bytes | None:
        """The state that an attempt goes on from."""
        if self._place is None or attempt.start is None:
            return None
        state = self._place.get(attempt.start.key, attempt.start.sha256)
        number = attempt.candidate.number
        told = f"goes on from rung {attempt.start.rung}" if state is not None else "begins anew: its state is gone"
        self._say(f"trial {number} {told}")
        return state

    def put(self, reached: Reached) -> None:
        """Keep what a trial has come to that goes on."""
        number = reached.attempt.candidate.number
        if reached.unkept and not self._said_unkept:
            self._said_unkept = True
            self._say(f"trial {number} would begin anew if its process was lost: {reached.unkept}")
        if self._place is not None and reached.state:
            self._place.put(number, reached.report.rung, reached.state)

    def look(self, steering: Steering) -> None:
        """Write down what lies in the store by now."""
        for one in () if self._place is None else self._place.take_stored():
            steering.kept(one.candidate, Kept(one.rung, one.key, one.sha256))

    def forget(self, number: int, steering: Steering) -> None:
        """Let go of the states of a trial that is over."""
        if self._place is not None and not steering.is_open(number):
            self._place.forget(number)


def run_trials(steering: Steering, slots: SlotProcesses, watch: Watch, keeping: Keeping) -> str | None:
    """Run trials until nothing is left.

    Returns:
        Why the search had to stop before that, if so.
    """
    held = Held(steering.next)
    while True:
        why = watch.must_stop()
        if why is not None:
            return why
        attempt = held.take(slots)
        if attempt is not None:
            steering.begin(attempt, slots.begin(attempt, keeping.start_of(attempt)))
            continue
        if steering.is_over:
            return None
        for one in slots.wait(_POLL_SECONDS):
            _take_in(one, steering, slots, watch.masked)
            if isinstance(one, Reached) and one.state:
                keeping.put(one)
            keeping.forget(one.attempt.candidate.number, steering)
        keeping.look(steering)
        watch.look()


def _take_in(happened: Happened, steering: Steering, slots: SlotProcesses, masked: Callable[[str], str]) -> None:
    number = happened.attempt.candidate.number
    match happened:
        case Reached(attempt, report, node):
            if steering.reached(number, report, node):
                slots.go_on(attempt)
            else:
                slots.finish(attempt)
        case Broke(attempt, reason, error, memory):
            if memory and not attempt.alone:
                steering.lost(number, Loss(masked(reason), alone=True))
            else:
                steering.failed(number, masked(reason), masked(error))
        case Overdue(_, reason):
            steering.overdue(number, reason)
        case Gone(_, loss):
            steering.lost(number, loss)
