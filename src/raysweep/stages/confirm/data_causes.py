"""Whether the data are why a model falls short: wrong labels, few rows, leaks, shifts, weak slices, weak features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raysweep.records.final_check import Gate, Outcome
from raysweep.records.metric import Metric
from raysweep.records.model_facts import Cause, CauseName, LearningCurve, Slice
from raysweep.records.table import LabelConflicts
from raysweep.stages.confirm.gates import DUMMY, EVIDENCE, GENERALISES, GOAL, SEAL
from raysweep.stages.confirm.model_gates import SLICES
from raysweep.stages.confirm.search_causes import Need

NOISY: Final = 0.03
UNEVEN: Final = 0.15  # of the loss, that a slice has beyond its share of the rows
TOLD_APART: Final = 0.55
MOVED: Final = 0.6  # ROC AUC by which a feature alone tells parts apart
KNOWING: Final = 0.95  # ROC AUC or R2 of a feature alone that only a leak has
PROBABLE: Final = 0.45  # weight of a cause that explains what is missing
SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Labels:
    """What the labels of testing rows look like to a fit on training rows (classification).

    Attributes:
        share: of testing rows whose label is probably wrong; 0 where classes that overlap explain what is seen.
        ceiling: the best score that is left with so many wrong labels; None where it is not known.
    """

    share: float
    ceiling: float | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A feature that says much about the target in one part, and little in another."""

    name: str
    testing: float
    validation: float


def label_noise(
    labels: Labels | None,
    conflicts: LabelConflicts | None,
    rows: int,
    metric: Metric,
    goal: float | None,
    weak: Slice | None = None,
) -> Cause | str:
    """Labels that no model can get right (confident learning: Northcutt et al. 2021; equal features).

    Args:
        labels: what a fit on training rows says of them.
        conflicts: rows with equal features and different labels, in the whole table.
        rows: of the whole table.
        metric: the sweep's.
        goal: for it, or None.
        weak: the slice where the model is much worse, if any: where that has much of the loss, what looks like labels
            wrong at random is its rows.
    """
    conflicting = conflicts.minority_rows / rows if conflicts is not None and rows else 0.0
    if labels is None:
        return "wrong labels: not measured, or not known of numbers"
    share = labels.share
    if max(conflicting, share) < NOISY:
        return (
            f"wrong labels: {share:.1%} of the testing rows look wrong, and {conflicting:.1%} of all rows have the "
            "features of others with another label"
        )
    ceiling = labels.ceiling
    said = "" if ceiling is None else f"; with so many wrong no model has {metric.name} better than about {ceiling:.4g}"
    evidence = (
        f"{share:.1%} of the testing rows probably have a wrong label, also where the model is surest; "
        f"{conflicting:.1%} of all rows have the features of others with another label{said}"
    )
    is_out_of_reach = goal is not None and ceiling is not None and metric.is_better(goal, ceiling)
    weight = 0.96 if is_out_of_reach else min(0.9, 0.5 + 1.5 * max(share, conflicting))
    if weak is not None:
        evidence, weight = f"{evidence}; but they gather in {weak.name}", weight / 2
    return Cause(
        CauseName.LABEL_NOISE,
        evidence,
        "look at how labels come about, and label again the rows that the model is surest about and yet wrong",
        f"a look at about {max(1, round(max(share, conflicting) * rows)):,} rows",
        None if ceiling is None else max(0.0, metric.sign * (metric.perfect - ceiling)) or None,
        weight,
    )


def fresh_rows(gates: Sequence[Gate]) -> Cause | None:
    """Nothing can be said because the validation rows are too few, or used up."""
    missed = {one.name: one.reason for one in gates if one.outcome is Outcome.INCONCLUSIVE}
    if SEAL in missed:
        advice, price = "get fresh rows, which no sweep has been judged by", "new rows, and a new run"
        return Cause(CauseName.FEW_ROWS, missed[SEAL], advice, price, None, 0.99)
    if EVIDENCE in missed:
        advice = "get more rows, or give validation a larger share of them by split.parts.validation"
        return Cause(CauseName.FEW_ROWS, missed[EVIDENCE], advice, "more rows, and a new run", None, 0.98)
    return None


def few_rows(curve: LearningCurve | None, metric: Metric, need: Need) -> Cause | str:
    """More rows would help: the learning curve still rises (Cortes et al. 1993; Viering & Loog 2023)."""
    if curve is None or curve.doubled is None or len(curve.points) == 0:
        return "too few rows: no learning curve fits the scores on shares of the training rows"
    rows, last = curve.points[-1]
    gain = metric.sign * (curve.doubled - last)
    risen = metric.sign * (last - curve.points[0][1])
    points = ", ".join(f"{score:.4g} with {count:,}" for count, score in curve.points)
    if gain <= 0 or risen <= 0 or not need.is_met_by(gain):
        return f"too few rows: testing scores are {points} training rows, twice as many would bring about {gain:.2g}"
    return Cause(
        CauseName.FEW_ROWS,
        f"testing scores still rise with the training rows: {points}",
        f"get more rows: with {2 * rows:,} training rows expect about {curve.doubled:.4g} on testing",
        f"{rows:,} more training rows, and about twice the time of a trial",
        gain,
        0.15 + 0.7 * need.share(gain),
    )


