"""Calibration agrees with statsmodels and scikit-learn, and says what cannot be said."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import t
from sklearn.metrics import brier_score_loss, log_loss

from raysweep.training.calibration import calibrate_numbers, calibrate_probabilities
from raysweep.training.metrics import score


def two_classes(rows, seed, slope=1.0, intercept=0.0):
    """Predictions whose true calibration line has this slope and intercept."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-0.5, 1.2, rows)
    y = (rng.random(rows) < expit(intercept + slope * x)).astype(float)
    return y, np.column_stack([1 - expit(x), expit(x)])


def by_statsmodels(outcome, design, family, *, weight, group, level=0.95):
    """Coefficients, standard errors (the sandwich's, for few units) and the upper ends of the intervals."""
    units = len(outcome) if group is None else len(np.unique(group))
    labels = np.arange(len(outcome)) if group is None else group.astype(int)
    order = np.argsort(labels, kind="stable")
    model = sm.GEE(
        outcome[order],
        sm.add_constant(design[order]),
        labels[order],
        family=family,
        weights=None if weight is None else weight[order],
        cov_struct=sm.cov_struct.Independence(),
    )
    fit = model.fit(ctol=1e-8)
    errors = fit.bse * np.sqrt(units / (units - 2))
    return fit.params, errors, fit.params + t.ppf((1 + level) / 2, units - 2) * errors


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_slope_and_intercept_are_those_of_statsmodels(weighted, grouped):
    y, probability = two_classes(500, 1, slope=0.6, intercept=0.3)
    rng = np.random.default_rng(2)
    weight = rng.lognormal(0, 0.5, 500) if weighted else None
    group = rng.integers(0, 80, 500).astype(np.uint64) if grouped else None
    found = calibrate_probabilities(y, probability, weight, group=group)
    coefficients, errors, high = by_statsmodels(
        y, logit(probability[:, 1]), sm.families.Binomial(), weight=weight, group=group
    )
    for place, one in enumerate((found.intercept, found.slope)):
        assert one.value == pytest.approx(coefficients[place], rel=1e-6)
        assert one.standard_error == pytest.approx(errors[place], rel=1e-5)
        assert one.high == pytest.approx(high[place], rel=1e-5)
        assert one.low == pytest.approx(2 * coefficients[place] - high[place], rel=1e-5)


def test_the_line_of_numbers_is_that_of_statsmodels():
    rng = np.random.default_rng(3)
    predicted = rng.normal(1e6, 5, 300)
    y, weight = 0.8 * predicted + rng.normal(0, 2, 300), rng.lognormal(0, 0.5, 300)
    found = calibrate_numbers(y, predicted, weight, level=0.9)
    centred = predicted - 1e6
    coefficients, errors, high = by_statsmodels(
        y, centred, sm.families.Gaussian(), weight=weight, group=None, level=0.9
    )
    assert found.slope.value == pytest.approx(coefficients[1], rel=1e-6)
    assert found.slope.standard_error == pytest.approx(errors[1], rel=1e-5)
    assert found.slope.high == pytest.approx(high[1], rel=1e-5)
    assert found.intercept.value == pytest.approx(coefficients[0] - 1e6 * coefficients[1], rel=1e-6)


def test_a_calibrated_model_and_one_that_is_too_sure():
    good = calibrate_probabilities(*two_classes(20_000, 4), None)
    assert good.slope.low < 1 < good.slope.high
    assert good.intercept.low < 0 < good.intercept.high
    assert good.error < 0.02
    sure = calibrate_probabilities(*two_classes(20_000, 5, slope=0.5), None)
    assert sure.slope.high < 0.6
    assert sure.error > 0.05


def test_intervals_hold_the_truth():
    held = 0
    for seed in range(300):
        found = calibrate_probabilities(*two_classes(150, seed, slope=0.8), None)
        held += found.slope.low <= 0.8 <= found.slope.high
    assert held / 300 == pytest.approx(0.95, abs=0.03)


