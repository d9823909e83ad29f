"""Intervals hold the truth as often as they say, also for few rows."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from raysweep.records.metric import METRICS
from raysweep.training.intervals import count_units, estimate, expanded_tail
from raysweep.training.resampling import resampled_scores

REPEATS, RESAMPLES = 1_500, 400


def half_normal(rng, rows):
    """Rows with errors of a half-normal size, and their true mean."""
    return rng.normal(size=rows), np.zeros(rows), math.sqrt(2 / math.pi)


def two_classes(rng, rows):
    """A third of positives, one standard deviation higher, and the true area."""
    y = (np.arange(rows) % 3 == 0).astype(float)
    value = norm.cdf(rng.normal(size=rows) + y)
    return y, np.column_stack([1 - value, value]), norm.cdf(1 / math.sqrt(2))


@pytest.mark.parametrize(
    ("generate", "name", "rows", "classes"),
    [(half_normal, "mae", 30, 0), (two_classes, "roc_auc", 36, 2), (two_classes, "roc_auc", 99, 2)],
)
def test_coverage_is_nearer_to_the_level_than_the_plain_percentiles(generate, name, rows, classes):
    rng = np.random.default_rng(20_240_501)
    plain = expanded = 0
    for repeat in range(REPEATS):
        y, predicted, truth = generate(rng, rows)
        drawn = resampled_scores(y, None, [(name, predicted)], seed=repeat, resamples=RESAMPLES)[0]
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        plain += low <= truth <= high
        found = estimate(math.nan, drawn, units=count_units(y, None, METRICS[name], classes))
        expanded += found.low <= truth <= found.high
    assert abs(expanded / REPEATS - 0.95) < abs(plain / REPEATS - 0.95)
    assert expanded / REPEATS == pytest.approx(0.95, abs=0.02)


def test_with_normal_draws_it_is_students_interval():
    """Draws as the bootstrap of a mean has them: the interval is the t-interval of the textbook."""
    rows = np.random.default_rng(1).normal(5, 2, 12)
    drawn = norm.ppf((np.arange(200_000) + 0.5) / 200_000, rows.mean(), rows.std() / math.sqrt(12))
    found = estimate(rows.mean(), drawn, level=0.9, units=12)
    low, high = t.interval(0.9, 11, rows.mean(), rows.std(ddof=1) / math.sqrt(12))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3)
    assert found.standard_error == pytest.approx(rows.std(ddof=1) / math.sqrt(12), rel=1e-3)


def test_many_units_leave_the_plain_percentiles():
    assert expanded_tail(0.95, 10**7) == pytest.approx(0.025, abs=1e-6)
    assert expanded_tail(0.95, 20) < 0.02


def test_draws_that_are_not_defined_are_left_out():
    drawn = np.array([1.0, np.nan, 2.0, np.inf, 3.0])
    assert estimate(2.0, drawn, units=100).high == pytest.approx(3.0, abs=0.1)
    for nothing in (estimate(2.0, np.full(5, np.nan), units=9), estimate(2.0, np.ones(5), units=1)):
        assert nothing.value == 2.0
        assert math.isnan(nothing.low)
        assert math.isnan(nothing.high)
        assert math.isnan(nothing.standard_error)


def test_units_are_what_a_metric_rests_on():
    y = np.array([0, 0, 0, 0, 1, 1, 0, 0], dtype=float)
    group = np.array([5, 5, 6, 6, 6, 6, 7, 8], dtype=np.uint64)
    assert count_units(y, None, METRICS["roc_auc"], 2) == 2
    assert count_units(y, group, METRICS["roc_auc"], 2) == 1
    assert count_units(y, None, METRICS["brier"], 2) == 8
    assert count_units(y, group, METRICS["log_loss"], 2) == 4
    assert count_units(y, group, METRICS["f1_macro"], 3) == 4
    assert count_units(y * 0, None, METRICS["average_precision"], 2) == 0
    assert count_units(y, None, METRICS["rmse"], 0) == 8
