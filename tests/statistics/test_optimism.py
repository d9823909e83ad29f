"""The luck of the best of many is known in simulations, and what is estimated there comes close."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from raysweep.records.metric import METRICS
from raysweep.training.metrics import score
from raysweep.training.optimism import selection_optimism
from raysweep.training.testing_sample import SampledRows

AUC = METRICS["roc_auc"]


def simulated(seed, rows, gaps, *, shared=0.0):
    """Candidates whose predictions tell the classes apart by the given gaps, in standard deviations of their noise.

    Returns:
        Targets, the predictions of each candidate, their scores, and the true areas.
    """
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.5).astype(float)
    common = rng.normal(size=rows)
    predictions = []
    for gap in gaps:
        noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=rows)
        positive = norm.cdf(noise + gap * y)
        predictions.append(np.column_stack([1 - positive, positive]))
    scores = [roc_auc_by_ranks(y, predicted[:, 1]) for predicted in predictions]
    return y, predictions, scores, norm.cdf(np.asarray(gaps) / np.sqrt(2))


def roc_auc_by_ranks(y, value):
    positives = int(y.sum())
    return (rankdata(value)[y == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives))


def luck(scores, truth):
    """How much too good the best one looks beyond what all have in common, which is 0 on average."""
    errors = np.asarray(scores) - truth
    return errors[np.argmax(scores)] - errors.mean()


def estimated_and_true(repeats, rows, gaps, **given):
    """Means over simulations."""
    pairs = []
    for seed in range(repeats):
        y, predictions, scores, truth = simulated(seed, rows, gaps, **given)
        found = selection_optimism(AUC, SampledRows(y, None, rows), predictions, scores, seed)
        pairs.append((found.expected, luck(scores, truth)))
    return np.mean(pairs, axis=0)


def test_a_thousand_candidates_of_pure_noise():
    y, predictions, scores, truth = simulated(0, 200, np.zeros(1_000))
    found = selection_optimism(AUC, SampledRows(y, None, 200), predictions, scores, 0)
    assert luck(scores, truth) > 0.1
    assert found.expected == pytest.approx(luck(scores, truth), rel=0.15)
    assert (found.candidates, found.rows) == (1_000, 200)


@pytest.mark.parametrize(
    ("gaps", "shared", "tolerance"),
    [
        (np.full(40, 1.0), 0.9, 0.003),
        (np.full(40, 1.0), 0.0, 0.008),
        (np.linspace(0.6, 1.2, 40), 0.5, 0.008),
        (np.concatenate([np.zeros(20), np.full(20, 1.0)]), 0.8, 0.01),
    ],
    ids=["alike and correlated", "alike and independent", "of all qualities", "good ones and bad ones"],
)
def test_good_candidates(gaps, shared, tolerance):
    estimated, true = estimated_and_true(20, 150, gaps, shared=shared)
    assert estimated == pytest.approx(true, abs=tolerance)


def test_one_that_is_far_better_won_by_merit():
    gaps = np.append(np.zeros(20), 3.0)
    estimated, _ = estimated_and_true(5, 200, gaps)
    assert estimated < 0.002


def test_more_testing_rows_leave_less_to_luck():
    y, predictions, scores, _ = simulated(1, 300, np.full(30, 1.0))
    small = selection_optimism(AUC, SampledRows(y, None, 300), predictions, scores, 0)
    truth = norm.cdf(1 / np.sqrt(2))
    nearer = [truth + (one - truth) / 4 for one in scores]
    large = selection_optimism(AUC, SampledRows(y, None, 300 * 16), predictions, nearer, 0)
    assert large.expected == pytest.approx(small.expected / 4, rel=0.1)


def test_less_is_better():
    rng = np.random.default_rng(2)
    y = rng.normal(size=200)
    predictions = [rng.normal(0, 0.3, 200) for _ in range(100)]
    scores = [score("rmse", y, predicted) for predicted in predictions]
    found = selection_optimism(METRICS["rmse"], SampledRows(y, None, 200), predictions, scores, 0)
    assert found.expected == pytest.approx(luck([-one for one in scores], -np.sqrt(1.09)), rel=0.25)
    assert found.expected > 0.03


def test_one_candidate_has_no_luck_and_none_cannot_be_said():
    y, predictions, scores, _ = simulated(3, 100, [1.0, 1.0])
    one = selection_optimism(AUC, SampledRows(y, None, 100), predictions[:1], scores[:1], 0)
    assert one.expected == pytest.approx(0.0, abs=1e-12)
    twice = selection_optimism(AUC, SampledRows(y, None, 100), predictions[:1] * 2, scores[:1] * 2, 0)
    assert twice.expected == pytest.approx(0.0, abs=1e-12)
    assert selection_optimism(AUC, SampledRows(y, None, 100), [], [], 0) is None
    assert selection_optimism(AUC, SampledRows(y, None, 100), predictions, [0.7, float("nan")], 0) is None
    assert selection_optimism(AUC, SampledRows(y * 0, None, 100), predictions, scores, 0) is None


def test_copies_of_rows_in_a_group_leave_as_much_to_luck():
    y, predictions, scores, _ = simulated(4, 150, np.full(30, 1.0))
    alone = selection_optimism(AUC, SampledRows(y, None, 150), predictions, scores, 0)
    many = np.repeat(y, 4)
    copies = [np.repeat(one, 4, axis=0) for one in predictions]
    group = np.repeat(np.arange(150, dtype=np.uint64), 4)
    grouped = selection_optimism(AUC, SampledRows(many, None, 600, group), copies, scores, 0)
    assert grouped.expected == pytest.approx(alone.expected, rel=1e-6)
    for_themselves = selection_optimism(AUC, SampledRows(many, None, 600), copies, scores, 0)
    assert for_themselves.expected < 0.75 * alone.expected


def test_too_small_a_sample_says_nothing():
    y, predictions, scores, _ = simulated(5, 60, [1.0, 1.0])

    def found(rows, y=y, group=None):
        kept = [one[:rows] for one in predictions]
        return selection_optimism(AUC, SampledRows(y[:rows], None, 2_000, group), kept, scores, 0)

    assert found(30) is not None
    assert found(29) is None
    place = np.arange(60)
    assert found(60, (place < 5).astype(float)) is not None
    assert found(60, (place < 4).astype(float)) is None
    assert found(60, (place >= 4).astype(float)) is None
    assert found(60, group=(place // 3).astype(np.uint64)) is None
    assert found(60, group=(place // 2).astype(np.uint64)) is not None
