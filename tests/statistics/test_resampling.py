"""A resampled score is scikit-learn's score with the resample as row weights."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import poisson

from raysweep.config import TaskKind
from raysweep.records.metric import METRICS, metrics_for
from raysweep.training.metrics import score
from raysweep.training.resampling import drawn_weights, resampled_scores
from raysweep.training.weighted_scores import FORMS, WeightedScores

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


def weights_of(rows, seed, *, weighted):
    rng = np.random.default_rng(seed)
    drawn = rng.poisson(1.0, (10, rows)).astype(np.uint8)
    return drawn, rng.lognormal(0, 1, rows) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("task", "name"), cases())
def test_equals_the_score_with_weights(task, name, tied, weighted):
    y, predicted = predictions(task, 300, seed=3, tied=tied)
    drawn, weight = weights_of(300, 0, weighted=weighted)
    found = WeightedScores(y, weight, [(name, predicted)]).on(drawn)[0]
    for times, value in zip(drawn, found, strict=True):
        row = times * (1.0 if weight is None else weight)
        kept = row > 0  # scikit-learn counts classes of rows without weight
        assert value == pytest.approx(score(name, y[kept], predicted[kept], row[kept]), rel=1e-12)


@pytest.mark.parametrize("task", list(TaskKind))
def test_metrics_that_share_work_are_what_each_is_alone(task):
    y, predicted = predictions(task, 200, seed=4, tied=True)
    _, other = predictions(task, 200, seed=5, tied=False)
    names = [metric.name for metric in metrics_for(task)]
    asked = [(name, of) for of in (predicted, other) for name in [*names, names[0]]]
    drawn, weight = weights_of(200, 1, weighted=True)
    together = WeightedScores(y, weight, asked).on(drawn)
    for pair, found in zip(asked, together, strict=True):
        assert found == pytest.approx(WeightedScores(y, weight, [pair]).on(drawn)[0], rel=1e-12)


@pytest.mark.parametrize(("task", "name"), cases())
def test_whole_weights_and_no_weights(task, name):
    y, predicted = predictions(task, 200, seed=4, tied=True)
    found = WeightedScores(y, None, [(name, predicted)]).on(np.ones((1, 200)))
    assert found[0, 0] == pytest.approx(score(name, y, predicted), rel=1e-12)


def test_every_metric_can_be_resampled():
    assert set(FORMS) == set(METRICS)


def test_weights_are_poisson_and_independent():
    drawn = np.concatenate(list(drawn_weights(1_001, 3, 0, 400))).astype(float)
    assert drawn.shape == (400, 1_001)
    for times in range(5):
        assert (drawn == times).mean() == pytest.approx(poisson.pmf(times, 1.0), abs=0.003)
    assert np.abs(np.corrcoef(drawn[:50])[np.triu_indices(50, 1)]).max() < 0.15


def test_a_group_comes_as_a_whole():
    group = np.random.default_rng(0).integers(0, 40, 300).astype(np.uint64)
    drawn = np.concatenate(list(drawn_weights(300, 0, 0, 50, group)))
    assert all((drawn[:, group == one] == drawn[:, group == one][:, :1]).all() for one in np.unique(group))
    per_group = np.stack([drawn[:, group == one][:, 0] for one in np.unique(group)])
    assert per_group.mean() == pytest.approx(1, abs=0.1)


def test_groups_of_alike_rows_make_the_interval_honestly_wide():
    """Each row repeated nine times is worth no more than the row."""
    rng = np.random.default_rng(1)
    y, predicted = rng.normal(size=100), np.zeros(100)
    alone = resampled_scores(y, None, [("rmse", predicted)], seed=0)
    group = np.repeat(np.arange(100, dtype=np.uint64), 9)
    repeated, nothing = np.repeat(y, 9), np.zeros(900)
    grouped = resampled_scores(repeated, None, [("rmse", nothing)], seed=0, group=group)
    assert grouped == pytest.approx(alone)
    assert resampled_scores(repeated, None, [("rmse", nothing)], seed=0).std() < 0.5 * grouped.std()


@pytest.mark.parametrize("group", [None, np.arange(203, dtype=np.uint64) // 3])
def test_chunks_side_by_side_are_the_whole(group):
    y, predicted = predictions(TaskKind.BINARY, 203, seed=7, tied=False)
    asked = [("roc_auc", predicted), ("brier", predicted)]
    whole = resampled_scores(y, None, asked, seed=1, resamples=100, group=group)
    edges = [0, 1, 37, 64, 100]
    parts = [
        resampled_scores(y, None, asked, seed=1, group=group, chunk=(start, stop)) for start, stop in pairwise(edges)
    ]
    assert np.concatenate(parts, axis=1) == pytest.approx(whole, rel=1e-12)
    assert resampled_scores(y, None, asked, seed=1, chunk=(5, 5)).shape == (2, 0)


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
    assert len(np.unique(chunked)) == chunked.size
    assert chunked == pytest.approx(whole, rel=1e-12)


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
