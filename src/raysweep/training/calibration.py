"""Calibration: whether probabilities mean what they say, and whether predicted numbers are off by a rule."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import t

from raysweep.records.model_facts import Bin, Calibration, Estimate
from raysweep.training.learner import Floats
from raysweep.training.metrics import predicted_codes, score
from raysweep.training.resampling import Groups

PROBABILITY_BINS: Final = 15
NUMBER_BINS: Final = 10
FEWEST_IN_BIN: Final = 20
_SUREST: Final = 1e-6  # 0 and 1 have no logit
_SAME: Final = 1e-12
_GRADIENT: Final = 1e-9
_FEWEST: Final = 3  # units that a line with an interval takes

Fit = tuple[Floats, Floats]  # intercept and slope, and their covariance


def calibrate_probabilities(
    y: Floats, probability: Floats, weight: Floats | None, *, level: float = 0.95, group: Groups | None = None
) -> Calibration:
    """Calibration of class probabilities.

    Two classes: the positive one's probability against how often it is right. More: the probability of the class
    predicted against how often that is right (Guo et al. 2017).

    Args:
        y: class codes, shape (rows,).
        probability: shape (rows, classes).
        weight: row weights, or None; rows of weight 0 do not count as rows.
        level: of the intervals of slope and intercept, from a variance that holds whatever the true curve is (the
            sandwich: White 1982), by group where rows belong together (Liang & Zeger 1986), with Student's tails.
        group: equal where rows belong together, or None.

    Returns:
        Slope and intercept None where they are not defined: one outcome, one prediction, or outcomes that the
        predictions part without overlap.
    """
    y, probability, weight, group = _with_weight(y, probability, weight, group)
    classes = probability.shape[1]
    binary = classes == 2  # noqa: PLR2004
    predicted = probability[:, 1] if binary else probability.max(axis=1)
    outcome = (y == 1 if binary else predicted_codes(probability) == y).astype(np.float64)
    weights = np.ones(len(y)) if weight is None else weight
    bins, (error, chance, chance_spread) = _binned(outcome, predicted, weights, group, PROBABILITY_BINS)
    x = logit(np.clip(predicted, _SUREST, 1 - _SUREST))
    slope, intercept = _estimates(_logistic(x, outcome, weights, group), _units(len(y), group), level)
    truth = np.eye(classes)[y.astype(np.int64)]
    brier = np.average(((probability - truth) ** 2).sum(axis=1), weights=weights) / (2 if binary else 1)
    return Calibration(
        bins=tuple(replace(one, spread=0.0) for one in bins),
        error=error,
        slope=slope,
        intercept=intercept,
        brier=float(brier),
        log_loss=score("log_loss", y, probability, weight),
        chance=chance,
        chance_spread=chance_spread,
    )


def calibrate_numbers(
    y: Floats, predicted: Floats, weight: Floats | None, *, level: float = 0.95, group: Groups | None = None
) -> Calibration:
    """Bias and spread of predicted numbers by decile of the prediction; slope and intercept of target on prediction.

    Args:
        y: targets, shape (rows,).
        predicted: shape (rows,).
        weight: row weights, or None; rows of weight 0 do not count as rows.
        level: of the intervals of slope and intercept, as for probabilities.
        group: equal where rows belong together, or None.
    """
    y, predicted, weight, group = _with_weight(y, predicted, weight, group)
    weights = np.ones(len(y)) if weight is None else weight
    bins, errors = _binned(y, predicted, weights, group, NUMBER_BINS)
    deviation = math.sqrt(np.average((y - np.average(y, weights=weights)) ** 2, weights=weights))
    slope, intercept = _estimates(_line(predicted, y, weights, group), _units(len(y), group), level)
    error, chance, chance_spread = (one / deviation if deviation else math.nan for one in errors)
    return Calibration(bins, error, slope, intercept, chance=chance, chance_spread=chance_spread)


def _with_weight(
    y: Floats, predicted: Floats, weight: Floats | None, group: Groups | None
) -> tuple[Floats, Floats, Floats | None, Groups | None]:
    """The rows that have a weight above 0."""
    if weight is None or (weight > 0).all():
        return y, predicted, weight, group
    kept = weight > 0
    return y[kept], predicted[kept], weight[kept], None if group is None else group[kept]


def _binned(
    y: Floats, predicted: Floats, weights: Floats, group: Groups | None, most: int
) -> tuple[tuple[Bin, ...], tuple[float, float, float]]:
    """Bins of about equal weight by rising prediction.

    Returns:
        The bins, and the mean distance of observed from predicted over them: as it is, and the mean and the standard
        deviation of what chance makes of it.
    """
    if len(y) < FEWEST_IN_BIN:
        return (), (math.nan, math.nan, math.nan)
    number = _bin_of_row(predicted, weights, min(most, len(y) // FEWEST_IN_BIN))
    rows, mass = np.bincount(number), np.bincount(number, weights=weights)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(number, weights=weights * values) / mass, dtype=np.float64)

    residual = y - predicted
    bias = mean(residual)
    spread = np.sqrt(mean((residual - bias[number]) ** 2))
    columns = (rows, mean(predicted), mean(y), spread)
    made = tuple(Bin(int(n), float(p), float(o), float(s)) for n, p, o, s in zip(*columns, strict=True))
    chance = _by_chance(weights * residual, number, group) / mass.sum()
    # The distance of a normal value from 0 has pi / 2 - 1 times its squared mean as variance.
    chance_spread = math.sqrt(float((chance**2).sum()) * (math.pi / 2 - 1))
    return made, (float(np.average(np.abs(bias), weights=mass)), float(chance.sum()), chance_spread)


def _by_chance(added: Floats, number: npt.NDArray[np.int64], group: Groups | None) -> Floats:
    """How far the sum of each bin's residuals is from 0 on average, where their mean is 0.

    The variance is the sum of squares over independent rows or groups, around 0 (the sandwich: White 1982; Liang &
    Zeger 1986). A sum that is about normal is sqrt(2 / pi) of its deviation from 0 on average.

    Args:
        added: the weighted residual of each row.
        number: the bin of each row.
        group: equal where rows belong together, or None.
    """
    if group is not None:
        _, member = np.unique(group, return_inverse=True)
        units, unit = np.unique(number * (member.max() + 1) + member, return_inverse=True)
        added, number = np.bincount(unit, weights=added).astype(np.float64), units // (member.max() + 1)
    return np.asarray(np.sqrt(np.bincount(number, weights=added**2) * 2 / math.pi), dtype=np.float64)


def _bin_of_row(predicted: Floats, weights: Floats, bins: int) -> npt.NDArray[np.int64]:
    """The bin of each row, numbered without a gap; equal predictions share a bin, and none has too few rows."""
    values, place = np.unique(predicted, return_inverse=True)
    mass = np.bincount(place, weights=weights, minlength=len(values))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    number = np.minimum((middle * bins).astype(np.int64), bins - 1)
    rows = np.bincount(number[place], minlength=bins)
    return np.asarray(_joined(rows)[number][place], dtype=np.int64)


def _joined(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A new number for each bin: those with too few rows go with the next ones, the last ones with those before."""
    numbers, last, held = np.zeros(len(rows), dtype=np.int64), 0, 0
    for place, count in enumerate(rows):
        if held >= FEWEST_IN_BIN and rows[place:].sum() >= FEWEST_IN_BIN:
            last, held = last + 1, 0
        numbers[place] = last
        held += count
    return numbers


