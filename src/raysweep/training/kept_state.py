"""What a trial has come to, as bytes: another process goes on from there as if nothing had happened. No pickle.

8 bytes     how long the head is
head        JSON: the rung, the seconds so far, what each learner needs beside its model, and the models' lengths
models      one after the other, in the family's own format
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, cast

from raysweep.documents import canonical_json
from raysweep.training.learner import Learner

_LENGTH_BYTES: Final = 8
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class LearnerState:
    """All that a learner needs to go on growing.

    Attributes:
        model: in the library's own format.
        grown: how many rounds it has.
        rounds: as `Learner.rounds`.
        curve: as `Learner.curve`.
        finished: as `Learner.finished`.
    """

    model: bytes
    grown: int
    rounds: int
    curve: tuple[float, ...]
    finished: bool


class Lasting(Protocol):
    """A learner that can go on from a kept state: the same rounds follow, bit for bit."""

    def keep(self) -> LearnerState:
        """What it has come to."""
        ...

    def take_up(self, state: LearnerState) -> None:
        """Go on from what another one has kept; nothing may have been fitted yet."""
        ...


def lasting(learner: Learner) -> Lasting | None:
    """The learner as one that can go on from a kept state; None where its family cannot."""
    return cast("Lasting", learner) if hasattr(learner, "take_up") else None


@dataclass(frozen=True, slots=True)
class KeptState:
    """What a trial has come to at a rung.

    Attributes:
        rung: that it has reached.
        seconds, cpu_seconds: that it has taken up to there.
        learners: one; with folds, that of each fold so far.
    """

    rung: int
    seconds: float
    cpu_seconds: float
    learners: tuple[LearnerState, ...]

    def pack(self) -> bytes:
        """As bytes."""
        told = [
            {key: value for key, value in asdict(one).items() if key != "model"} | {"bytes": len(one.model)}
            for one in self.learners
        ]
        head = canonical_json(
            {
                "version": _VERSION,
                "rung": self.rung,
                "seconds": self.seconds,
                "cpu_seconds": self.cpu_seconds,
                "learners": told,
            }
        )
        models = b"".join(one.model for one in self.learners)
        return len(head).to_bytes(_LENGTH_BYTES, "big") + head + models

    @classmethod
    def unpack(cls, content: bytes) -> KeptState:
        """From what `pack` gave.

        Raises:
            ValueError: it is something else, or of another version.
        """
        begin = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "big")
        head: dict[str, Any] = json.loads(content[_LENGTH_BYTES:begin])
        if head.get("version") != _VERSION:
            raise ValueError(f"a kept state of version {head.get('version')}; this one reads {_VERSION}")
        learners = []
        for told in head["learners"]:
            end = begin + int(told["bytes"])
            learners.append(_learner(content[begin:end], told))
            begin = end
        if begin != len(content):
            raise ValueError(f"a kept state of {begin:,} bytes holds {len(content):,}")
        return cls(int(head["rung"]), float(head["seconds"]), float(head["cpu_seconds"]), tuple(learners))


def _learner(model: bytes, told: dict[str, Any]) -> LearnerState:
    curve = tuple(float(value) for value in told["curve"])
    return LearnerState(model, int(told["grown"]), int(told["rounds"]), curve, bool(told["finished"]))


class Course:
    """How far the evaluation of a candidate has come.

    Args:
        start: where it goes on from; None: it begins.

    Attributes:
        rung: that was reached last.
        learners: those that the next rung goes on with.
    """

    def __init__(self, start: KeptState | None = None) -> None:
        self.start = start
        self.rung = 0 if start is None else start.rung
        self.seconds = 0.0 if start is None else start.seconds
        self.cpu_seconds = 0.0 if start is None else start.cpu_seconds
        self.learners: Sequence[Learner] = ()

    def keep(self) -> KeptState | None:
        """What the trial has come to; None where its family cannot go on from that."""
        able = [lasting(learner) for learner in self.learners]
        known = [one for one in able if one is not None]
        if not known or len(known) != len(able):
            return None
        return KeptState(self.rung, self.seconds, self.cpu_seconds, tuple(one.keep() for one in known))
