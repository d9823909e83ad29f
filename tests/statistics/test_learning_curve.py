"""A learning curve that is a power law is continued by it, any other one is not."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from raysweep.records.metric import METRICS
from raysweep.training.learning_curve import extrapolate

ROWS = (500, 1_000, 2_000, 4_000, 8_000)


def law(rows, floor, scale, exponent):
    return floor + scale * np.asarray(rows, dtype=float) ** -exponent


@pytest.mark.parametrize("floor", [0.0, 0.1])
@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "r2", "rmse"])
def test_a_power_law_is_continued(name, exponent, floor):
    metric = METRICS[name]
    scale = 0.2 * 500**exponent
    points = [(rows, metric.perfect - metric.sign * law(rows, floor, scale, exponent)) for rows in ROWS]
    found = extrapolate(reversed(points), metric)
    expected = metric.perfect - metric.sign * law(16_000, floor, scale, exponent)
    assert found.doubled == pytest.approx(expected, abs=1e-3)
    assert found.points == tuple(points)
    assert metric.is_better(found.doubled, points[-1][1])


def test_with_noise_it_is_the_fit_of_scipy():
    rng = np.random.default_rng(0)
    distance = law(ROWS, 0.08, 3.0, 0.5) + rng.normal(0, 0.002, 5)
    share = np.array(ROWS) / 8_000
    fitted, _ = curve_fit(law, share, distance, p0=(0.05, 0.1, 0.5), bounds=([0, 0, 0.05], [1, 1, 2]))
    found = extrapolate(list(zip(ROWS, 1 - distance, strict=True)), METRICS["roc_auc"])
    assert found.doubled == pytest.approx(1 - law(2.0, *fitted), abs=1e-4)


@pytest.mark.parametrize(
    "scores",
    [
        (0.7, 0.7, 0.7, 0.7, 0.7),
        (0.8, 0.78, 0.75, 0.74, 0.7),
        (0.6, 0.7, 0.65, 0.72, 0.74),
        (0.6, 0.601, 0.602, 0.603, 0.9),
        (0.6, 0.7, float("nan"), 0.72, 0.74),
    ],
    ids=["flat", "worse with more", "up and down", "a jump at the end", "undefined"],
)
def test_what_is_no_learning_curve_is_not_continued(scores):
    found = extrapolate(list(zip(ROWS, scores, strict=True)), METRICS["roc_auc"])
    assert found.doubled is None
    assert len(found.points) == 5


def test_too_few_points():
    points = [(500, 0.6), (1_000, 0.7), (1_000, 0.71)]
    assert extrapolate(points, METRICS["roc_auc"]).doubled is None
    assert extrapolate([], METRICS["roc_auc"]).points == ()


def test_never_better_than_perfect():
    points = [(rows, 1 - law(rows, 0, 500.0, 1.2)) for rows in ROWS]
    assert points[-1][1] < extrapolate(points, METRICS["accuracy"]).doubled < 1
