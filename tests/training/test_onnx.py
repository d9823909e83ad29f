"""ONNX gives the numbers of the pipeline, for every family, encoding and task; what it cannot say is refused."""

from __future__ import annotations

import warnings
from datetime import datetime

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import RandomForestClassifier

import raysweep
from fitted_models import every_input, fitted_pipeline, task_and_rows
from raysweep.config import TaskKind
from raysweep.prepare_rules import Clip, DateParts, Drop, GroupRare, NormalizeText, RuleState, ToNull
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.prepare_values import date_part as arrow_date_part
from raysweep.stages.export.golden import write_golden
from raysweep.training import families as registry
from raysweep.training.agreement import gap
from raysweep.training.families import families
from raysweep.training.onnx_dates import date_part
from raysweep.training.onnx_graph import Graph, NotExpressible
from raysweep.training.onnx_inputs import MISSING_TEXT
from raysweep.training.onnx_model import to_onnx
from raysweep.training.onnx_scoring import OnnxModel
from raysweep.training.pipeline import Pipeline
from raysweep.training.preparation import FittedPreparation
from raysweep.training.preprocess import Preprocessor

CASES = [
    (name, kind, encoding)
    for name, family in families().items()
    for kind in TaskKind
    if kind in family.tasks
    for encoding in family.encodings
]
INT64_MIN = -(2**63)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def loaded(content, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    return OnnxModel(tmp_path / "model.onnx", threads=1)


def converted(pipeline, kind, tmp_path):
    task = task_and_rows(kind)[0]
    return loaded(to_onnx(pipeline, task.inputs, kind, task.classes), tmp_path)


@pytest.mark.parametrize(("name", "kind", "encoding"), CASES)
def test_every_family_gives_the_same_numbers(name, kind, encoding, tmp_path):
    pipeline = fitted_pipeline(name, kind, encoding)
    if (name, encoding) == ("k_neighbors", "onehot"):
        with pytest.raises(NotExpressible, match="skl2onnx does not convert KNeighbors"):
            converted(pipeline, kind, tmp_path)
        return
    rows = every_input(kind)
    empty = pa.table([pa.nulls(1, one.type) for one in rows.schema], rows.schema)
    rows = pa.concat_tables([rows, empty])
    wanted = pipeline.predict(rows)
    found = converted(pipeline, kind, tmp_path).predict(rows)
    assert found.shape == wanted.shape
    assert gap(found, wanted).max() <= 1e-6


@pytest.mark.parametrize("kind", [TaskKind.REGRESSION, TaskKind.MULTICLASS])
def test_more_threads_add_the_trees_in_the_same_order(kind, tmp_path):
    """Many rows in one go, which a runtime shares out; float32 sums of another order are others."""
    pipeline, task = fitted_pipeline("xgboost", kind, rounds=100), task_and_rows(kind)[0]
    rows = pa.concat_tables([every_input(kind)] * 5)
    (tmp_path / "model.onnx").write_bytes(to_onnx(pipeline, task.inputs, kind, task.classes))
    one, *more = (OnnxModel(tmp_path / "model.onnx", threads).predict(rows) for threads in (1, 2, 4))
    for found in more:
        np.testing.assert_array_equal(found, one)
    assert gap(one, pipeline.predict(rows)).max() <= (0 if kind is TaskKind.REGRESSION else 1e-6)


def test_the_file_says_how_it_is_fed(tmp_path):
    task = task_and_rows(TaskKind.MULTICLASS)[0]
    content = to_onnx(fitted_pipeline("xgboost", TaskKind.MULTICLASS), task.inputs, task.kind, task.classes)
    model = onnx.load_from_string(content)
    kinds = {one.name: one.type.tensor_type.elem_type for one in model.graph.input}
    assert kinds["amount"] == kinds["member"] == onnx.TensorProto.DOUBLE
    assert (kinds["city"], kinds["joined"]) == (onnx.TensorProto.STRING, onnx.TensorProto.INT64)
    assert [one.name for one in model.graph.output] == ["prediction"]
    facts = {one.key: one.value for one in model.metadata_props}
    assert facts[MISSING_TEXT] == ""
    assert facts["raysweep.classes"] == '["high", "low", "middle"]'


def test_the_file_says_to_a_stranger_what_goes_in_and_what_comes_out(tmp_path):
    import onnxruntime

    task = task_and_rows(TaskKind.MULTICLASS)[0]
    facts = {"raysweep.target": "level", "raysweep.run_id": "run-7", "raysweep.verdict": "adequate"}
    content = to_onnx(fitted_pipeline("xgboost", TaskKind.MULTICLASS), task.inputs, task.kind, task.classes, facts)
    model = onnx.load_from_string(content)
    said = {one.name: one.doc_string for one in (*model.graph.input, *model.graph.output)}
    assert set(said) == {one.name for one in task.inputs} | {"prediction"}
    assert said["amount"] == "number: a number; NaN where it is missing; an infinite one counts as missing"
    assert "microseconds since 1970-01-01T00:00:00 UTC" in said["joined"]
    assert str(INT64_MIN) in said["joined"]
    assert "'' where it is missing" in said["city"]
    assert "1 for true" in said["member"]
    assert "of the classes {0: 'high', 1: 'low', 2: 'middle'}" in said["prediction"]
    metadata = {one.key: one.value for one in model.metadata_props}
    assert facts.items() <= metadata.items()
    assert metadata["raysweep.missing_date"] == str(INT64_MIN)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    shown = session.get_modelmeta().description
    assert "run_id run-7, verdict adequate" in shown
    assert all(f"- {name}: {words}" in shown for name, words in said.items() if name != "prediction")
    assert said["prediction"] in shown


@pytest.mark.parametrize(
    "part",
    ["days", "year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "second"],
)
def test_the_calendar_is_that_of_arrow(part, tmp_path):
    rng = np.random.default_rng(0)
    micros = rng.integers(-62_000_000_000_000_000, 250_000_000_000_000_000, 3_000)
    edges = [
        datetime(year, month, day)  # noqa: DTZ001 - instants in UTC
        for year in (1, 1600, 1899, 1900, 1969, 1970, 2000, 2020, 2026, 9999)
        for month, day in ((1, 1), (2, 28), (3, 1), (12, 28), (12, 31))
    ]
    at = pa.array([*edges, datetime(2024, 2, 29, 23, 59, 59)], pa.timestamp("us")).cast(pa.int64()).to_numpy()  # noqa: DTZ001
    every = np.concatenate([micros, at, at - 1, [0, -1]])
    graph = Graph()
    graph.input("when", "int64")
    model = loaded(graph.finish(date_part(graph, "when", part), 1, {MISSING_TEXT: ""}), tmp_path)
    values = pa.chunked_array([pa.array(every, pa.timestamp("us")), pa.nulls(1, pa.timestamp("us"))])
    found = model.predict(pa.table({"when": values}))
    wanted = arrow_date_part(values, part).cast(pa.float64()).to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(found, wanted)


def prepared(rules, columns, table, texts):
    """A pipeline of rules and a linear model on what they leave."""
    from raysweep.rows.prepare_columns import prepared_columns

    fitted, after = FittedPreparation.fit(tuple(rules), table)
    y = np.random.default_rng(0).normal(size=table.num_rows)
    preprocessor = Preprocessor(prepared_columns(columns, rules), "target" if texts else "ordinal", scaled=True)
    matrix = preprocessor.fit_transform(after, y, TaskKind.REGRESSION, 0)
    learner = families()["ridge"].load_learner()(
        {"alpha": 1.0}, fitted_pipeline("ridge", TaskKind.REGRESSION).learner._setting
    )
    from raysweep.training.learner import Matrix

    learner.grow(Matrix(matrix, y, None, (), {}), 1.0)
    return Pipeline("ridge", fitted, preprocessor, learner)


COLUMNS = (
    Column("size", ColumnKind.NUMBER, "double"),
    Column("town", ColumnKind.STRING, "string"),
    Column("day", ColumnKind.DATETIME, "timestamp[us]"),
    Column("open", ColumnKind.BOOLEAN, "bool"),
)


def rows_to_prepare(count=200):
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "size": pa.array(np.where(rng.random(count) < 0.2, -99.9, rng.normal(size=count))),
            "town": pa.array(
                rng.choice(["Aachen", "Bonn", "?", "Rare", "", None], count, p=[0.4, 0.3, 0.1, 0.02, 0.08, 0.1]),
                pa.large_string(),
            ),
            "day": pa.array(rng.integers(0, 10**15, count), pa.timestamp("us")),
            "open": pa.array(rng.random(count) < 0.5),
        }
    )


