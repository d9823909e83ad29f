"""golden.parquet: what its rows are, where they come from, and that each has a prediction."""

from __future__ import annotations

import json
import warnings
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fitted_models import fitted_pipeline, task_and_rows
from own_estimators import BlindFarOut
from raysweep.config import TaskKind
from raysweep.prepare_rules import ToNumber
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import kind_of
from raysweep.stages.export.golden import write_golden
from raysweep.training.families import families
from raysweep.training.pipeline import Pipeline
from raysweep.training.preparation import FittedPreparation
from raysweep.training.split_points import split_points


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def golden(path, pipeline, kind, rows):
    write_golden(path / "golden.parquet", pipeline, task_and_rows(kind)[0].inputs, rows)
    return pq.read_table(path / "golden.parquet")


def features_in(table):
    return pa.Table.from_struct_array(table.column("features").combine_chunks())


@pytest.mark.parametrize("name", list(families()))
def test_rows_and_predictions_of_every_family(name, tmp_path):
    kind = TaskKind.REGRESSION if name == "ridge" else TaskKind.BINARY
    pipeline, block = fitted_pipeline(name, kind), task_and_rows(kind)[1]
    table = golden(tmp_path, pipeline, kind, block.features)
    rows = features_in(table)
    wanted = np.asarray(table.column("prediction").to_pylist())
    assert np.isfinite(wanted).all()
    np.testing.assert_array_equal(pipeline.predict(rows).reshape(wanted.shape), wanted)
    said = Counter(text.partition(":")[0].partition(" of ")[0] for text in table.column("row").to_pylist())
    assert said["training row"] == 100
    assert said["all missing"] == 1
    assert said["extreme"] == 25
    assert said["unseen category in city"] == said["unseen category in plan"] == 1
    has_trees = name in {"xgboost", "hist_gradient_boosting", "random_forest", "extra_trees"}
    assert (said["beside a split"] > 30) == has_trees
    assert rows.slice(0, 100).column("city").to_pylist() == block.features.slice(0, 100).column("city").to_pylist()


@pytest.mark.parametrize("name", ["xgboost", "hist_gradient_boosting", "random_forest"])
def test_rows_lie_to_either_side_of_real_split_points(name, tmp_path):
    """Each point is crossed by a step of one float32: some tree goes another way."""
    kind = TaskKind.BINARY
    pipeline = fitted_pipeline(name, kind)
    table = golden(tmp_path, pipeline, kind, task_and_rows(kind)[1].features)
    of_amount = table.filter(pa.array([text == "beside a split of amount" for text in table.column("row").to_pylist()]))
    values = np.asarray(features_in(of_amount).column("amount"))
    points = split_points(pipeline, 3)["amount"]
    assert set(points.tolist()) <= set(values.tolist())
    for point in points:
        near = values[np.isclose(values, point, rtol=1e-6)].astype(np.float32)
        assert near.min() < np.float32(point) < near.max()
    predicted = np.asarray(of_amount.column("prediction").to_pylist())[:, 1].reshape(len(points), -1)
    assert (np.ptp(predicted, axis=1) > 0).all()


def test_the_columns_that_are_split_most_often_are_nudged_first():
    """A table may have more columns than are nudged: those that decide least are left out."""
    pipeline = fitted_pipeline("random_forest", TaskKind.BINARY)
    points = split_points(pipeline, 10**6)
    features = np.concatenate([one.tree_.feature for one in pipeline.learner.fitted.estimators_[:10]])
    names = pipeline.preprocessor.numbers
    splits = {name: int((features == names.index(name)).sum()) for name in points if name in names}
    ordered = [splits[name] for name in points if name in splits]
    assert ordered == sorted(ordered, reverse=True)
    assert list(points) != [name for name in (*names, *pipeline.preprocessor.dates) if name in points]


@pytest.mark.parametrize("name", ["xgboost", "logistic_regression", "k_neighbors"])
def test_made_up_rows_hold_no_value_of_a_real_one(name, tmp_path):
    kind = TaskKind.BINARY
    pipeline, block = fitted_pipeline(name, kind), task_and_rows(kind)[1]
    table = golden(tmp_path, pipeline, kind, None)
    assert "training row" not in set(table.column("row").to_pylist())
    rows, real = features_in(table), block.features
    held = {value for points in split_points(pipeline, 10**6).values() for value in points.tolist()}
    tried = {0.0, 1.0, -1.0}  # extremes, which say nothing
    for field in real.schema:
        made, seen = (one.column(field.name) for one in (rows, real))
        if kind_of(field.type) is ColumnKind.DATETIME:
            made, seen = made.cast(pa.int64()), seen.cast(pa.int64())
        if kind_of(field.type) in {ColumnKind.NUMBER, ColumnKind.DATETIME}:
            shared = {float(value) for value in set(seen.to_pylist()) & set(made.to_pylist()) - {None}}
            assert shared <= held | tried, field.name
    known = {text for texts in pipeline.preprocessor.categories for text in json.loads(texts)}
    assert set(rows.slice(0, 100).column("city").to_pylist()) - {None} <= known
    assert golden(tmp_path, pipeline, kind, None).equals(table)


def test_rows_that_the_rules_refuse_are_left_out(tmp_path):
    pipeline, block = fitted_pipeline("ridge", TaskKind.REGRESSION), task_and_rows(TaskKind.REGRESSION)[1]
    texts = block.features.column("age").cast(pa.large_string())
    rows = block.features.set_column(block.features.schema.get_field_index("age"), "age", texts)
    rules = (ToNumber(rule="to_number", columns=("age",)),)
    strict = Pipeline("ridge", FittedPreparation.fit(rules, rows)[0], pipeline.preprocessor, pipeline.learner)
    inputs = [
        Column("age", ColumnKind.STRING, "string") if one.name == "age" else one
        for one in task_and_rows(TaskKind.REGRESSION)[0].inputs
    ]
    write_golden(tmp_path / "golden.parquet", strict, inputs, rows)
    said = Counter(pq.read_table(tmp_path / "golden.parquet").column("row").to_pylist())
    assert said["unseen category in age"] == 0
    assert said["unseen category in city"] == 1
    assert said["unseen category in every text"] == 2  # "0" and " ", which is read as missing
    assert said["training row"] == 100


def test_rows_without_a_finite_prediction_are_left_out(tmp_path):
    kind = TaskKind.BINARY
    pipeline, (_, block) = fitted_pipeline("logistic_regression", kind), task_and_rows(kind)
    matrix = pipeline.preprocessor.transform(block.features)
    dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    own = Pipeline("logistic_regression", pipeline.preparation, pipeline.preprocessor, _Blind(dense, block.y))
    table = golden(tmp_path, own, kind, block.features)
    assert 0 < sum(text.startswith("extreme") for text in table.column("row").to_pylist()) < 25


class _Blind:
    def __init__(self, matrix, y):
        self.fitted = BlindFarOut().fit(matrix, y)

    def predict(self, matrix):
        values = matrix.values
        return self.fitted.predict_proba(values.toarray() if hasattr(values, "toarray") else values)
