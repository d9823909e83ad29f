"""What is found out beside the score: a part that cannot be measured costs nothing but itself."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raysweep.config import TaskKind, load_config
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.records.trial import Candidate, RungReport, Trial, TrialState
from raysweep.stages.confirm import facts
from raysweep.stages.confirm.facts import FactRows, optimism_of, slices_of
from raysweep.training.metrics import score
from raysweep.training.sealed_rows import SealedRows
from raysweep.training.testing_sample import pack
from raysweep.training.trial_data import RowBlock, SearchRows

ROWS = 800
TASK = LearningTask(
    TaskKind.BINARY,
    "y",
    METRICS["log_loss"],
    (Column("x", ColumnKind.NUMBER, "double"), Column("plan", ColumnKind.STRING, "string")),
    (0, 1),
    (1, 1),
)


def block(seed):
    rng = np.random.default_rng(seed)
    plan = pa.array(rng.choice(["basic", "plus"], ROWS), pa.large_string())
    return RowBlock(pa.table({"x": rng.normal(size=ROWS), "plan": plan}), rng.integers(0, 2, ROWS).astype(float), None)


def fact_rows():
    """`x` predicts nothing, and where it is high the model is sure all the same."""
    testing, validation = block(0), block(1)
    further = pa.table({"age": np.linspace(20.123456, 70, ROWS)})

    def predict(rows):
        positive = np.where(np.array(rows.features["x"]) > 0.5, 0.99, 0.5)
        return np.column_stack([1 - positive, positive])

    dummy = np.full((ROWS, 2), 0.5)
    return FactRows(testing, SealedRows(validation, further), predict(testing), predict(validation), dummy)


def named(**slices):
    return load_config({"version": 1, "data": {"source": "memory:", "target": "y"}, "confirm": {"slices": slices}})


def test_edges_of_inputs_are_those_of_testing_rows_and_others_are_rounded():
    rows = fact_rows()
    found = slices_of(rows, TASK, named(x=0.7, plan=None, age=None), print)
    edges = np.quantile(rows.testing.features["x"], [0.25, 0.5, 0.75], method="inverted_cdf")
    names = {one.name: one for one in found}
    assert names[f"x <= {edges[0]:.6g}"].floor == 0.7
    assert names[f"x > {edges[2]:.6g}"].is_much_worse
    assert {"plan = basic", "plan = plus", "age <= 32.5"} <= set(names)
    assert any(one.column is None and one.is_much_worse for one in found)


def test_what_cannot_be_measured_is_said_and_costs_nothing_else(monkeypatch):
    said = list[str]()
    found = slices_of(fact_rows(), TASK, named(plan=None, gone=0.7), said.append)
    assert {one.column for one in found} == {"plan", None}
    assert len(said) == 1
    assert said[0].startswith("slices of gone could not be measured: KeyError")

    def fail(*_: object) -> None:
        raise ArithmeticError("odd")

    monkeypatch.setattr(facts, "found_slices", fail)
    found = slices_of(fact_rows(), TASK, named(plan=None), said.append)
    assert {one.column for one in found} == {"plan"}
    assert said[1] == "slices that nobody named could not be measured: ArithmeticError: odd"
    monkeypatch.setattr(facts, "judge_slices", fail)
    assert slices_of(fact_rows(), TASK, named(plan=None), said.append) == ()
    assert said[-1] == "slices could not be measured: ArithmeticError: odd"


def test_the_luck_of_the_best_is_told_of_what_the_trials_were_compared_by():
    testing, rng = block(2), np.random.default_rng(3)
    rows = SearchRows(block(4), testing, np.zeros(0, dtype=np.int64), 1)
    trials = []
    for number in range(20):
        positive = rng.uniform(0.3, 0.7, ROWS)
        predicted = np.column_stack([1 - positive, positive])
        loss = score("log_loss", testing.y, predicted)
        report = RungReport(1, 1.0, loss, {}, 1.0, 1.0, 1, is_last=True, sample=pack(TASK, [predicted]))
        trials.append(Trial(Candidate(number, "xgboost", {}, "d", "tpe", 1), TrialState.COMPLETE, (report,)))
    found = optimism_of(trials, TASK, rows, 0)
    assert found is not None
    assert (found.candidates, found.rows, found.part) == (20, 512, "testing")
    assert found.expected > 0
    folds = optimism_of(trials, TASK, rows, 0, "5 folds")
    assert folds is not None
    assert folds.part == "5 folds"
    assert optimism_of(trials[:1], TASK, rows, 0) is None
    few = SearchRows(rows.training, testing.take(slice(0, 20)), rows.fold_of_row, 1)
    assert optimism_of(trials, TASK, few, 0) is None