@pytest.mark.parametrize(
    "rules",
    [
        [ToNull(rule="to_null", columns=("size", "town"), values=(-99.9, "?"))],
        [Clip(rule="clip", columns=("size",), low=-0.5, high_quantile=0.9)],
        [Drop(rule="drop", columns=("size", "town"))],
        [GroupRare(rule="group_rare", columns=("town",), below=10)],
        [
            ToNull(rule="to_null", columns=("town",), values=("?",)),
            GroupRare(rule="group_rare", columns=("town",), below=10, into="Bonn"),
        ],
        [
            GroupRare(rule="group_rare", columns=("town",), below=10),
            ToNull(rule="to_null", columns=("town",), values=("(rare)",)),
        ],
        [DateParts(rule="date_parts", columns=("day",), parts=("week", "quarter", "days"))],
        [ToNull(rule="to_null", columns=("open", "day"), values=(True, "1970-01-02"))],
    ],
    ids=lambda rules: "+".join(rule.rule for rule in rules),
)
def test_rules_of_data_prepare_are_in_the_graph(rules, tmp_path):
    table = rows_to_prepare()
    pipeline = prepared(rules, COLUMNS, table, texts=not any(isinstance(rule, Drop) for rule in rules))
    model = loaded(to_onnx(pipeline, COLUMNS, TaskKind.REGRESSION, ()), tmp_path)
    other = table.set_column(1, "town", pa.array(["Nowhere", "(rare)", "Rare", None, ""] * 40, pa.large_string()))
    for rows in (table, other):
        np.testing.assert_allclose(model.predict(rows), pipeline.predict(rows), rtol=0, atol=1e-12)


