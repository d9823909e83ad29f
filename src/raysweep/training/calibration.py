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
        weight: row weights, or None.
        level: of the intervals of slope and intercept, from a variance that holds whatever the true curve is (the
            sandwich: White 1982), by group where rows belong together (Liang & Zeger 1986), with Student's tails.
        group: equal where rows belong together, or None.

    Returns:
        Slope and intercept None where they are not defined: one outcome, one prediction, or outcomes that the
        predictions part without overlap.
    """
    classes = probability.shape[1]
    binary = classes == 2  # noqa: PLR2004
    predicted = probability[:, 1] if binary else probability.max(axis=1)
    outcome = (y == 1 if binary else predicted_codes(probability) == y).astype(np.float64)
    weights = np.ones(len(y)) if weight is None else weight
    bins, error = _binned(outcome, predicted, weights, PROBABILITY_BINS)
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
    )


def calibrate_numbers(
    y: Floats, predicted: Floats, weight: Floats | None, *, level: float = 0.95, group: Groups | None = None
) -> Calibration:
    """Bias and spread of predicted numbers by decile of the prediction; slope and intercept of target on prediction.

    Args:
        y: targets, shape (rows,).
        predicted: shape (rows,).
        weight: row weights, or None.
        level: of the intervals of slope and intercept, as for probabilities.
        group: equal where rows belong together, or None.
    """
    weights = np.ones(len(y)) if weight is None else weight
    bins, bias = _binned(y, predicted, weights, NUMBER_BINS)
    deviation = math.sqrt(np.average((y - np.average(y, weights=weights)) ** 2, weights=weights))
    slope, intercept = _estimates(_line(predicted, y, weights, group), _units(len(y), group), level)
    return Calibration(bins, bias / deviation if deviation else math.nan, slope, intercept)


def _binned(y: Floats, predicted: Floats, weights: Floats, bins: int) -> tuple[tuple[Bin, ...], float]:
    """Bins of about equal weight by rising prediction, and the mean distance of observed from predicted over them."""
    number = _bin_of_row(predicted, weights, bins)
    rows, mass = np.bincount(number), np.bincount(number, weights=weights)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(number, weights=weights * values) / mass, dtype=np.float64)

    residual = y - predicted
    bias = mean(residual)
    spread = np.sqrt(mean((residual - bias[number]) ** 2))
    columns = (rows, mean(predicted), mean(y), spread)
    made = tuple(Bin(int(n), float(p), float(o), float(s)) for n, p, o, s in zip(*columns, strict=True))
    return made, float(np.average(np.abs(bias), weights=mass))


def _bin_of_row(predicted: Floats, weights: Floats, bins: int) -> npt.NDArray[np.int64]:
    """The bin of each row, numbered without a gap; equal predictions share a bin."""
    values, place = np.unique(predicted, return_inverse=True)
    mass = np.bincount(place, weights=weights, minlength=len(values))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    number = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return np.asarray(np.unique(number, return_inverse=True)[1][place], dtype=np.int64)


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
