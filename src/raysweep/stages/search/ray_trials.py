"""The loop of a search: begins attempts, and takes in what happens to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from raysweep.stages.search.holding import Held
from raysweep.stages.search.keeping import Keeping
from raysweep.stages.search.ray_slots import SlotProcesses
from raysweep.stages.search.slot_events import Broke, Gone, Happened, Overdue, Reached
from raysweep.stages.search.steering import Steering
from raysweep.stages.search.trial_log import Loss

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


def run_trials(steering: Steering, slots: SlotProcesses, watch: Watch, keeping: Keeping) -> str | None:
    """Run trials until nothing is left.

    Returns:
        Why the search had to stop before that, if so.
    """
    held = Held(keeping.next)
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
            if isinstance(one, Reached):
                keeping.reached(one)
            keeping.forget(one.attempt.candidate.number)
        keeping.look()
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
        case Overdue(_, reason, answers):
            steering.overdue(number, reason, answers=answers)
        case Gone(_, loss):
            steering.lost(number, loss)
