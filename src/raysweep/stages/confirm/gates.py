"""The gates about scores, and the verdict that all gates lead to: functions of numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.records.aims import Aims
from raysweep.records.final_check import Comparison, Gap, Gate, Outcome, Verdict
from raysweep.records.metric import Metric
from raysweep.records.model_facts import Estimate, Opened, Production, Promotion

MIN_ROWS: Final = 20
MIN_CLASS_ROWS: Final = 3
FEW_ROWS: Final = 100
FEW_CLASS_ROWS: Final = 10
WIDE: Final = 0.5
SMALL_GAIN: Final = 0.10
FAILED_GAP: Final = (3.0, 0.10)
WARNED_GAP: Final = (2.0, 0.05)
MAX_USES: Final = 5

EVIDENCE: Final = "evidence"
SEAL: Final = "seal"
DUMMY: Final = "beats the dummy"
DEFAULT: Final = "beats the default"
GENERALISES: Final = "generalises"
GOAL: Final = "goal"
CONSTRAINTS: Final = "constraints"
PRODUCTION: Final = "production"


def dummy_gate(comparison: Comparison, metric: Metric) -> Gate:
    """Better than a model that looks at no feature, beyond doubt?"""
    gain, distance = comparison.gain, abs(metric.perfect - comparison.other_score)
    numbers = f"gain over the dummy {_interval(gain)} on validation"
    if not gain.low > 0:
        return Gate(DUMMY, Outcome.FAILED, f"{numbers}: it is not above 0, there may be nothing to learn")
    if gain.value < SMALL_GAIN * distance:
        share = gain.value / distance if distance else 0.0
        return Gate(DUMMY, Outcome.WARNING, f"{numbers}: only {share:.1%} of the way from the dummy to perfect")
    return Gate(DUMMY, Outcome.PASSED, numbers)


def default_gate(comparison: Comparison | None, *, rivals: int | None) -> Gate:
    """Not worse than the family's default parameters (the guard against overtuning)?

    Args:
        comparison: with the default; None where there is none.
        rivals: where the default itself won, how many other candidates of its family had a score; else None.
    """
    if rivals == 0:
        words = "the family's default parameters won, and no other candidate of the family was scored"
        return Gate(DEFAULT, Outcome.WARNING, f"{words}: give the search more time")
    if rivals is not None:
        others = "one other candidate" if rivals == 1 else f"{rivals:,} other candidates"
        words = f"the family's default parameters won over {others} of the family"
        return Gate(DEFAULT, Outcome.WARNING, f"{words}: tuning bought nothing")
    if comparison is None:
        return Gate(DEFAULT, Outcome.WARNING, "no fit with the family's default parameters to compare with")
    numbers = f"gain over the family's default parameters {_interval(comparison.gain)} on validation"
    if comparison.gain.high < 0:
        return Gate(DEFAULT, Outcome.FAILED, f"{numbers}: the default is better")
    if not comparison.gain.low > 0:
        return Gate(DEFAULT, Outcome.WARNING, f"{numbers}: it is not above 0, tuning bought nothing measurable")
    return Gate(DEFAULT, Outcome.PASSED, numbers)


def goal_gate(score: Estimate, goal: float | None, metric: Metric) -> Gate | None:
    """`confirm.gates.score` reached? None where none was set."""
    if goal is None:
        return None
    numbers = f"{metric.name} {_interval(score)} on validation, goal {goal:g}"
    if not math.isfinite(score.value):
        return Gate(GOAL, Outcome.INCONCLUSIVE, f"{numbers}: the metric is not defined there")
    if metric.is_better(goal, score.value):
        return Gate(GOAL, Outcome.FAILED, f"{numbers}: missed")
    if score.low < goal < score.high:
        return Gate(GOAL, Outcome.WARNING, f"{numbers}: reached, but the interval holds the goal")
    return Gate(GOAL, Outcome.PASSED, numbers)


def constraints_gate(values: Mapping[str, float], aims: Aims) -> Gate | None:
    """Does the model that ships keep every bound of `search.constraints`? None where none was set.

    Args:
        values: of that model: metrics on validation rows, costs as measured.
        aims: with the bounds.
    """
    if not aims.constraints:
        return None
    unknown = [name for name in aims.constraints if not math.isfinite(values.get(name, math.nan))]
    if unknown:
        words = f"{', '.join(unknown)} is not defined on these validation rows: search.constraints cannot be checked"
        return Gate(CONSTRAINTS, Outcome.INCONCLUSIVE, words)
    broken = aims.broken(values)
    shown = broken or tuple(aims.constraints)
    numbers = ", ".join(aims.bound_text(name, values[name]) for name in shown)
    if broken:
        return Gate(CONSTRAINTS, Outcome.FAILED, f"the model that ships breaks search.constraints: {numbers}")
    return Gate(CONSTRAINTS, Outcome.PASSED, f"the model that ships keeps search.constraints: {numbers}")


def gap_gate(gap: Gap | None) -> Gate:
    """As good on validation as on testing, within the noise?"""
    if gap is None:
        return Gate(GENERALISES, Outcome.INCONCLUSIVE, "the gap from testing to validation could not be measured")
    certain = math.inf if gap.drop > 0 else 0.0
    errors = gap.drop / gap.standard_error if gap.standard_error > 0 else certain
    share = gap.drop / abs(gap.testing) if gap.testing else 0.0
    numbers = (
        f"testing {gap.testing:.4g}, validation {gap.validation:.4g} (fit on training rows): "
        f"{abs(gap.drop):.2g} {'worse' if gap.drop > 0 else 'better'}, {abs(errors):.1f} standard errors"
    )
    if gap.drop > 0 and gap.optimism is not None:
        luck = gap.optimism
        numbers += f"; choosing the best of {luck.candidates:,} by {luck.part} explains about {luck.expected:.2g}"
    if errors > FAILED_GAP[0] and share > FAILED_GAP[1]:
        return Gate(GENERALISES, Outcome.FAILED, numbers)
    if errors > WARNED_GAP[0] or share > WARNED_GAP[1]:
        return Gate(GENERALISES, Outcome.WARNING, numbers)
    return Gate(GENERALISES, Outcome.PASSED, numbers)


def production_gate(production: Production | None, margin: float) -> Gate | None:
    """Not worse than the model in production by more than the margin? None where none is named."""
    if production is None:
        return None
    if production.gain is None or production.promotion is Promotion.INCONCLUSIVE:
        return Gate(PRODUCTION, Outcome.WARNING, f"inconclusive: {production.reason}")
    numbers = f"gain over the model in production {_interval(production.gain)} on validation"
    if production.gain.high < -margin:
        allowed = f", by more than the margin {margin:g}" if margin else ""
        return Gate(PRODUCTION, Outcome.FAILED, f"{numbers}: it is worse{allowed}")
    if production.promotion is Promotion.KEEP:
        return Gate(PRODUCTION, Outcome.WARNING, f"{numbers}: {production.reason}, keep production")
    return Gate(PRODUCTION, Outcome.PASSED, f"{numbers}: {production.reason}")


def evidence_gate(
    rows: int, class_counts: Sequence[int], score: Estimate, distance: float, *, grouped: bool = False
) -> Gate:
    """Enough validation rows to say anything?

    Args:
        rows: of validation; where they come in groups, the groups.
        class_counts: rows of each class; empty for regression.
        score: of the model.
        distance: from the dummy's score to a perfect one.
        grouped: these are groups.
    """
    rarest = min(class_counts, default=None)
    counted = f"{rows:,} {'groups of validation rows' if grouped else 'validation rows'}"
    numbers = counted + ("" if rarest is None else f", {rarest:,} {'rows ' if grouped else ''}of the rarest class")
    if rows < MIN_ROWS or (rarest is not None and rarest < MIN_CLASS_ROWS):
        return Gate(EVIDENCE, Outcome.INCONCLUSIVE, f"{numbers}: too few to judge by")
    width = score.high - score.low
    if not width <= WIDE * distance:
        words = f"the interval is {width:.2g} wide, of {distance:.2g} from the dummy to perfect: too wide to judge by"
        return Gate(EVIDENCE, Outcome.INCONCLUSIVE, f"{numbers}: {words}")
    if rows < FEW_ROWS or (rarest is not None and rarest < FEW_CLASS_ROWS):
        return Gate(EVIDENCE, Outcome.WARNING, f"{numbers}: few, the intervals are wide")
    return Gate(EVIDENCE, Outcome.PASSED, numbers)


def seal_gate(keys_shared: int, opened: Opened, broken: str = "") -> Gate:
    """Is no row in two parts, and has nobody looked at the validation rows before?

    Args:
        keys_shared: row keys that stand in more than one part.
        opened: the opening, as the ledger has it.
        broken: how the sealed rows were tampered with or opened before this check; empty where they were not.
    """
    if keys_shared:
        return Gate(SEAL, Outcome.FAILED, f"{keys_shared:,} row keys stand in more than one part")
    if broken:
        return Gate(SEAL, Outcome.FAILED, broken)
    before = ", ".join(opened.earlier[:MAX_USES])
    if opened.use > MAX_USES:
        words = f"these validation rows are used for the {ordinal(opened.use)} time (before: {before}, ...)"
        return Gate(SEAL, Outcome.INCONCLUSIVE, f"{words}: they prove nothing any more, get fresh rows")
    if opened.use > 1:
        words = f"these validation rows are used for the {ordinal(opened.use)} time (before: {before})"
        return Gate(SEAL, Outcome.WARNING, f"{words}: intervals are widened to {percent(opened.level)}")
    said = "no other sweep has opened validation"
    if before:
        said = f"some of these validation rows were opened by {before}, which is no full use yet"
    return Gate(SEAL, Outcome.PASSED, f"no row key stands in more than one part; {said}")


def decide(gates: Sequence[Gate]) -> Verdict:
    """The verdict that the gates lead to.

    A broken seal weighs most; then missing evidence, since nothing can be said without; then a failed gate, what could
    not be measured, and warnings.
    """
    outcomes = {gate.name: gate.outcome for gate in gates}
    if outcomes.get(SEAL) is Outcome.FAILED:
        return Verdict.NOT_ADEQUATE
    if Outcome.INCONCLUSIVE in {outcomes.get(EVIDENCE), outcomes.get(SEAL)}:
        return Verdict.INCONCLUSIVE
    if Outcome.FAILED in outcomes.values():
        return Verdict.NOT_ADEQUATE
    if Outcome.INCONCLUSIVE in outcomes.values():
        return Verdict.INCONCLUSIVE
    return Verdict.WITH_WARNINGS if Outcome.WARNING in outcomes.values() else Verdict.ADEQUATE


def percent(level: float) -> str:
    """`97.5 %`."""
    return f"{100 * level:.4g} %"


def ordinal(number: int) -> str:
    """`2nd`, `11th`."""
    special = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if number % 100 in {11, 12, 13} else special.get(number % 10, "th")
    return f"{number}{ending}"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"
