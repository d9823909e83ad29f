"""What the final check found: scores with intervals, comparisons, gates, and the verdict they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from raysweep.records.model_facts import (
    Behaviour,
    Calibration,
    Estimate,
    Opened,
    Optimism,
    Production,
    SeedSpread,
    Slice,
    Threshold,
    WhyNot,
)


class Verdict(StrEnum):
    """Whether the model is good enough, on rows that nothing has seen."""

    ADEQUATE = "adequate"
    WITH_WARNINGS = "adequate with warnings"
    INCONCLUSIVE = "inconclusive"
    NOT_ADEQUATE = "not adequate"

    @property
    def allows_use(self) -> bool:
        """Whether the model may be used (exit code 0, not 7)."""
        return self in {Verdict.ADEQUATE, Verdict.WITH_WARNINGS}


class Outcome(StrEnum):
    """What a gate says."""

    PASSED = "passed"
    WARNING = "warning"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired gain of the model over something else on the same validation rows; above 0 the model is better."""

    against: str
    other_score: float
    gain: Estimate


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement and what came of it; `reason` holds the numbers."""

    name: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The fit on training rows alone, scored on training, testing and validation.

    Attributes:
        drop: how much worse validation is than testing, in units of the metric; below 0 it is better.
        standard_error: of the drop.
        training: the score on the rows that it was fitted on.
        fit_drop: how much worse testing is than training.
        optimism: how much of the drop choosing the best of n explains; None where it could not be estimated.
    """

    testing: float
    validation: float
    drop: float
    standard_error: float
    training: float | None = None
    fit_drop: float | None = None
    fit_standard_error: float | None = None
    optimism: Optimism | None = None


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate that was scored on the validation rows.

    Attributes:
        rank: on testing, from 1; the first one ships.
        trial: number of its trial.
        score, metrics: of its fit on `fitted_on`, on validation rows.
        comparisons: with the dummy, its family's default, the model in production.
        gap: of its fit on training rows; None where it could not be measured.
    """

    rank: int
    trial: int
    family: str
    fitted_on: str
    score: Estimate
    metrics: Mapping[str, Estimate]
    comparisons: tuple[Comparison, ...]
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class FinalCheck:
    """The outcome of the one look at the validation rows; but for `finalists` all is about the model that ships.

    Attributes:
        metric: the sweep's metric.
        rows: validation rows that were scored.
        fitted_on: the rows that the model which ships, and was scored, was fitted on.
        score: of the fit that ships, on validation rows.
        metrics: every metric of the task for that fit, on validation rows.
        gap: None where it could not be measured.
        resampled: what the bootstrap draws: rows, or groups of rows.
        finalists: all of them, by their rank; the first is the model that ships.
        behaviour, opened: hold seconds and places, and make no two checks of one model different.
    """

    metric: str
    rows: int
    fitted_on: str
    score: Estimate
    metrics: Mapping[str, Estimate]
    comparisons: tuple[Comparison, ...]
    gap: Gap | None
    gates: tuple[Gate, ...]
    verdict: Verdict
    resamples: int
    resampled: str = "rows"
    level: float = 0.95
    finalists: tuple[Finalist, ...] = ()
    calibration: Calibration | None = None
    slices: tuple[Slice, ...] = ()
    threshold: Threshold | None = None
    behaviour: Behaviour | None = field(default=None, compare=False)
    seeds: SeedSpread | None = None
    production: Production | None = None
    opened: Opened | None = field(default=None, compare=False)
    why_not: WhyNot | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is what it is: the gates that did not pass, or all of them where every one passed."""
        wanting = tuple(gate.reason for gate in self.gates if gate.outcome is not Outcome.PASSED)
        return wanting or tuple(gate.reason for gate in self.gates)