def test_bins_and_error_by_hand():
    rng = np.random.default_rng(6)
    predicted = rng.permutation(np.linspace(0.05, 0.95, 300))
    y = (rng.random(300) < predicted).astype(float)
    found = calibrate_probabilities(y, np.column_stack([1 - predicted, predicted]), None)
    order = np.argsort(predicted)
    pieces = np.split(order, 15)
    assert [one.rows for one in found.bins] == [20] * 15
    assert [one.predicted for one in found.bins] == pytest.approx([predicted[rows].mean() for rows in pieces])
    assert [one.observed for one in found.bins] == pytest.approx([y[rows].mean() for rows in pieces])
    error = np.mean([abs(predicted[rows].mean() - y[rows].mean()) for rows in pieces])
    assert found.error == pytest.approx(error)
    assert {one.spread for one in found.bins} == {0.0}


@pytest.mark.parametrize("grouped", [False, True])
def test_the_error_by_chance_is_that_of_simulations(grouped):
    """Targets drawn anew from the same probabilities, with the weights, the groups and the bins of before."""
    rng = np.random.default_rng(13)
    rows, size = 600, 10
    p = np.repeat(rng.uniform(0.1, 0.9, rows // size), size) if grouped else rng.uniform(0.1, 0.9, rows)
    weight = rng.lognormal(0, 0.7, rows)
    group = np.repeat(np.arange(rows // size, dtype=np.uint64), size) if grouped else None
    found = []
    for _ in range(300):
        share = np.repeat(rng.beta(p[::size], 1 - p[::size]), size) if grouped else p
        y = (rng.random(rows) < share).astype(float)
        found.append(calibrate_probabilities(y, np.column_stack([1 - p, p]), weight, group=group))
    errors = [one.error for one in found]
    assert np.mean([one.chance for one in found]) == pytest.approx(np.mean(errors), rel=0.1)
    assert np.mean([one.chance_spread for one in found]) == pytest.approx(np.std(errors), rel=0.2)
    numbers = [calibrate_numbers(rng.normal(size=rows) + 9 * p, 9 * p, weight, group=group) for _ in range(100)]
    assert np.mean([one.chance for one in numbers]) == pytest.approx(np.mean([one.error for one in numbers]), rel=0.1)


def test_rows_without_weight_are_no_rows():
    y, probability = two_classes(600, 14)
    probability = np.round(probability, 1) / np.round(probability, 1).sum(axis=1, keepdims=True)
    weight = np.where(probability[:, 1] == 0.5, 0.0, 1.0)
    kept = weight > 0
    assert calibrate_probabilities(y, probability, weight) == calibrate_probabilities(
        y[kept], probability[kept], weight[kept]
    )
    group = np.arange(600, dtype=np.uint64) // 3
    numbers = calibrate_numbers(y, probability[:, 1], weight, group=group)
    assert numbers == calibrate_numbers(y[kept], probability[kept, 1], weight[kept], group=group[kept])
    assert np.isfinite(numbers.error)


def test_no_bin_shows_single_rows():
    rng = np.random.default_rng(15)
    for rows in (10, 19):
        found = calibrate_numbers(rng.normal(size=rows), np.arange(float(rows)), None)
        assert found.bins == ()
        assert np.isnan([found.error, found.chance, found.chance_spread]).all()
        assert found.slope is not None
    assert [one.rows for one in calibrate_numbers(rng.normal(size=59), np.arange(59.0), None).bins] == [29, 30]
    heavy = np.where(np.arange(200) % 50 == 0, 1e3, 1.0)
    predicted = np.where(np.arange(200) < 15, np.arange(200), np.arange(200) // 30 * 30.0)
    for weight in (None, heavy, heavy[::-1]):
        bins = calibrate_numbers(rng.normal(size=200), predicted, weight).bins
        assert sum(one.rows for one in bins) == 200
        assert min(one.rows for one in bins) >= 20
        assert len(bins) > 1


def test_weights_stand_for_repeated_rows():
    y, probability = two_classes(900, 7)
    times = np.random.default_rng(8).integers(1, 4, 900)
    weighted = calibrate_probabilities(y, probability, times.astype(float))
    repeated = calibrate_probabilities(np.repeat(y, times), np.repeat(probability, times, axis=0), None)
    assert weighted.error == pytest.approx(repeated.error)
    assert weighted.slope.value == pytest.approx(repeated.slope.value)
    assert weighted.brier == pytest.approx(repeated.brier)
    assert weighted.slope.standard_error > repeated.slope.standard_error  # which takes copies for rows of their own


def test_scores_are_those_of_scikit_learn():
    y, probability = two_classes(300, 9)
    found = calibrate_probabilities(y, probability, None)
    assert found.brier == pytest.approx(score("brier", y, probability))
    assert found.log_loss == pytest.approx(score("log_loss", y, probability))
    rng = np.random.default_rng(10)
    many = rng.dirichlet(np.ones(4), 300)
    codes = rng.integers(0, 4, 300).astype(float)
    of_many = calibrate_probabilities(codes, many, None)
    assert of_many.brier == pytest.approx(brier_score_loss(codes, many, labels=range(4), scale_by_half=False))
    assert of_many.log_loss == pytest.approx(log_loss(codes, many, labels=range(4)))


def test_of_many_classes_the_one_predicted_counts():
    rng = np.random.default_rng(11)
    probability = rng.dirichlet(np.ones(3) * 2, 30_000)
    y = (rng.random((30_000, 1)) > np.cumsum(probability, axis=1)).sum(axis=1).astype(float)
    found = calibrate_probabilities(y, probability, None)
    assert found.error < 0.02
    assert found.slope.low < 1 < found.slope.high
    sharper = probability**3 / (probability**3).sum(axis=1, keepdims=True)
    assert calibrate_probabilities(y, sharper, None).slope.high < 0.8


def test_certain_predictions_count_as_nearly_certain():
    y = np.array([0.0, 1.0] * 50)
    predicted = np.where(np.arange(100) < 96, y, 1 - y)
    found = calibrate_probabilities(y, np.column_stack([1 - predicted, predicted]), None)
    assert 0 < found.slope.value < 0.5
    assert len(found.bins) == 2


@pytest.mark.parametrize(
    ("y", "predicted"),
    [
        (np.array([0.0, 1.0] * 20), np.full(40, 0.3)),
        (np.zeros(40), np.linspace(0.1, 0.9, 40)),
        (np.array([0.0, 1.0] * 20), np.tile([0.2, 0.8], 20)),
        (np.array([1.0, 0.0]), np.array([0.3, 0.6])),
    ],
    ids=["one prediction", "one class", "parted", "two rows"],
)
def test_no_line_where_there_is_none(y, predicted):
    found = calibrate_probabilities(y, np.column_stack([1 - predicted, predicted]), None)
    assert found.slope is None
    assert found.intercept is None
    assert np.isfinite(found.error) == (len(y) >= 20)
    assert sum(one.rows for one in found.bins) == (len(y) if len(y) >= 20 else 0)


def test_numbers_show_bias_and_spread_by_decile():
    rng = np.random.default_rng(12)
    predicted = rng.normal(size=10_000)
    y = predicted + np.where(predicted > 1, 0.5, 0.0) + rng.normal(0, 0.3, 10_000)
    found = calibrate_numbers(y, predicted, None)
    assert len(found.bins) == 10
    assert found.bins[-1].observed - found.bins[-1].predicted == pytest.approx(0.5, abs=0.05)
    assert found.bins[0].observed - found.bins[0].predicted == pytest.approx(0.0, abs=0.05)
    assert found.bins[0].spread == pytest.approx(0.3, abs=0.03)
    assert found.brier is None
    expected = np.mean([abs(one.observed - one.predicted) for one in found.bins]) / y.std()
    assert found.error == pytest.approx(expected)


def test_constant_numbers():
    found = calibrate_numbers(np.arange(30.0), np.full(30, 2.0), None)
    assert found.slope is None
    assert len(found.bins) == 1
    assert np.isnan(calibrate_numbers(np.ones(50), np.arange(50.0), None).error)