def _units(rows: int, group: Groups | None) -> int:
    return rows if group is None else len(np.unique(group))


def _line(x: Floats, y: Floats, weights: Floats, group: Groups | None) -> Fit | None:
    """Least squares of y on x; None where x is constant."""
    standard = _standardized(x)
    if standard is None:
        return None
    design, back = standard
    hessian = design.T @ (design * weights[:, np.newaxis])
    found = np.linalg.solve(hessian, design.T @ (weights * y))
    scores = design * (weights * (y - design @ found))[:, np.newaxis]
    return back @ found, back @ _sandwich(hessian, scores, group) @ back.T


def _logistic(x: Floats, y: Floats, weights: Floats, group: Groups | None) -> Fit | None:
    """Logistic regression of y on x; None where it has no finite maximum: x is constant, or parts the outcomes."""
    standard, ones, zeros = _standardized(x), x[y == 1], x[y == 0]
    if standard is None or not len(ones) or not len(zeros):
        return None
    if ones.min() >= zeros.max() or zeros.min() >= ones.max():
        return None
    design, back = standard
    share = weights / weights.sum()

    def loss(at: Floats) -> float:
        return float(share @ (np.logaddexp(0, design @ at) - y * (design @ at)))

    def gradient(at: Floats) -> Floats:
        return np.asarray(design.T @ (share * (expit(design @ at) - y)), dtype=np.float64)

    def hessian(at: Floats) -> Floats:
        rate = expit(design @ at)
        return np.asarray(design.T @ (design * (share * rate * (1 - rate))[:, np.newaxis]), dtype=np.float64)

    found = minimize(loss, np.zeros(2), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": _GRADIENT}).x
    scores = design * (share * (y - expit(design @ found)))[:, np.newaxis]
    return back @ found, back @ _sandwich(hessian(found), scores, group) @ back.T


def _standardized(x: Floats) -> tuple[Floats, Floats] | None:
    """Columns 1 and x with mean 0 and deviation 1, and the way back to coefficients of x; None for a constant x."""
    centre, scale = float(x.mean()), float(x.std())
    if scale <= _SAME * max(1.0, abs(centre)):
        return None
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    return design, np.array([[1.0, -centre / scale], [0.0, 1 / scale]])


def _sandwich(hessian: Floats, scores: Floats, group: Groups | None) -> Floats:
    if group is not None:
        _, member = np.unique(group, return_inverse=True)
        scores = np.stack([np.bincount(member, weights=column) for column in scores.T], axis=1)
    bread = np.linalg.inv(hessian)
    return np.asarray(bread @ (scores.T @ scores) @ bread, dtype=np.float64)


def _estimates(fit: Fit | None, units: int, level: float) -> tuple[Estimate | None, Estimate | None]:
    """Slope and intercept."""
    if fit is None or units < _FEWEST:
        return None, None
    found, covariance = fit
    errors = np.sqrt(np.diag(covariance) * units / (units - 2))
    reach = float(t.ppf((1 + level) / 2, units - 2))
    intercept, slope = (
        Estimate(float(value), float(value - reach * error), float(value + reach * error), float(error))
        for value, error in zip(found, errors, strict=True)
    )
    return slope, intercept
