"""The threshold is the best that a loop through scikit-learn finds, and no row that judges it chose it."""

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV

from raysweep.records.metric import METRICS
from raysweep.training.threshold import choose_threshold, criterion_of, judge_threshold

SCORES = {"accuracy": sk.accuracy_score, "balanced_accuracy": sk.balanced_accuracy_score, "f1": sk.f1_score}


def rows_of(rows, seed, *, digits=None, share=0.2):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(float)
    positive = 1 / (1 + np.exp(-(y * 1.5 - 1.5 + rng.normal(size=rows))))
    positive = positive if digits is None else positive.round(digits)
    return y, np.column_stack([1 - positive, positive]), rng.lognormal(0, 1, rows)


def by_loop(criterion, y, positive, weight):
    """The best score of any threshold, and the thresholds among the probabilities that reach it."""
    tried = [*np.unique(positive), 1.1]
    scores = [
        SCORES[criterion](
            y, positive >= one, sample_weight=weight, **({"zero_division": 0.0} if criterion == "f1" else {})
        )
        for one in tried
    ]
    return max(scores)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("criterion", SCORES)
def test_as_good_as_any_threshold(criterion, digits, weighted):
    y, probability, weight = rows_of(200, 1, digits=digits)
    weight = weight if weighted else None
    chosen = choose_threshold(y, probability, weight, criterion)
    best = by_loop(criterion, y, probability[:, 1], weight)
    assert chosen.score == pytest.approx(best, rel=1e-12)
    reached = SCORES[criterion](y, probability[:, 1] >= chosen.value, sample_weight=weight)
    assert reached == pytest.approx(best, rel=1e-12)


def test_at_least_as_good_as_scikit_learns_search():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 3))
    y = (x[:, 0] + rng.normal(size=400) > 1.2).astype(float)
    model = LogisticRegression().fit(x, y)
    tuned = TunedThresholdClassifierCV(model, scoring="f1", cv="prefit", refit=False, thresholds=200).fit(x, y)
    chosen = choose_threshold(y, model.predict_proba(x), None, "f1")
    assert chosen.score >= tuned.best_score_
    assert chosen.score == pytest.approx(tuned.best_score_, abs=0.01)


def test_the_nearest_to_a_half_of_equally_good_ones():
    y = np.array([0.0, 0.0, 1.0, 1.0])
    for low, high, expected in [(0.2, 0.9, 0.5), (0.2, 0.4, 0.3), (0.6, 0.8, 0.7), (0.2, 0.5, 0.5), (0.5, 0.8, 0.65)]:
        positive = np.array([low, low, high, high])
        chosen = choose_threshold(y, np.column_stack([1 - positive, positive]), None, "accuracy")
        assert chosen.value == pytest.approx(expected)
        assert chosen.score == 1.0
    useless = np.full((4, 2), 0.5)
    assert choose_threshold(y, useless, None, "balanced_accuracy").value == 0.5


def test_probabilities_that_differ_by_the_last_bit():
    low = 0.7
    high = np.nextafter(low, 1)
    positive = np.array([low, low, high, high])
    y = np.array([0.0, 0.0, 1.0, 1.0])
    chosen = choose_threshold(y, np.column_stack([1 - positive, positive]), None, "accuracy")
    assert ((positive >= chosen.value) == y).all()


def test_certain_probabilities_can_all_be_called_negative():
    y = np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    positive = np.array([1.0, 1.0, 1.0, 0.0, 1.0])
    chosen = choose_threshold(y, np.column_stack([1 - positive, positive]), None, "accuracy")
    assert chosen.score == 0.8
    assert not (positive >= chosen.value).any()


@pytest.mark.parametrize("criterion", SCORES)
def test_judged_on_other_rows(criterion):
    chosen = choose_threshold(*rows_of(300, 3), criterion)
    y, probability, weight = rows_of(250, 4)
    found = judge_threshold(chosen, y, probability, weight)
    called = probability[:, 1] >= chosen.value
    matrix = sk.confusion_matrix(y, called, sample_weight=weight)
    confusion = found.confusion
    assert [confusion.true_negatives, confusion.false_positives] == pytest.approx(list(matrix[0]))
    assert [confusion.false_negatives, confusion.true_positives] == pytest.approx(list(matrix[1]))
    assert confusion.precision == pytest.approx(sk.precision_score(y, called, sample_weight=weight))
    assert confusion.recall == pytest.approx(sk.recall_score(y, called, sample_weight=weight))
    assert found.validation_score == pytest.approx(SCORES[criterion](y, called, sample_weight=weight))
    at_half = SCORES[criterion](y, probability[:, 1] >= 0.5, sample_weight=weight)
    assert found.at_half == pytest.approx(at_half)
    assert found.testing_score == chosen.score


def test_the_curve_can_be_drawn():
    y, probability, weight = rows_of(5_000, 5)
    chosen = choose_threshold(y, probability, weight, "f1")
    thresholds, scores = zip(*chosen.curve, strict=True)
    assert len(chosen.curve) <= 100
    assert sorted(thresholds) == list(thresholds)
    assert max(scores) == chosen.score
    assert (chosen.value, chosen.score) in chosen.curve
    few = choose_threshold(*rows_of(30, 5, digits=1), "f1")
    assert len(few.curve) <= 12


def test_one_class_has_no_threshold():
    assert choose_threshold(np.zeros(5), np.full((5, 2), 0.5), None, "f1") is None
    chosen = choose_threshold(*rows_of(50, 6), "balanced_accuracy")
    alone = judge_threshold(chosen, np.zeros(3), np.array([[0.9, 0.1]] * 3), None)
    assert alone.validation_score == 1.0
    assert alone.confusion.recall is None


def test_the_criterion_is_the_metric_where_it_judges_classes():
    assert [criterion_of(METRICS[name]) for name in ("f1", "accuracy", "roc_auc", "log_loss")] == [
        "f1",
        "accuracy",
        "balanced_accuracy",
        "balanced_accuracy",
    ]
