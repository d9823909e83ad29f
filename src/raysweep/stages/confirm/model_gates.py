"""The gates about what the model is like beside its score: calibration, slices, behaviour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.records.final_check import Gate, Outcome
from raysweep.records.metric import Metric
from raysweep.records.model_facts import MUCH_WORSE, SIGNIFICANT, Behaviour, Calibration, Slice

SLOPES: Final = (0.8, 1.25)
MAX_ERROR: Final = 0.05
MOST_CHANCE: Final = 2.0  # standard deviations
SHOWN: Final = 3

CALIBRATION: Final = "calibration"
SLICES: Final = "slices"
BEHAVIOUR: Final = "behaviour"


def calibration_gate(calibration: Calibration | None, *, required: bool) -> Gate | None:
    """Do probabilities mean what they say? None for numbers, and where they could not be looked at and need not be.

    The calibration error of a calibrated model is above 0 by chance alone (Bröcker & Smith 2007): what chance brings
    on these rows is not held against it; nor is a slope whose interval holds 1.
    """
    if calibration is not None and calibration.brier is None:
        return None
    if calibration is None or not math.isfinite(calibration.error - calibration.chance):
        unknown = Gate(CALIBRATION, Outcome.INCONCLUSIVE, "required, and could not be measured")
        return unknown if required else None
    slope, chance = calibration.slope, calibration.chance
    numbers = f"calibration error {calibration.error:.3f} ({chance:.3f} by chance)"
    problems = []
    if slope is not None:
        numbers += f", slope {slope.value:.3g} [{slope.low:.3g}, {slope.high:.3g}]"
        if not SLOPES[0] <= slope.value <= SLOPES[1] and not slope.low <= 1 <= slope.high:
            problems.append("too sure of itself" if slope.value < 1 else "not sure enough of itself")
    if calibration.error - chance > max(MAX_ERROR, MOST_CHANCE * calibration.chance_spread):
        problems.append("probabilities are off")
    if not problems:
        return Gate(CALIBRATION, Outcome.PASSED, numbers)
    outcome = Outcome.FAILED if required else Outcome.WARNING
    return Gate(CALIBRATION, outcome, f"{numbers}: {' and '.join(problems)}; do not use the probabilities as they are")


def slices_gate(slices: Sequence[Slice], metric: Metric, declared: Mapping[str, float | None] | None = None) -> Gate:
    """Is no group of rows much worse off than the others?

    Args:
        slices: as far as they were measured.
        metric: the sweep's.
        declared: the columns that the sweep file names, each with its floor (`confirm.slices`). Where a floor was
            asked for and there is nothing to hold against it, nobody knows whether the model keeps it.
    """
    under_floor = [one for one in slices if one.is_under_floor(metric.sign)]
    no_better = [one for one in slices if one.is_under_dummy(metric.sign)]
    failed = [*under_floor, *(one for one in no_better if one.p_value < SIGNIFICANT and one not in under_floor)]
    if failed:
        return Gate(SLICES, Outcome.FAILED, "; ".join(_declared(one, metric) for one in failed[:SHOWN]))
    unknown = _floors_unknown(slices, declared or {})
    if unknown:
        return Gate(SLICES, Outcome.INCONCLUSIVE, "; ".join(unknown[:SHOWN]))
    weak = [one for one in slices if one.is_much_worse]
    noted = [*weak, *(one for one in no_better if one not in weak)]
    if noted:
        said = [*(_weak(one, metric) for one in noted[:SHOWN]), *_left_out(slices, declared or {})]
        return Gate(SLICES, Outcome.WARNING, "; ".join(said))
    judged = sum(one.judged for one in slices)
    said = [f"{judged:,} slices, {_none_worse(slices)}" if judged else "no slice has enough rows to be judged"]
    return Gate(SLICES, Outcome.PASSED, "; ".join([*said, *_left_out(slices, declared or {})]))


def _none_worse(slices: Sequence[Slice]) -> str:
    worst = max((one for one in slices if one.judged), key=lambda one: one.loss_ratio)
    if worst.loss_ratio < MUCH_WORSE:
        return "none 20 % worse than all rows"
    return (
        f"none 20 % worse than all rows beyond chance (the worst: {worst.name}, {worst.loss_ratio:.2f} times the loss, "
        f"p {worst.p_value:.2g})"
    )


def _floors_unknown(slices: Sequence[Slice], declared: Mapping[str, float | None]) -> list[str]:
    """Why it is not known whether floors are kept."""
    measured = {one.column for one in slices}
    return [
        *(
            f"slices of {name}: could not be measured, asked for {floor:g}"
            for name, floor in declared.items()
            if floor is not None and name not in measured
        ),
        *(
            f"{one.name}: {'undefined' if one.judged else 'too few to judge'} on {one.rows:,} validation rows, "
            f"asked for {one.floor:g}"
            for one in slices
            if one.floor is not None and one.score is None
        ),
    ]


def _left_out(slices: Sequence[Slice], declared: Mapping[str, float | None]) -> list[str]:
    """What was named and not judged, where no floor was asked for."""
    few, columns = sum(not one.judged for one in slices), {one.column for one in slices}
    said = [f"{few:,} named slice{'s have' if few > 1 else ' has'} too few rows to judge"] if few else []
    return said + [f"slices of {name} could not be measured" for name in declared if name not in columns]


def behaviour_gate(behaviour: Behaviour) -> Gate:
    """Does the model take what production brings?"""
    failed = [one for one in behaviour.probes if one.failed]
    if failed:
        return Gate(BEHAVIOUR, Outcome.FAILED, "; ".join(f"{one.name}: {one.said}" for one in failed[:SHOWN]))
    slow = [one for one in behaviour.probes if one.slow]
    if slow:
        return Gate(BEHAVIOUR, Outcome.WARNING, "; ".join(f"{one.name}: {one.said}" for one in slow[:SHOWN]))
    return Gate(BEHAVIOUR, Outcome.PASSED, f"{len(behaviour.probes)} probes, none failed or slow")


def _declared(one: Slice, metric: Metric) -> str:
    if one.is_under_floor(metric.sign):
        return f"{one.name}: {metric.name} {_score(one.score)} on {one.rows:,} validation rows, asked for {one.floor:g}"
    return (
        f"{one.name}: {metric.name} {_score(one.score)} on {one.rows:,} validation rows, "
        f"no better than the dummy ({_score(one.dummy_score)})"
    )


def _weak(one: Slice, metric: Metric) -> str:
    return (
        f"{one.name}: {metric.name} {_score(one.score)} on {one.rows:,} validation rows, "
        f"loss {one.loss_ratio:.2g} times that of all rows (p {one.p_value:.2g})"
    )


def _score(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
