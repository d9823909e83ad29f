"""The gates of the final check, and the verdict: functions of numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.records.aims import Aims
from raysweep.records.final_check import Comparison, Gap, Gate, Outcome, Verdict
from raysweep.records.metric import Metric
from raysweep.records.model_facts import Estimate

MIN_ROWS: Final = 20
MIN_CLASS_ROWS: Final = 3
FEW_ROWS: Final = 100
FEW_CLASS_ROWS: Final = 10
SMALL_GAIN: Final = 0.10
FAILED_GAP: Final = (3.0, 0.10)
WARNED_GAP: Final = (2.0, 0.05)


def dummy_gate(comparison: Comparison, metric: Metric) -> Gate:
    """Better than a model that looks at no feature, beyond doubt?"""
    gain, distance = comparison.gain, abs(metric.perfect - comparison.other_score)
    numbers = f"gain over the dummy {_interval(gain)}"
    if not gain.low > 0:
        return Gate("beats the dummy", Outcome.FAILED, f"{numbers}: it is not above 0, there may be nothing to learn")
    if gain.value < SMALL_GAIN * distance:
        share = gain.value / distance if distance else 0.0
        return Gate(
            "beats the dummy",
            Outcome.WARNING,
            f"{numbers}: only {share:.1%} of the way from the dummy to perfect",
        )
    return Gate("beats the dummy", Outcome.PASSED, numbers)


def default_gate(comparison: Comparison | None, *, rivals: int | None) -> Gate:
    """Not worse than the family's default parameters (the guard against overtuning)?

    Args:
        comparison: with the default; None where there is none.
        rivals: where the default itself won, how many other candidates of its family had a score; else None.
    """
    name = "beats the default"
    if rivals == 0:
        words = "the family's default parameters won, and no other candidate of the family was scored"
        return Gate(name, Outcome.WARNING, f"{words}: give the search more time")
    if rivals is not None:
        words = f"the family's default parameters won over {rivals:,} other candidates of the family"
        return Gate(name, Outcome.WARNING, f"{words}: tuning bought nothing")
    if comparison is None:
        return Gate(name, Outcome.WARNING, "no fit with the family's default parameters to compare with")
    numbers = f"gain over the family's default parameters {_interval(comparison.gain)}"
    if comparison.gain.high < 0:
        return Gate(name, Outcome.FAILED, f"{numbers}: the default is better")
    if comparison.gain.low <= 0:
        return Gate(name, Outcome.WARNING, f"{numbers}: it holds 0, tuning bought nothing measurable")
    return Gate(name, Outcome.PASSED, numbers)


def goal_gate(score: Estimate, goal: float | None, metric: Metric) -> Gate | None:
    """`confirm.gates.score` reached? None where none was set."""
    if goal is None:
        return None
    numbers = f"{metric.name} {_interval(score)} on validation, goal {goal:g}"
    if metric.is_better(goal, score.value):
        return Gate("goal", Outcome.FAILED, f"{numbers}: missed")
    if score.low < goal < score.high:
        return Gate("goal", Outcome.WARNING, f"{numbers}: reached, but the interval holds the goal")
    return Gate("goal", Outcome.PASSED, numbers)


def constraints_gate(values: Mapping[str, float], aims: Aims) -> Gate | None:
    """Does the model that ships keep every bound of `search.constraints`? None where none was set.

    Args:
        values: of that model: metrics on validation rows, costs as measured.
        aims: with the bounds.
    """
    if not aims.constraints:
        return None
    broken = aims.broken(values)
    shown = broken or tuple(aims.constraints)
    numbers = ", ".join(aims.bound_text(name, values[name]) for name in shown)
    if broken:
        return Gate("constraints", Outcome.FAILED, f"the model that ships breaks search.constraints: {numbers}")
    return Gate("constraints", Outcome.PASSED, f"the model that ships keeps search.constraints: {numbers}")


def gap_gate(gap: Gap | None) -> Gate:
    """As good on validation as on testing, within the noise?"""
    if gap is None:
        return Gate("generalises", Outcome.INCONCLUSIVE, "the gap from testing to validation could not be measured")
    errors = gap.drop / gap.standard_error if gap.standard_error > 0 else 0.0
    share = gap.drop / abs(gap.testing) if gap.testing else 0.0
    numbers = (
        f"testing {gap.testing:.4g}, validation {gap.validation:.4g} (fit on training rows): "
        f"{abs(gap.drop):.2g} {'worse' if gap.drop > 0 else 'better'}, {errors:+.1f} standard errors"
    )
    if errors > FAILED_GAP[0] and share > FAILED_GAP[1]:
        return Gate("generalises", Outcome.FAILED, numbers)
    if errors > WARNED_GAP[0] or share > WARNED_GAP[1]:
        return Gate("generalises", Outcome.WARNING, numbers)
    return Gate("generalises", Outcome.PASSED, numbers)


def evidence_gate(rows: int, class_counts: Sequence[int]) -> Gate:
    """Enough validation rows to say anything?"""
    rarest = min(class_counts, default=None)
    numbers = f"{rows:,} validation rows" + ("" if rarest is None else f", {rarest:,} of the rarest class")
    if rows < MIN_ROWS or (rarest is not None and rarest < MIN_CLASS_ROWS):
        return Gate("evidence", Outcome.INCONCLUSIVE, f"{numbers}: too few to judge by")
    if rows < FEW_ROWS or (rarest is not None and rarest < FEW_CLASS_ROWS):
        return Gate("evidence", Outcome.WARNING, f"{numbers}: few, the intervals are wide")
    return Gate("evidence", Outcome.PASSED, numbers)


def seal_gate(keys_shared: int) -> Gate:
    """Is no row in two parts?"""
    if keys_shared:
        return Gate("seal", Outcome.FAILED, f"{keys_shared:,} row keys stand in more than one part")
    return Gate("seal", Outcome.PASSED, "no row key stands in more than one part; validation was opened once, now")


def decide(gates: Sequence[Gate]) -> Verdict:
    """The verdict that the gates lead to: a failed gate weighs most, then missing evidence, then warnings."""
    outcomes = {gate.outcome for gate in gates}
    inconclusive = any(gate.name == "evidence" and gate.outcome is Outcome.INCONCLUSIVE for gate in gates)
    if inconclusive:
        return Verdict.INCONCLUSIVE
    if Outcome.FAILED in outcomes:
        return Verdict.NOT_ADEQUATE
    if Outcome.INCONCLUSIVE in outcomes:
        return Verdict.INCONCLUSIVE
    return Verdict.WITH_WARNINGS if Outcome.WARNING in outcomes else Verdict.ADEQUATE


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"