def test_a_missing_text_is_another_where_the_empty_one_is_a_category(tmp_path):
    pipeline = prepared([], COLUMNS, rows_to_prepare(), texts=True)
    facts = onnx.load_from_string(to_onnx(pipeline, COLUMNS, TaskKind.REGRESSION, ())).metadata_props
    assert {one.key: one.value for one in facts}[MISSING_TEXT] == "<missing>"


def test_a_rule_that_works_on_letters_is_refused():
    rule = NormalizeText(rule="normalize_text", columns=("town",))
    pipeline = prepared([rule], COLUMNS, rows_to_prepare(), texts=True)
    with pytest.raises(NotExpressible, match=r"normalize_text of data\.prepare, for the column 'town', works on text"):
        to_onnx(pipeline, COLUMNS, TaskKind.REGRESSION, ())


def test_an_estimator_that_no_converter_knows_is_refused():
    from own_estimators import Shrunk

    pipeline = prepared([], COLUMNS, rows_to_prepare(), texts=True)
    pipeline.learner._model = Shrunk().fit(np.ones((5, 6)), np.arange(5.0))
    pipeline.learner._model.n_features_in_ = 6
    own = Pipeline("own", pipeline.preparation, pipeline.preprocessor, pipeline.learner)
    with pytest.raises(NotExpressible, match="skl2onnx does not convert Shrunk"):
        to_onnx(own, COLUMNS, TaskKind.REGRESSION, ())


def test_a_forest_behind_a_scaler_compares_as_scikit_learn_does(tmp_path, monkeypatch):
    """skl2onnx is wrong beside split points, and never gets ready where trees split by what is missing."""
    monkeypatch.setattr(registry, "_registered", {})
    raysweep.register_family("scaled", classifier=RandomForestClassifier, defaults={"n_estimators": 50}, scaled=True)
    pipeline = fitted_pipeline("scaled", TaskKind.BINARY)
    task, block = task_and_rows(TaskKind.BINARY)
    write_golden(tmp_path / "golden.parquet", pipeline, task.inputs, block.features)
    golden = pq.read_table(tmp_path / "golden.parquet")
    rows = pa.Table.from_struct_array(golden.column("features").combine_chunks())
    found = converted(pipeline, TaskKind.BINARY, tmp_path).predict(rows)
    assert np.abs(found - golden.column("prediction").to_pylist()).max() <= 1e-6


def test_a_rule_has_learned_nothing_that_the_graph_forgets():
    assert set(RuleState.model_fields) == {"bounds", "kept"}
