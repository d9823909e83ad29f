"""What carrying a sweep out again came to: a table of stages, the first that differs, and an outcome in one word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from raysweep.documents import plain_record
from raysweep.errors import EXIT_OK, BundleRefused

TOLERANCE: Final = 1e-6


class StageName(StrEnum):
    """The stages that are compared, in their order: what stands earlier may be why what stands later differs."""

    ENVIRONMENT = "environment"
    DATA = "data"
    SPLIT = "split"
    CHECKS = "checks"  # behind the split, since some look at rows of training and testing alone
    PREPARATION = "preparation"
    SEARCH = "search"
    MODEL = "model"
    PREDICTIONS = "predictions"
    FINAL_CHECK = "final check"


class Outcome(StrEnum):
    """How near what the model gives is to what it gave."""

    IDENTICAL = "identical"  # bit for bit
    EQUIVALENT = "equivalent"  # predictions within 1e-6, of numbers on the scale of their spread
    STATISTICALLY_THE_SAME = "statistically the same"  # the score lies in the interval that was published
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that was looked at.

    Attributes:
        then, now: as the bundle says it, and as it is here, in words or numbers.
        same: None where it is told for information: it does not count.
    """

    what: str
    then: Any
    now: Any
    same: bool | None

    @classmethod
    def of(cls, what: str, then: object, now: object) -> Compared:
        """Compared by equality."""
        return cls(what, then, now, then == now)

    @classmethod
    def told(cls, what: str, then: object, now: object) -> Compared:
        """For information."""
        return cls(what, then, now, None)


@dataclass(frozen=True, slots=True)
class StageCompared:
    """A stage, then and now.

    Attributes:
        not_reached: why it could not be carried out again; empty where it was.
    """

    stage: StageName
    compared: tuple[Compared, ...] = ()
    not_reached: str = ""

    @property
    def differing(self) -> tuple[Compared, ...]:
        """What is not as it was."""
        return tuple(one for one in self.compared if one.same is False)

    @property
    def same(self) -> bool:
        """Whether it was carried out, and nothing in it differs."""
        return not self.not_reached and not self.differing


@dataclass(frozen=True, slots=True)
class Measured:
    """What the outcome is judged by.

    Attributes:
        gap: the largest difference between predictions then and now on the same rows, as
            `raysweep.training.agreement.gap`; 0 only where all are equal; None where no model is published.
        score, score_then: of the final check, now and then; NaN where the metric is not defined.
        low, high: of the published interval.
        same_rows: both scores are about the same rows.
        further_same: whatever else was measured of the model is equal bit for bit.
    """

    gap: float | None
    score: float
    score_then: float
    low: float
    high: float
    same_rows: bool
    further_same: bool = True

    def judged(self) -> Outcome:
        """In one word: by what the model predicts, and by its score on validation rows."""
        both_undefined = math.isnan(self.score) and math.isnan(self.score_then)
        score_same = both_undefined or self.score == self.score_then
        if score_same and self.further_same and self.gap in {None, 0.0}:
            return Outcome.IDENTICAL
        within = self.gap is not None and self.gap <= TOLERANCE  # NaN is not
        near = score_same or abs(self.score - self.score_then) <= TOLERANCE * self._score_scale
        inside = both_undefined or self.low <= self.score <= self.high
        if within and (near or (self.same_rows and inside)):  # a rank or a class may change with the last digit
            return Outcome.EQUIVALENT
        if inside:
            return Outcome.STATISTICALLY_THE_SAME
        return Outcome.DIFFERENT

    @property
    def _score_scale(self) -> float:
        """The width of the published interval, in the unit of the score; the score itself where it has none."""
        width = self.high - self.low
        return width if 0 < width < math.inf else abs(self.score_then)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What `raysweep.reproduce` found.

    The outcome is about what the model gives: its predictions and its score. The stages say where anything differs. So
    an outcome may be `identical` though a stage differs: another version of a package that changed nothing is one.

    Attributes:
        url: of the bundle.
        stages: in their order; those after one that could not be carried out say so.
        seconds: wall time.
    """

    url: str
    outcome: Outcome
    stages: tuple[StageCompared, ...]
    seconds: float = 0.0

    @property
    def differing(self) -> tuple[str, ...]:
        """The names of all stages that differ, or were not reached."""
        return tuple(one.stage.value for one in self.stages if not one.same)

    @property
    def first_difference(self) -> str | None:
        """The name of the first stage in which something differs, else that was not reached; None where none."""
        first = self._first
        return None if first is None else first.stage.value

    @property
    def exit_code(self) -> int:
        """8 where the outcome is `different`, else 0."""
        return BundleRefused.exit_code if self.outcome is Outcome.DIFFERENT else EXIT_OK

    @property
    def sentence(self) -> str:
        """The outcome and the first difference in one sentence."""
        first = self._first
        if first is None:
            return f"{self.outcome.value}: every stage is as it was"
        said = "; ".join(_said(one) for one in first.differing[:3]) or first.not_reached
        return f"{self.outcome.value}; the first stage that differs is {first.stage.value}: {said}"

    @property
    def _first(self) -> StageCompared | None:
        """What was not reached follows from what differs elsewhere, if anything does."""
        differing = [one for one in self.stages if one.differing] or [one for one in self.stages if not one.same]
        return differing[0] if differing else None

    def to_document(self) -> dict[str, Any]:
        """As `raysweep reproduce --json` prints it."""
        stages = [
            {
                "stage": one.stage.value,
                "same": one.same,
                "not_reached": one.not_reached or None,
                "compared": plain_record(one.compared),
            }
            for one in self.stages
        ]
        return {
            "url": self.url,
            "outcome": self.outcome.value,
            "first_difference": self.first_difference,
            "differing": list(self.differing),
            "sentence": self.sentence,
            "stages": stages,
            "seconds": self.seconds,
        }

    def __repr__(self) -> str:
        return f"<Reproduction of {self.url}: {self.sentence}>"


def in_order(
    found: Sequence[StageCompared], expected: Sequence[StageName], stopped: str = ""
) -> tuple[StageCompared, ...]:
    """The stages in their order; those that are not among `found` were not reached.

    Args:
        found: what was compared; of a stage that comes twice, all that was compared.
        expected: the stages that the sweep had come to.
        stopped: why there is no more.
    """
    stages = []
    for name in expected:
        of_it = [one for one in found if one.stage is name]
        compared = tuple(item for one in of_it for item in one.compared)
        why = next((one.not_reached for one in of_it if one.not_reached), "")
        if not of_it:
            why = stopped or "not compared"
        stages.append(StageCompared(name, compared, why))
    return tuple(stages)


def _said(one: Compared) -> str:
    return f"{one.what} {one.then} then, {one.now} now"
