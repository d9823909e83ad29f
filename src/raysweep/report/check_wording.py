"""What a final check found beside the score, as sentences and rows of text that every view of it shares."""

from __future__ import annotations

import math
from collections.abc import Iterable

from raysweep.records.final_check import FinalCheck, Finalist, Gate, Outcome
from raysweep.records.metric import COSTS, METRICS
from raysweep.records.model_facts import (
    Behaviour,
    Calibration,
    Cause,
    Opened,
    Probe,
    Production,
    Promotion,
    SeedSpread,
    Slice,
    Threshold,
)
from raysweep.report.wording import (
    TESTING,
    VALIDATION,
    cost_text,
    gap_line,
    interval_text,
    level_text,
    measured_text,
    number_text,
    part_text,
    share_text,
    short_text,
)

WEIGHTS = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.WARNING, Outcome.PASSED)
SURE = 0.001
TOO_FEW = "too few rows"
PROMOTIONS = {
    Promotion.PROMOTE: "promote this model",
    Promotion.KEEP: "keep the model in production",
    Promotion.INCONCLUSIVE: "inconclusive",
}


def fits_line(check: FinalCheck) -> str:
    """Which fit was checked, and which one ships."""
    if check.fitted_on in {"training", "sampled training"}:
        return "The fit that ships is the one on training rows: score and gap are both of it."
    others = ["the gap"] + ["the seeds"] * (check.seeds is not None)
    others += ["the choice of a threshold"] * (check.threshold is not None)
    listed = f"{', '.join(others[:-1])} and {others[-1]}" if len(others) > 1 else others[0]
    apart = "the training rows of the search's sample" if " " in check.fitted_on else "training rows"
    return (
        f"The fit that ships is the one on {check.fitted_on} rows, and its score is shown; {listed} "
        f"{'is' if len(others) == 1 else 'are'} of the fit with the same params on {apart} alone."
    )


def direction(metric: str) -> str:
    """`more is better`, or less; empty for a metric that this version does not know."""
    found = (METRICS | COSTS).get(metric)
    return "" if found is None else "more is better" if found.sign > 0 else "less is better"


def axis_title(metric: str, what: str) -> str:
    """`roc_auc of slices of validation rows (more is better)`."""
    said = direction(metric)
    return f"{metric} {what}" + (f" ({said})" if said else "")


def sign_of(metric: str) -> int:
    """+1 where more of the metric is better, -1 where less is."""
    found = (METRICS | COSTS).get(metric)
    return 1 if found is None else found.sign


def gap_lines(check: FinalCheck) -> list[str]:
    """How the score changed from training over testing to validation, and what of it was to be expected."""
    gap, lines = check.gap, [gap_line(check)]
    if gap is None:
        return lines
    if gap.training is not None:
        size = "" if gap.fit_drop is None else f", {_change(gap.fit_drop, gap.fit_standard_error)} on {TESTING}"
        lines.append(f"fit: {measured_text(gap.training)} on training{size}")
    if gap.optimism is not None:
        one = gap.optimism
        lines.append(
            f"the best of {one.candidates:,} candidates is expected to look {short_text(one.expected)} {check.metric} "
            f"too good on {part_text(one.part)} by luck alone (by {one.rows:,} of the rows that they were compared on)"
        )
    return lines


def _change(drop: float, error: float | None) -> str:
    if math.isnan(drop):
        return "-"
    said = f"{short_text(abs(drop))} {'worse' if drop > 0 else 'better'}"
    return said if error is None else f"{said} (standard error {short_text(error)})"


def seeds_line(seeds: SeedSpread) -> str:
    """How much the score moves with the seed alone."""
    return (
        f"{len(seeds.validation):,} seeds: standard deviation {short_text(seeds.spread)} on {VALIDATION}; "
        f"{VALIDATION} {_listed(seeds.validation)}; {TESTING} {_listed(seeds.testing)}"
    )


def _listed(scores: tuple[float, ...]) -> str:
    return ", ".join(measured_text(score) for score in scores)


def promotion_text(production: Production, gates: Iterable[Gate] = ()) -> str:
    """Whether the new model should take the place of the one in production; why, where none of these gates says it."""
    said = f"production: {PROMOTIONS[production.promotion]}"
    return said if any(production.reason in gate.reason for gate in gates) else f"{said}: {production.reason}"


def production_line(production: Production, gates: Iterable[Gate] = ()) -> str:
    """The same, with the bundle and its score."""
    said = promotion_text(production, gates)
    if production.score is None:
        return said
    gain = "" if production.gain is None else f", gain {interval_text(production.gain)}"
    return f"{said} ({production.bundle}: {measured_text(production.score)} on {VALIDATION}{gain})"


def opening_line(opened: Opened) -> str:
    """Which use of the validation rows this was, and what it does to the intervals."""
    said = f"{'the first use' if opened.use == 1 else f'use {opened.use:,}'} of these {VALIDATION} rows"
    if opened.is_repeat:
        said = f"opened again by the same sweep, which is no new use: still {said}"
    if opened.use > 1:
        said += f", so every interval is widened to {level_text(opened.level)} (Bonferroni over the uses)"
    return said + (f"; opened before by {', '.join(opened.earlier)}" if opened.earlier else "")


