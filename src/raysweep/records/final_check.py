"""What the final check found: scores with intervals, comparisons, gates, and the verdict they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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
class Estimate:
    """A number with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    standard_error: float


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
    """The fit on training rows alone, scored on testing and on validation.

    Attributes:
        drop: how much worse validation is than testing, in units of the metric; below 0 it is better.
        standard_error: of the drop.
    """

    testing: float
    validation: float
    drop: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class FinalCheck:
    """The outcome of the one look at the validation rows.

    Attributes:
        metric: the sweep's metric.
        rows: validation rows that were scored.
        score: of the fit that ships, on validation rows.
        metrics: every metric of the task for that fit, on validation rows.
        gap: None where it could not be measured.
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

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is what it is: the gates that did not pass, or all of them where every one passed."""
        wanting = tuple(gate.reason for gate in self.gates if gate.outcome is not Outcome.PASSED)
        return wanting or tuple(gate.reason for gate in self.gates)
