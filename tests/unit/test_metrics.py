"""Scores of predictions, and which metric fits which task."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from raysweep.config import TaskKind
from raysweep.errors import RequestInvalid
from raysweep.records.metric import DEFAULT_METRIC, METRICS, metric_for, metrics_for
from raysweep.records.table import LearningTask
from raysweep.training.dummy import dummy_predictions
from raysweep.training.metrics import all_scores, predicted_codes, score


def perfect(task):
    if task is TaskKind.REGRESSION:
        y = np.array([1.0, 2.0, 4.0])
        return y, y
    codes = np.arange(2 if task is TaskKind.BINARY else 3).repeat(2)
    return codes.astype(float), np.eye(len(set(codes)))[codes]


@pytest.mark.parametrize("task", list(TaskKind))
def test_perfect_predictions_have_the_perfect_score(task):
    y, predicted = perfect(task)
    scores = all_scores(task, y, predicted)
    assert set(scores) == {metric.name for metric in metrics_for(task)}
    for name, value in scores.items():
        assert value == pytest.approx(METRICS[name].perfect, abs=1e-12)


@pytest.mark.parametrize("task", list(TaskKind))
def test_a_worse_prediction_has_a_worse_score(task):
    y, predicted = perfect(task)
    worse = predicted[::-1]
    for metric in metrics_for(task):
        assert metric.is_better(score(metric.name, y, predicted), score(metric.name, y, worse))


def test_weights_stand_for_repeated_rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 50).astype(float)
    probability = rng.dirichlet(np.ones(3), 50)
    times = rng.integers(1, 4, 50)
    weighted = all_scores(TaskKind.MULTICLASS, y, probability, times.astype(float))
    repeated = all_scores(TaskKind.MULTICLASS, np.repeat(y, times), np.repeat(probability, times, axis=0))
    assert weighted == pytest.approx(repeated)


def test_numbers_worked_out_by_hand():
    y = np.array([0.0, 0.0, 1.0, 1.0])
    probability = np.column_stack([1 - (p := np.array([0.1, 0.6, 0.4, 0.9])), p])
    assert score("roc_auc", y, probability) == 0.75
    assert score("accuracy", y, probability) == 0.5
    assert score("brier", y, probability) == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert score("log_loss", y, probability) == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.9]).mean())
    assert score("average_precision", y, probability) == pytest.approx((1 + 2 / 3) / 2)
    assert score("rmse", y, p) == pytest.approx((0.74 / 4) ** 0.5)


@pytest.mark.parametrize("code", [0.0, 1.0])
@pytest.mark.parametrize("task", [TaskKind.BINARY, TaskKind.MULTICLASS])
def test_one_class_alone_leaves_out_what_is_not_defined(task, code):
    classes = 2 if task is TaskKind.BINARY else 3
    probability = np.random.default_rng(0).dirichlet(np.ones(classes), 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = all_scores(task, np.full(6, code), probability)
    assert not {"roc_auc", "roc_auc_ovr"} & set(scores)
    assert ("average_precision" in scores) == (task is TaskKind.BINARY and code == 1.0)
    assert {"log_loss", "accuracy", "balanced_accuracy"} <= set(scores)
    assert np.isfinite(list(scores.values())).all()


def test_a_class_that_does_not_occur_is_left_out_of_the_mean_area():
    y = np.array([0.0, 1.0, 0.0, 1.0])
    probability = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    assert score("roc_auc_ovr", y, probability) == 1.0


def test_ties_go_to_the_positive_class():
    assert predicted_codes(np.array([[0.5, 0.5], [0.6, 0.4]])).tolist() == [1, 0]
    assert predicted_codes(np.array([[0.2, 0.4, 0.4], [0.5, 0.2, 0.3]])).tolist() == [1, 0]


def test_the_metric_of_a_task():
    assert {task: metric_for(None, task).name for task in TaskKind} == DEFAULT_METRIC
    assert metric_for("f1_macro", TaskKind.BINARY).name == "f1_macro"
    with pytest.raises(RequestInvalid, match="did you mean 'roc_auc'"):
        metric_for("roc_acu", TaskKind.BINARY)
    with pytest.raises(RequestInvalid, match="rmse does not fit a binary task; use one of roc_auc"):
        metric_for("rmse", TaskKind.BINARY)


def learning_task(kind, metric=None):
    classes = {TaskKind.BINARY: (0, 1), TaskKind.MULTICLASS: ("a", "b", "c"), TaskKind.REGRESSION: ()}[kind]
    return LearningTask(kind, "y", metric_for(metric, kind), (), classes)


def test_the_dummy_predicts_shares_means_and_medians():
    weight = np.array([1.0, 1.0, 2.0])
    shares = dummy_predictions(learning_task(TaskKind.MULTICLASS), np.array([0.0, 1.0, 1.0]), weight, 2)
    assert shares.tolist() == [[0.25, 0.75, 0.0]] * 2
    y = np.array([1.0, 2.0, 9.0])
    assert dummy_predictions(learning_task(TaskKind.REGRESSION), y, None, 1).tolist() == [4.0]
    assert dummy_predictions(learning_task(TaskKind.REGRESSION, "mae"), y, None, 1).tolist() == [2.0]
    assert dummy_predictions(learning_task(TaskKind.REGRESSION, "mae"), y, np.array([1.0, 1.0, 9.0]), 1).tolist() == [
        9.0
    ]