def is_about_numbers(calibration: Calibration) -> bool:
    """Whether it is of predicted numbers: bias and spread instead of probabilities."""
    return calibration.brier is None and calibration.log_loss is None


def calibration_facts(calibration: Calibration) -> list[tuple[str, str]]:
    """Each measure by name, with the value that it has for a calibrated model."""
    numbers, bins = is_about_numbers(calibration), len(calibration.bins)
    facts = []
    if numbers:
        said = f"{_share(calibration.error)} of the target's standard deviation, over {bins:,} bins"
        facts.append(("mean absolute bias", said))
    else:
        chance = "" if math.isnan(calibration.chance) else f" ({short_text(calibration.chance)} by chance alone)"
        facts.append(("expected calibration error", f"{measured_text(calibration.error)} over {bins:,} bins{chance}"))
    wanted = "target on prediction; 1 is calibrated" if numbers else "1 is calibrated, under 1 is too sure"
    for name, estimate, ideal in (
        ("slope", calibration.slope, wanted),
        ("intercept", calibration.intercept, "0 is calibrated"),
    ):
        facts.append((name, "not defined" if estimate is None else f"{interval_text(estimate)} ({ideal})"))
    facts += [("Brier score", measured_text(calibration.brier))] if calibration.brier is not None else []
    return facts + ([("log loss", measured_text(calibration.log_loss))] if calibration.log_loss is not None else [])


def _share(share: float) -> str:
    return "-" if math.isnan(share) else share_text(share)


def is_weak(one: Slice, metric: str) -> bool:
    """Whether the slice is 20 % worse than all rows beyond doubt, or under its floor or (declared) the dummy."""
    return one.is_weak(sign_of(metric))


def weakest_first(check: FinalCheck) -> list[Slice]:
    """The slices, the weak ones first, then by their loss; last those that were not judged."""
    return sorted(check.slices, key=lambda one: (not one.judged, not is_weak(one, check.metric), -one.loss_ratio))


def probability_text(value: float) -> str:
    """A p-value; a tiny one as `< 0.001`."""
    return "-" if math.isnan(value) else f"< {SURE}" if value < SURE else f"{value:.2g}"


def loss_text(one: Slice) -> str:
    """`1.34 x`: the mean loss beside that of all rows."""
    return "-" if math.isnan(one.loss_ratio) else f"{one.loss_ratio:.2f} x"


def slice_line(one: Slice, metric: str) -> str:
    """A slice in one line."""
    floor = "" if one.floor is None else f", floor {measured_text(one.floor)}"
    if not one.judged:
        return f"{one.name}: {TOO_FEW} ({one.rows:,} on {VALIDATION}{floor})"
    return (
        f"{one.name}: {metric} {measured_text(one.score)} on {VALIDATION} (dummy {measured_text(one.dummy_score)}"
        f"{floor}), loss {loss_text(one)} that of all rows, p {probability_text(one.p_value)}, {one.rows:,} rows"
    )


def threshold_line(one: Threshold) -> str:
    """The threshold, what it is best for, and what it gains over 0.5."""
    return (
        f"from a probability of {number_text(one.value)} on: best {one.criterion} on {TESTING} rows "
        f"({measured_text(one.testing_score)}); {measured_text(one.validation_score)} on {VALIDATION}, "
        f"where 0.5 has {measured_text(one.at_half)}"
    )


def probe_mark(probe: Probe) -> str:
    """What came of a probe."""
    return "✗ failed" if probe.failed else "! slow" if probe.slow else "✓ passed"


def behaviour_line(behaviour: Behaviour) -> str:
    """What using the model costs."""
    size = "not known" if behaviour.size_bytes is None else cost_text("size_bytes", behaviour.size_bytes)
    return (
        f"one row alone {cost_text('prediction_seconds', behaviour.row_seconds)}, in a batch "
        f"{cost_text('prediction_seconds', behaviour.batch_row_seconds)} a row, size {size}"
    )


def gain_text(cause: Cause, metric: str) -> str:
    """What mending a cause may bring."""
    return "not known" if cause.expected_gain is None else f"{short_text(cause.expected_gain)} {metric}"


def cause_line(cause: Cause, metric: str) -> str:
    """What to do about a cause, in one line; its evidence aside."""
    return f"{cause.name.value}: {cause.advice} (expected gain {gain_text(cause, metric)}, price: {cause.price})"


def finalist_gains(one: Finalist) -> list[str]:
    """What a finalist gains over the others on the same validation rows."""
    return [f"{interval_text(other.gain)} over {other.against}" for other in one.comparisons]


def finalist_cells(one: Finalist) -> tuple[str, ...]:
    """A finalist in a row: rank, trial, family, the rows it was fitted on, score, gap."""
    gap = "not measured" if one.gap is None else _change(one.gap.drop, one.gap.standard_error)
    ships = ", ships" if one.rank == 1 else ""
    return (f"{one.rank:,}{ships}", str(one.trial), one.family, one.fitted_on, interval_text(one.score), gap)


def heaviest_first(gates: Iterable[Gate]) -> list[Gate]:
    """Those that failed first, those that passed last; else in their order."""
    return sorted(gates, key=lambda gate: WEIGHTS.index(gate.outcome))


FINALIST_HEAD = ("rank", "trial", "family", "fitted on", "on validation", "gap from testing")
