"""A resampled score is scikit-learn's score with the resample as row weights."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from raysweep.config import TaskKind
from raysweep.records.metric import METRICS, metrics_for
from raysweep.training.metrics import score
from raysweep.training.resampling import _RESAMPLERS, resampled_scores

CLASSES = {TaskKind.BINARY: 2, TaskKind.MULTICLASS: 4}


def predictions(task, rows, seed, *, tied):
    rng = np.random.default_rng(seed)
    if task is TaskKind.REGRESSION:
        y = rng.normal(1e6, 3, rows)
        predicted = y + rng.normal(0, 2, rows)
        return (y.round(), predicted.round()) if tied else (y, predicted)
    classes = CLASSES[task]
    y = rng.integers(0, classes, rows).astype(float)
    raw = rng.random((rows, classes)) + 0.3 * np.eye(classes)[y.astype(int)]
    probability = raw / raw.sum(axis=1, keepdims=True)
    if tied:
        probability = np.round(probability * 4) / 4 + 0.01
        probability /= probability.sum(axis=1, keepdims=True)
    return y, probability


def cases():
    return [(task, metric.name) for task in TaskKind for metric in metrics_for(task)]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("task", "name"), cases())
def test_equals_the_score_with_weights(task, name, tied):
    y, predicted = predictions(task, 300, seed=3, tied=tied)
    rng = np.random.default_rng(0)
    weights = rng.poisson(1.0, (10, 300)) * rng.lognormal(0, 1, 300)
    found = _RESAMPLERS[name](y, predicted)(weights)
    for row, value in zip(weights, found, strict=True):
        drawn = row > 0  # scikit-learn counts classes of rows without weight
        assert value == pytest.approx(score(name, y[drawn], predicted[drawn], row[drawn]), rel=1e-9)


@pytest.mark.parametrize(("task", "name"), cases())
def test_whole_weights_and_no_weights(task, name):
    y, predicted = predictions(task, 200, seed=4, tied=True)
    weights = np.ones((1, 200))
    assert _RESAMPLERS[name](y, predicted)(weights)[0] == pytest.approx(score(name, y, predicted), rel=1e-9)


def test_every_metric_can_be_resampled():
    assert set(_RESAMPLERS) == set(METRICS)


def test_row_weights_count():
    y, predicted = predictions(TaskKind.BINARY, 400, seed=5, tied=False)
    heavy = np.where(y == (predicted[:, 1] > 0.5), 100.0, 1.0)
    plain = resampled_scores(y, None, [("accuracy", predicted)], seed=0, resamples=50)
    weighted = resampled_scores(y, heavy, [("accuracy", predicted)], seed=0, resamples=50)
    assert weighted.mean() > plain.mean() + 0.1
    assert resampled_scores(y, np.full(400, 7.0), [("accuracy", predicted)], seed=0, resamples=50) == pytest.approx(
        plain
    )


def test_the_same_resamples_for_every_model_and_seed():
    y, predicted = predictions(TaskKind.BINARY, 100, seed=6, tied=False)
    both = resampled_scores(y, None, [("roc_auc", predicted)] * 2, seed=1, resamples=30)
    assert both.shape == (2, 30)
    assert (both[0] == both[1]).all()
    assert (resampled_scores(y, None, [("roc_auc", predicted)], seed=1, resamples=30)[0] == both[0]).all()
    assert (resampled_scores(y, None, [("roc_auc", predicted)], seed=2, resamples=30)[0] != both[0]).any()


def test_rows_beyond_one_chunk(monkeypatch):
    y, predicted = predictions(TaskKind.REGRESSION, 100, seed=7, tied=False)
    whole = resampled_scores(y, None, [("rmse", predicted)], seed=1)
    monkeypatch.setattr("raysweep.training.resampling._CHUNK_CELLS", 700)
    chunked = resampled_scores(y, None, [("rmse", predicted)], seed=1)
    assert chunked.shape == whole.shape
    assert len(np.unique(chunked)) == chunked.size
    assert chunked.std() == pytest.approx(whole.std(), rel=0.15)


@pytest.mark.parametrize(("task", "name"), cases())
def test_few_rows_and_one_class_give_numbers_or_nan_without_a_warning(task, name):
    y, predicted = predictions(task, 3, seed=8, tied=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = resampled_scores(y, None, [(name, predicted)], seed=0, resamples=200)
        alone = resampled_scores(np.zeros(3), None, [(name, predicted)], seed=0, resamples=200)
    assert found.shape == alone.shape == (1, 200)
    assert not np.isinf(found).any()
    assert not np.isinf(alone).any()


def test_an_interval_is_as_wide_as_the_noise():
    rng = np.random.default_rng(9)
    y = (rng.random(2_000) < 0.3).astype(float)
    predicted = np.tile([0.7, 0.3], (2_000, 1))
    drawn = resampled_scores(y, None, [("accuracy", predicted)], seed=0)
    assert drawn.std() == pytest.approx((0.3 * 0.7 / 2_000) ** 0.5, rel=0.15)