def leakage(
    broken: Sequence[Broken], metric_of_strength: str, moved: Sequence[tuple[str, float]], gates: Sequence[Gate]
) -> Cause | str:
    """A feature that tells the target in training and testing, and does not in validation.

    A leak that breaks takes the score with it. A feature says less, too, where its own values have moved: then it is
    the shift that is to blame, unless the feature alone had told nearly all.

    Args:
        broken: features that say less on validation rows than on testing rows, the largest drop first.
        metric_of_strength: ROC AUC or R2.
        moved: features whose values differ between training and validation rows, with the ROC AUC that tells.
        gates: whether the score fell from testing to validation is among them.
    """
    if not broken:
        return "a leak: each feature alone says as much in validation as it does in testing"
    listed = "; ".join(
        f"{one.name} alone has {metric_of_strength} {one.testing:.3g} on testing, {one.validation:.3g} on validation"
        for one in broken[:SHOWN]
    )
    names = ", ".join(one.name for one in broken[:SHOWN])
    shifted = {name for name, auc in moved if auc >= MOVED}
    is_leak = any(one.name not in shifted or one.testing >= KNOWING for one in broken)
    return Cause(
        CauseName.LEAKAGE,
        f"{listed}: it may know the target in the rows at hand, and will not in production",
        f"find out how {names} comes about; leave it out by data.features.exclude if it is known only afterwards",
        "a new run",
        None,
        (0.97 if is_leak else 0.55) if _has_fallen(gates) else 0.35,
    )


def shift(told: float | None, features: Sequence[tuple[str, float]], gates: Sequence[Gate]) -> Cause | str:
    """Validation rows differ from training rows.

    Args:
        told: lower end of the ROC AUC of a small model that tells them apart; None where it could not be measured.
        features: that tell them apart most, with their ROC AUC alone.
        gates: whether the score fell from testing to validation is among them.
    """
    if told is None or not told > TOLD_APART:
        shown = "not measured" if told is None or math.isnan(told) else "no small model tells them apart beyond chance"
        return f"a shift between parts: {shown}"
    return Cause(
        CauseName.SHIFT,
        f"a small model tells validation rows from training rows (ROC AUC at least {told:.3g}), most by "
        f"{', '.join(f'{name} ({auc:.3g} alone)' for name, auc in features[:SHOWN]) or 'nothing single'}",
        "train on rows that are like those to come: newer ones, other sources; or leave out what shifts",
        "new rows, or a new run without these features",
        None,
        min(0.95, 0.6 + 0.7 * (told - 0.5)) if _has_fallen(gates) else 0.1 + 0.4 * (told - 0.5),
    )


def weak_slice(slices: Sequence[Slice], gates: Sequence[Gate], rows: int, sign: int) -> Cause | str:
    """A group of rows on which the model is much worse, or does not reach what is asked for there."""
    worst = weakest(slices, sign)
    if worst is None:
        judged = sum(one.judged for one in slices)
        return f"weak slices: none of {judged} is 20 % worse than all rows beyond chance"
    has_failed = any(one.name == SLICES and one.outcome is Outcome.FAILED for one in gates)
    carried = worst.rows / rows * worst.loss_ratio
    return Cause(
        CauseName.WEAK_SLICE,
        f"{worst.name}: {worst.rows:,} of {rows:,} validation rows carry {min(1.0, carried):.0%} of the loss "
        f"({worst.loss_ratio:.2g} times that of all rows, p {worst.p_value:.2g})",
        f"look at the rows of {worst.name}: wrong labels, another meaning of a column, too few of them; or a model of "
        "their own",
        "a look at the data, and a new run",
        None,
        0.9 if has_failed else min(0.85, 0.2 + 0.9 * excess(worst, rows) + 0.1 * min(1.5, worst.loss_ratio - 1)),
    )


def weakest(slices: Sequence[Slice], sign: int) -> Slice | None:
    """The slice to look at first, a declared one rather than one that was found; None where none is weak.

    Args:
        slices: all of them.
        sign: of the metric.
    """
    weak = [one for one in slices if one.is_weak(sign)]
    return max(weak, key=lambda one: (one.column is not None, one.rows * (one.loss_ratio - 1)), default=None)


def excess(weak: Slice, rows: int) -> float:
    """The share of the loss that a slice has beyond its share of the rows."""
    return min(1.0, weak.rows / rows * weak.loss_ratio) - weak.rows / rows


def weak_features(gates: Sequence[Gate], others: Sequence[Cause]) -> Cause | str:
    """The features do not hold what was asked for: no better than a dummy, or nothing else is the cause.

    Args:
        gates: all of them.
        others: the other causes that were found.
    """
    failed = {one.name for one in gates if one.outcome is Outcome.FAILED}
    if DUMMY in failed and GENERALISES not in failed:
        evidence, weight = "the model is no better on validation than one that looks at no feature", 0.6
    elif GOAL in failed and not any(one.weight >= PROBABLE for one in others):
        evidence, weight = (
            "nothing that was looked at would bring what is missing",
            0.45,
        )
    else:
        return "features that say too little: other causes come first"
    return Cause(
        CauseName.WEAK_FEATURES,
        evidence,
        "look for columns that can know the target before it happens; check that rows and labels were joined rightly",
        "new columns, and a new run",
        None,
        weight,
    )


def _has_fallen(gates: Sequence[Gate]) -> bool:
    """From testing to validation."""
    return any(one.name == GENERALISES and one.outcome in {Outcome.FAILED, Outcome.WARNING} for one in gates)
