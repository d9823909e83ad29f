"""What is found out beside the score: a part that cannot be measured costs nothing but itself."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raysweep.config import TaskKind, load_config
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.stages.confirm import facts
from raysweep.stages.confirm.facts import FactRows, slices_of
from raysweep.training.sealed_rows import SealedRows
from raysweep.training.trial_data import RowBlock

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
    found = slices_of(rows, TASK, named(x=0.7, plan=None, age=None))
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
