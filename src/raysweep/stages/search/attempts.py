"""What a search knows of a candidate that is being tried, and how far it goes with one that loses its process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from raysweep.records.aims import Aims
from raysweep.records.trial import Candidate, RungReport, Trial
from raysweep.stages.search.trial_log import Kept

# One that asked for too much memory is tried once more, alone. What a process died of is not to be seen: it may have
# been killed from outside, and that twice; or have run out of memory, so that the last attempt is alone.
MAX_ATTEMPTS_FOR_MEMORY: Final = 2
MAX_ATTEMPTS: Final = 3
MAX_MOVES: Final = 20


class Decider(Protocol):
    """Decides at each rung whether a trial goes on."""

    def begin(self, number: int) -> None:
        """A trial begins."""

    def decide(self, number: int, report: RungReport) -> str:
        """Why it does not go on from this rung, in words; "" where it does."""

    def end(self, number: int) -> None:
        """It is over."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A candidate that a slot shall run now.

    Attributes:
        number: which attempt at it this is, from 1.
        alone: nothing else may run beside it.
        start: the rung from which it goes on; None: from the beginning.
    """

    candidate: Candidate
    number: int = 1
    alone: bool = False
    start: Kept | None = None


@dataclass(frozen=True, slots=True)
class SteeringRules:
    """How far a search goes.

    Attributes:
        trials: how many candidates may be tried.
        batch: how many are proposed and decided about together; None: each as soon as it can be.
        aims: with the bounds beyond which no trial goes on.
        answer_repeats: a candidate that was tried, or runs, is answered with what comes of that, not tried again.
        space: identifies the search space: in another one candidates that were used up may be new again.
    """

    trials: int
    aims: Aims
    batch: int | None = None
    answer_repeats: bool = True
    space: str = ""


@dataclass(slots=True)
class Tried:
    """A candidate that was proposed and is not settled yet.

    Attributes:
        stops: why it does not go on from its last rung; "" where it does.
        kept: the last rung from which it can go on in another process.
        answers: as `Ending.answers`, once it has ended.
        echoes: the same candidate, proposed again meanwhile.
    """

    candidate: Candidate
    attempts: int = 0
    moves: int = 0
    alone: bool = False
    reports: list[RungReport] = field(default_factory=list)
    stops: str = ""
    kept: Kept | None = None
    ended: Trial | None = None
    answers: bool = True
    echoes: list[Candidate] = field(default_factory=list)


def again(tried: Tried) -> Attempt:
    """The next attempt at it."""
    return Attempt(tried.candidate, tried.attempts + 1, tried.alone, tried.kept)
