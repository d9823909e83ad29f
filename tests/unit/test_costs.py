"""What using a model costs is measured on the model as it would be shipped."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raysweep.config import TaskKind
from raysweep.records.aims import Aims
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.records.trial import Candidate
from raysweep.training import costs
from raysweep.training.costs import CostUnknown, measure_costs
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import families
from raysweep.training.refit import fit_pipeline
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows

ROWS, TRAINING = 300, 200
BOTH = ("size_bytes", "prediction_seconds")


def rows_and_task():
    generator = np.random.default_rng(0)
    x, text = generator.normal(size=ROWS), generator.choice(["a", "b", "c"], ROWS)
    y = (x + generator.normal(size=ROWS) > 0).astype(float)
    columns = (Column("x", ColumnKind.NUMBER, "double"), Column("text", ColumnKind.STRING, "string"))
    task = LearningTask(TaskKind.BINARY, "y", METRICS["roc_auc"], columns, (0, 1), (1, 1))
    return RowBlock(pa.table({"x": x, "text": text}), y, None), task


def candidate_of(family, **params):
    known = families()[family]
    return Candidate(0, family, {**known.defaults, **params}, "d" * 16, "default", 1, 40 if known.rounds else None)


@pytest.mark.parametrize("family", sorted(families().keys() - {"ridge"}))
def test_costs_are_those_of_the_files_that_are_published(family, tmp_path):
    block, task = rows_and_task()
    pipeline = fit_pipeline(candidate_of(family), task, block, TrialRules((1.0,), threads=1), rounds=7, seed=0)
    found = measure_costs(pipeline, block.features, BOTH)
    pipeline.save(tmp_path)
    assert found["size_bytes"] == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert 0 < found["prediction_seconds"] < 1
    assert measure_costs(pipeline, block.features, ("roc_auc",)) == {}


@pytest.mark.parametrize("family", ["xgboost", "hist_gradient_boosting"])
def test_rounds_too_many_cost_nothing(family):
    """What testing rows have found to be too many rounds is not shipped, and so neither counted nor predicted with."""
    block, task = rows_and_task()
    rows = SearchRows(block.take(slice(0, TRAINING)), block.take(slice(TRAINING, ROWS)), np.zeros(0, np.int64), 1)
    prepared, rules = PreparedRows(task, rows, 0), TrialRules((1.0,), threads=1, further=("size_bytes",))
    candidate = candidate_of(family, learning_rate=0.5)
    *_, last = evaluate(candidate, prepared, rules)
    assert last.rounds < 40
    shipped = fit_pipeline(candidate, task, rows.training, rules, rounds=last.rounds, seed=0)
    whole = fit_pipeline(candidate, task, rows.training, rules, rounds=40, seed=0)
    size, most = (measure_costs(one, block.features, BOTH)["size_bytes"] for one in (shipped, whole))
    assert abs(last.metrics["size_bytes"] - size) < 0.05 * size < most - size


def test_what_cannot_be_written_has_no_size(monkeypatch):
    block, task = rows_and_task()
    rules = TrialRules((1.0,), threads=1)
    pipeline = fit_pipeline(candidate_of("logistic_regression"), task, block, rules, rounds=None, seed=0)

    def refuse(_):
        raise TypeError("no lambda can be written")

    monkeypatch.setattr(type(pipeline.learner), "save", lambda _, folder: refuse(folder))
    with pytest.raises(CostUnknown, match=r"size_bytes is asked for.*no lambda"):
        measure_costs(pipeline, block.features, BOTH)


def test_every_rung_reports_what_is_asked_for(monkeypatch):
    monkeypatch.setattr(costs, "PREDICTIONS", 2)
    block, task = rows_and_task()
    rows = SearchRows(block.take(slice(0, TRAINING)), block.take(slice(TRAINING, ROWS)), np.zeros(0, np.int64), 1)
    aims = Aims.named("roc_auc", ["brier"], dict.fromkeys(BOTH, 1.0))
    rules = TrialRules((1 / 9, 1 / 3, 1.0), threads=1, further=aims.further)
    reports = list(evaluate(candidate_of("random_forest"), PreparedRows(task, rows, 0), rules))
    assert len(reports) == 3
    assert {"roc_auc", "brier", *BOTH} == set(reports[0].metrics)
    assert {"roc_auc", "brier", "log_loss", *BOTH} < set(reports[-1].metrics)
    sizes = [report.metrics["size_bytes"] for report in reports]
    assert sizes == sorted(sizes)
    folds = SearchRows(rows.training, rows.testing, np.arange(ROWS) % 2, 2)
    plain = evaluate(candidate_of("logistic_regression"), PreparedRows(task, folds, 0), rules)
    assert all(set(BOTH) < set(report.metrics) for report in plain)
