"""Planted wrong labels are counted, overlap is not taken for them, and a perfect model scores what the ceiling says."""

import numpy as np
import pytest

from raysweep.config import TaskKind
from raysweep.records.metric import METRICS, metrics_for
from raysweep.training.label_noise import mislabelled_rows, mislabelled_share, noise_ceiling
from raysweep.training.metrics import score

CLASSES = {TaskKind.BINARY: (0.75, 0.25), TaskKind.MULTICLASS: (0.5, 0.3, 0.2)}


def flipped(truth, classes, share, rng):
    """Labels of which this share is another class, each as likely."""
    wrong = rng.random(len(truth)) < share
    return np.where(wrong, (truth + rng.integers(1, classes, len(truth))) % classes, truth), wrong


def out_of_sample(truth, classes, share, rng, *, distance):
    """What a calibrated model predicts of labels with that share wrong, from one number of each class."""
    x = rng.normal(size=(len(truth), classes)) + distance * np.eye(classes)[truth]
    of_truth = np.exp(distance * x)
    of_truth /= of_truth.sum(axis=1, keepdims=True)
    return of_truth * (1 - share) + (1 - of_truth) * share / (classes - 1)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("share", [0.05, 0.15, 0.25])
def test_planted_flips_are_counted(classes, share):
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, 8_000)
    y, wrong = flipped(truth, classes, share, rng)
    probability = out_of_sample(truth, classes, share, rng, distance=4.0)
    assert mislabelled_share(y.astype(float), probability) == pytest.approx(share, abs=0.03)
    found = mislabelled_rows(y.astype(float), probability)
    assert (found & wrong).sum() > 0.9 * wrong.sum()
    assert (found & wrong).sum() > 0.9 * found.sum()


@pytest.mark.parametrize("distance", [0.0, 0.2, 0.7, 1.5, 4.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_overlap_is_no_label_noise(classes, distance):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, classes, 8_000)
    probability = out_of_sample(truth, classes, 0.0, rng, distance=distance)
    assert mislabelled_share(truth.astype(float), probability) < 0.01


def test_a_rare_class_that_features_hardly_tell_is_no_label_noise():
    rng = np.random.default_rng(3)
    x = rng.normal(size=20_000)
    positive = 1 / (1 + np.exp(3 - 0.2 * x))
    y = (rng.random(len(x)) < positive).astype(float)
    assert mislabelled_share(y, np.column_stack([1 - positive, positive])) == 0.0


def test_few_rows_and_one_class():
    assert mislabelled_share(np.zeros(0), np.zeros((0, 2))) == 0.0
    few = np.repeat([0.0, 1.0], [15, 15])
    assert mislabelled_share(few, np.repeat([[0.1, 0.9], [0.9, 0.1]], [15, 15], axis=0)) == 0.0
    assert mislabelled_share(np.zeros(50), np.tile([0.9, 0.1], (50, 1))) == 0.0
    assert not mislabelled_rows(np.zeros(50), np.tile([0.9, 0.1], (50, 1))).any()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
@pytest.mark.parametrize(("task", "name"), [(task, metric.name) for task in CLASSES for metric in metrics_for(task)])
def test_a_model_that_knows_the_truth_scores_what_the_ceiling_says(task, name, share):
    rng = np.random.default_rng(2)
    classes = len(CLASSES[task])
    truth = rng.choice(classes, 100_000, p=CLASSES[task])
    y, _ = flipped(truth, classes, share, rng)
    knowing = np.full((len(y), classes), share / (classes - 1))
    knowing[np.arange(len(y)), truth] = 1 - share
    expected = score(name, y.astype(float), knowing)
    assert noise_ceiling(METRICS[name], y.astype(float), classes, share) == pytest.approx(expected, abs=0.006)


def test_where_no_ceiling_is_defined():
    y = np.array([0.0, 0.0, 0.0, 1.0])
    assert noise_ceiling(METRICS["rmse"], y, 0, 0.1) is None
    assert noise_ceiling(METRICS["roc_auc"], y, 2, 0.5) is None
    assert noise_ceiling(METRICS["roc_auc"], y, 2, 0.3) is None
    assert noise_ceiling(METRICS["roc_auc"], y * 0, 2, 0.0) is None
    assert noise_ceiling(METRICS["accuracy"], np.zeros(0), 2, 0.1) is None
    assert noise_ceiling(METRICS["accuracy"], y, 2, 0.2) == pytest.approx(0.8)
