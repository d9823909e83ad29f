"""What trials predict for a sample of the testing rows: the same rows for all, kept as the journal keeps text."""

from __future__ import annotations

import itertools
import json
import warnings
from dataclasses import asdict, replace

import numpy as np
import pytest

from builders import arrow_of, clean_table
from raysweep.config import TaskKind
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate, RungReport
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import families
from raysweep.training.metrics import score
from raysweep.training.testing_sample import pack, sample_targets, unpack
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows


def search(kind, folds=1):
    arrow, columns = arrow_of(clean_table(300, seed=0))
    features = tuple(column for column in columns if column.name != "target")
    y = np.asarray(arrow.column("target").to_pylist()).astype(float)
    classes = (False, True) if kind.is_classification else ()
    task = LearningTask(kind, "target", metric_for(None, kind), features, classes, (1, 1)[: len(classes)])
    block = RowBlock(arrow.select([column.name for column in features]), y, None)
    fold_of_row = np.arange(300) % folds if folds > 1 else np.zeros(0, dtype=np.int64)
    return task, SearchRows(block.take(slice(0, 200)), block.take(slice(200, 300)), fold_of_row, folds)


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.REGRESSION])
def test_the_sample_of_a_trial_gives_its_score(kind, folds):
    """Fewer rows than the sample may hold: its score is the trial's own, through the journal and back."""
    task, rows = search(kind, folds)
    name = "hist_gradient_boosting"
    candidate = Candidate(0, name, families()[name].defaults, "d", "default", seed=1, rounds=20)
    with warnings.catch_warnings():
        reports = list(evaluate(candidate, PreparedRows(task, rows, 0), TrialRules((0.5, 1.0), threads=1)))
    assert [bool(report.sample) for report in reports] == [report.is_last for report in reports]
    last = RungReport(**json.loads(json.dumps(asdict(reports[-1]))))
    sample = sample_targets(task, rows)
    predicted = unpack(task, last.sample)
    assert sample.testing_rows == len(sample.y) == (100 if folds == 1 else 300)
    ends = np.cumsum([0, *np.bincount(rows.fold_of_row)]) if folds > 1 else np.asarray([0, 100])
    scores = [score(task.metric.name, sample.y[a:b], predicted[a:b]) for a, b in itertools.pairwise(ends)]
    assert float(np.mean(scores)) == pytest.approx(last.score, abs=1e-6)
    assert "sample" not in repr(last)


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_a_sample_is_small_and_holds_every_class(classes):
    task, _ = search(TaskKind.BINARY)
    task = replace(task, kind=TaskKind.BINARY if classes == 2 else TaskKind.MULTICLASS, classes=tuple(range(classes)))
    predicted = np.random.default_rng(0).dirichlet(np.ones(classes), size=100_000)
    text = pack(task, [predicted])
    assert len(text) < 3_000
    back = unpack(task, text)
    assert back.shape[1] == classes
    np.testing.assert_allclose(back, predicted[: len(back)], atol=1e-6)


@pytest.mark.parametrize("folds", [1, 3])
def test_the_sample_says_which_rows_belong_together(folds):
    task, rows = search(TaskKind.BINARY, folds)
    assert sample_targets(task, rows).group is None
    every = rows.training.joined(rows.testing)
    grouped = replace(every, group=np.arange(300, dtype=np.uint64) // 4)
    rows = replace(rows, training=grouped.take(slice(0, 200)), testing=grouped.take(slice(200, 300)))
    sample = sample_targets(task, rows)
    order = np.argsort(rows.fold_of_row, kind="stable") if folds > 1 else np.arange(200, 300)
    assert (sample.group == order // 4).all()
    assert (sample.y == every.y[order]).all()
