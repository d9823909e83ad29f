"""What happens to the trials in slots."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.records.trial import RungReport
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.trial_log import Loss


@dataclass(frozen=True, slots=True)
class Reached:
    """A trial has reached a rung; `go_on` or `finish` says what now.

    Attributes:
        state: what it has come to, for another process to go on from; empty where that is not kept.
        unkept: why it is not, where it should be.
    """

    attempt: Attempt
    report: RungReport
    node: str
    state: bytes = b""
    unkept: str = ""


@dataclass(frozen=True, slots=True)
class Broke:
    """A trial has raised an error.

    Attributes:
        reason: what it says of itself, on one line.
        error: the traceback.
        memory: it asked for more memory than it may have.
    """

    attempt: Attempt
    reason: str
    error: str
    memory: bool


@dataclass(frozen=True, slots=True)
class Overdue:
    """A trial took longer than a trial may, and its process was killed; or it has waited in vain for a node.

    Attributes:
        answers: as `Ending.answers`.
    """

    attempt: Attempt
    reason: str
    answers: bool = True


@dataclass(frozen=True, slots=True)
class Gone:
    """A trial has lost its process."""

    attempt: Attempt
    loss: Loss


Happened = Reached | Broke | Overdue | Gone
