"""The parity gate: forms that predict otherwise in another process are not published, and the record says why."""

from __future__ import annotations

import io
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.exceptions import MlflowException
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

import raysweep
from fitted_models import every_input, fitted_pipeline, source_frame, task_and_rows
from gate_estimators import Endless, Fragile
from raysweep.config import TaskKind
from raysweep.errors import BundleRefused, RequestInvalid
from raysweep.records.manifest import ModelRecord
from raysweep.records.served_model import SERVED_FILE, ServedModel
from raysweep.stages.export import parity_process
from raysweep.stages.export.golden import write_golden
from raysweep.stages.export.parity import TOLERANCE, Gate, ParityRequest
from raysweep.stages.export.publish import list_artifacts
from raysweep.stages.export.signature import make_signature
from raysweep.training import families as registry
from raysweep.training.families import families, is_shipped
from raysweep.training.learner import FitSetting
from raysweep.training.pipeline import Pipeline
from raysweep.training.trial_data import encode
from raysweep.training.trusted import TRUSTED_TYPES

PROBABILITIES = ["probability_high", "probability_low", "probability_middle"]
FORMS = ("native", "onnx")
KINDS = {"xgboost": TaskKind.MULTICLASS, "ridge": TaskKind.REGRESSION}


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pipeline_of_target(name: str, y: np.ndarray) -> Pipeline:
    """A family with its defaults, fitted on other numbers."""
    task, block = task_and_rows(TaskKind.REGRESSION)
    family = families()[name]
    encoded = encode(task, replace(block, y=y), None, "ordinal", scaled=family.scaled, seed=0)
    learner = family.load_learner()(dict(family.defaults), FitSetting(task.kind, 0, 1, 1, 30, task.metric.name))
    learner.grow(encoded.fit, 1.0)
    return Pipeline(name, encoded.preparation, encoded.preprocessor, learner)


def write_bundle(folder: Path, name: str, kind: TaskKind, pipeline: Pipeline | None = None) -> None:
    """The files that the gate looks at."""
    pipeline = pipeline or fitted_pipeline(name, kind)
    task, block = task_and_rows(kind)
    (folder / "model").mkdir(parents=True)
    pipeline.save(folder / "model")
    write_golden(folder / "golden.parquet", pipeline, task.inputs, block.features)


def request_for(folder: Path, name: str, kind: TaskKind, formats, **more) -> ParityRequest:
    task = task_and_rows(kind)[0]
    added = () if is_shipped(name) else (families()[name],)
    setting = FitSetting(kind, len(task.classes), 1, 1, 30, task.metric.name)
    return ParityRequest(str(folder), formats, name, added, setting, task.inputs, task.classes, **more)


def judged(folder, name, kind, formats=("native",), *, timeout=120.0, **more):
    with Gate(formats, name, timeout_seconds=timeout) as gate:
        gate.ask(request_for(folder, name, kind, formats, **more))
        return {one.name: one for one in gate.answers(folder)}


def served(folder: Path, name: str, kind: TaskKind) -> str:
    task, block = task_and_rows(kind)
    files = list_artifacts(folder / "model")
    record = ModelRecord(
        family=name, params={}, seed=1, fitted_on="training", fitted_rows=240, rounds=30, trial=0,
        files=tuple(one.path for one in files), trusted_types=TRUSTED_TYPES,
    )  # fmt: skip
    document = ServedModel(
        schema_version=1, raysweep="0", run_id="r", bundle="runs/r", verdict="adequate", metric="rmse",
        signature=make_signature(task, block.features), model=record, files=files,
    )  # fmt: skip
    return document.model_dump_json()


@pytest.mark.parametrize("name", ["xgboost", "ridge"])
def test_every_form_is_published_where_it_predicts_the_same(name, tmp_path):
    kind = KINDS.get(name, TaskKind.BINARY)
    write_bundle(tmp_path, name, kind)
    more = {"served": served(tmp_path, name, kind), "requirements": ("raysweep==0.1.0",)}
    found = judged(tmp_path, name, kind, ("native", "onnx", "mlflow"), **more)
    assert found["native"].published
    assert found["mlflow"].published, found["mlflow"].reason
    assert (found["native"].difference, found["mlflow"].difference) == (0.0, 0.0)
    assert all((tmp_path / path).is_file() for one in found.values() for path in one.files)
    assert "mlflow/MLmodel" in found["mlflow"].files
    assert not any("pickle" in path or "pkl" in path for path in found["mlflow"].files)
    assert found["onnx"].published, found["onnx"].reason
    assert found["onnx"].difference <= 1e-6
    assert all(one.media_type != "application/octet-stream" for one in list_artifacts(tmp_path))


def test_a_scaler_before_trees_is_caught(tmp_path):
    """The known wrong case: a real conversion, off by far on rows beside a split."""
    raysweep.register_family(
        "scaled_boosting",
        classifier=GradientBoostingClassifier,
        defaults={"n_estimators": 50, "max_depth": 5},
        encodings=["ordinal"],
    )
    assert families()["scaled_boosting"].scaled
    write_bundle(tmp_path, "scaled_boosting", TaskKind.BINARY)
    found = judged(tmp_path, "scaled_boosting", TaskKind.BINARY, ("native", "onnx"))
    assert found["native"].published
    assert not found["onnx"].published
    assert found["onnx"].difference > 0.01
    assert "predicts otherwise than the model in memory" in found["onnx"].reason
    assert "beside a split of" in found["onnx"].reason
    assert not (tmp_path / "model/model.onnx").exists()
    assert (tmp_path / "model/estimator.skops").exists()


@pytest.mark.parametrize(
    ("kind", "size", "offset"),
    [
        (TaskKind.MULTICLASS, 1.0, 0.0),
        (TaskKind.REGRESSION, 1.0, 0.0),
        (TaskKind.REGRESSION, 1e-7, 0.0),
        (TaskKind.REGRESSION, 1.0, 1e7),
    ],
)
def test_a_wrong_conversion_is_caught_whatever_the_targets_unit(kind, size, offset, tmp_path):
    raysweep.register_family(
        "scaled_boosting",
        classifier=GradientBoostingClassifier,
        regressor=GradientBoostingRegressor,
        defaults={"n_estimators": 20, "max_depth": 5},
        encodings=["ordinal"],
    )
    pipeline = None
    if kind is TaskKind.REGRESSION:
        y = task_and_rows(kind)[1].y
        pipeline = pipeline_of_target("scaled_boosting", (y - y.mean()) / y.std() * size + offset)
    write_bundle(tmp_path, "scaled_boosting", kind, pipeline)
    asked, golden = request_for(tmp_path, "scaled_boosting", kind, FORMS), pq.read_table(tmp_path / "golden.parquet")
    native, onnx = (
        Gate(FORMS, "scaled_boosting")._record(name, parity_process._judged(name, asked, golden), tmp_path)
        for name in FORMS
    )
    assert native.published
    assert not onnx.published
    assert onnx.difference > 0.01
    assert not (tmp_path / "model/model.onnx").exists()


def _off(by):
    def form(wanted):
        found = wanted.copy()
        found[17, 0] += by * (wanted[:100].std() if wanted.shape[1] == 1 else 1)
        return found

    return form


def _one_column_more(wanted):
    return np.column_stack([wanted, wanted[:, :1]])


@pytest.mark.parametrize("kind", list(TaskKind))
@pytest.mark.parametrize("name", list(TOLERANCE))
@pytest.mark.parametrize(
    "case",
    [
        (_off(0.0), ("native", "onnx", "mlflow"), ""),
        (_off(5e-7), ("onnx",), "predicts otherwise than the model in memory"),
        (_off(2e-6), (), "predicts otherwise than the model in memory"),
        (_off(np.nan), (), "it has no number for a row that is 'training row'"),
        (_one_column_more, (), "numbers, not "),
        (lambda wanted: wanted[1:], (), "numbers, not "),
    ],
    ids=["same", "5e-7", "2e-6", "nan", "column more", "row less"],
)
def test_each_form_is_held_to_its_own_tolerance(case, name, kind, tmp_path, monkeypatch):
    form, passes, said = case
    classes = len(task_and_rows(kind)[0].classes) or 1
    wanted = np.random.default_rng(5).random((110, classes)) * (1 if classes > 1 else 1e-5)
    golden = pa.table(
        {
            "features": pa.array([{"a": 1.0}] * 110),
            "prediction": pa.array(wanted.tolist()),
            "row": ["training row"] * 100 + ["all missing"] * 10,
        }
    )
    monkeypatch.setitem(parity_process._FORMS, name, lambda *_: (("model/model.file",), [wanted, form(wanted)]))
    answer = parity_process._judged(name, request_for(tmp_path, "ridge", kind, (name,)), golden)
    record = Gate((name,), "ridge")._record(name, answer, tmp_path)
    assert record.published == (name in passes)
    assert (said in record.reason) if not record.published else record.reason == ""


def test_a_native_form_that_differs_takes_everything_with_it(tmp_path):
    write_bundle(tmp_path, "logistic_regression", TaskKind.BINARY)
    path = tmp_path / "golden.parquet"
    table = pq.read_table(path)
    numbers = table.column("prediction").to_pylist()
    numbers[7][0] = float(np.nextafter(numbers[7][0], 2.0))
    place = table.schema.get_field_index("prediction")
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(numbers)), path)
    found = judged(tmp_path, "logistic_regression", TaskKind.BINARY, ("native", "onnx"))
    assert not found["native"].published
    assert 0 < found["native"].difference < 1e-15
    assert "worst on one that is 'training row'; no difference is allowed" in found["native"].reason
    assert found["onnx"].reason == "its native form is not published"
    assert not (tmp_path / "model").exists()


def test_a_process_that_dies_is_told_after_a_second_try(tmp_path):
    raysweep.register_family("fragile", classifier=Fragile, defaults={})
    write_bundle(tmp_path, "fragile", TaskKind.BINARY)
    found = judged(tmp_path, "fragile", TaskKind.BINARY, ("native", "onnx"))
    assert not found["native"].published
    assert "the process that checks it ended with code 41: gone" in found["native"].reason


def test_a_process_that_never_answers_is_ended(tmp_path):
    raysweep.register_family("endless", classifier=Endless, defaults={})
    write_bundle(tmp_path, "endless", TaskKind.BINARY)
    found = judged(tmp_path, "endless", TaskKind.BINARY, form_seconds=0.5)
    assert "TimeoutError: it was not ready after 0 s" in found["native"].reason


def test_a_class_that_only_this_process_has_is_told(tmp_path):
    write_bundle(tmp_path, "logistic_regression", TaskKind.BINARY)
    family = replace(families()["logistic_regression"], name="here_only", defaults={"f": lambda: None})
    asked = request_for(tmp_path, "logistic_regression", TaskKind.BINARY, ("native",))
    with Gate(("native",), "here_only") as gate:
        gate.ask(replace(asked, family="here_only", added=(family,)))
        (found,) = gate.answers(tmp_path)
    assert "the family 'here_only' cannot be handed to another process" in found.reason


def test_a_gate_that_is_never_asked_leaves_no_process():
    with Gate(("native",), "xgboost") as gate:
        process = gate._process
    assert process.returncode is not None


@pytest.fixture(scope="module")
def mlflow_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, "hist_gradient_boosting", TaskKind.MULTICLASS)
    more = {
        "served": served(folder, "hist_gradient_boosting", TaskKind.MULTICLASS),
        "requirements": ("raysweep==0.1.0",),
    }
    found = judged(folder, "hist_gradient_boosting", TaskKind.MULTICLASS, ("native", "mlflow"), **more)
    assert found["mlflow"].published, found["mlflow"].reason
    return folder / "mlflow"


@pytest.fixture(scope="module")
def mlflow_model(mlflow_folder):
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(mlflow_folder))


def test_mlflow_loads_the_folder_wherever_it_lies(mlflow_folder, tmp_path):
    import mlflow.pyfunc

    elsewhere = shutil.copytree(mlflow_folder, tmp_path / "copied")
    model = mlflow.pyfunc.load_model(str(elsewhere))
    frame = source_frame(TaskKind.MULTICLASS)
    found = model.predict(frame[frame.columns[::-1]])
    pipeline = fitted_pipeline("hist_gradient_boosting", TaskKind.MULTICLASS)
    wanted = pipeline.predict(every_input(TaskKind.MULTICLASS))
    np.testing.assert_array_equal(found[PROBABILITIES].to_numpy(), wanted)
    labels = np.array(["high", "low", "middle"])[wanted.argmax(axis=1)]
    assert found["prediction"].tolist() == labels.tolist()
    assert model.metadata.signature.inputs.input_names()[:2] == ["amount", "age"]


def as_categories(frame):
    return frame.astype({"city": "category", "plan": "category"})


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: frame,
        lambda frame: pd.read_csv(io.StringIO(frame.to_csv(index=False))),
        lambda frame: pd.read_csv(io.StringIO(frame.to_csv(index=False)), parse_dates=["joined"]),
        lambda frame: pd.read_parquet(io.BytesIO(frame.to_parquet())),
        lambda frame: pd.read_parquet(io.BytesIO(frame.to_parquet()), dtype_backend="numpy_nullable"),
        lambda frame: pd.read_parquet(io.BytesIO(frame.to_parquet()), dtype_backend="pyarrow"),
        lambda frame: frame.assign(joined=frame["joined"].dt.tz_localize("UTC")),
        lambda frame: frame.assign(member=frame["member"].astype("boolean"), visits=frame["visits"].astype("Int64")),
        as_categories,
    ],
    ids=["as it is", "CSV", "CSV, dates", "parquet", "nullable", "Arrow", "zone", "boolean", "categories"],
)
def test_mlflow_takes_the_frames_that_pandas_reads(form, mlflow_model):
    frame = source_frame(TaskKind.MULTICLASS).drop(columns="target")
    wanted = fitted_pipeline("hist_gradient_boosting", TaskKind.MULTICLASS).predict(every_input(TaskKind.MULTICLASS))
    for rows in (len(frame), 40, 3, 1):
        found = mlflow_model.predict(form(frame.iloc[:rows]))
        np.testing.assert_allclose(found[PROBABILITIES].to_numpy(), wanted[:rows], rtol=0, atol=1e-12)


def test_mlflow_takes_whole_numbers_for_a_column_of_others(mlflow_model):
    frame = source_frame(TaskKind.MULTICLASS)
    whole = frame.assign(amount=frame["amount"].round().astype("int64"))
    assert mlflow_model.predict(whole).equals(mlflow_model.predict(whole.astype({"amount": float})))


def test_mlflow_leaves_what_is_wrong_to_raysweep(mlflow_model):
    frame = source_frame(TaskKind.MULTICLASS)
    with pytest.raises(RequestInvalid, match="'joined' must hold values of kind datetime"):
        mlflow_model.predict(frame.assign(joined=20200101))
    with pytest.raises(MlflowException, match="city"):
        mlflow_model.predict(frame.drop(columns="city"))
    kinds = mlflow_model.metadata.metadata["raysweep.kinds"]
    assert (kinds["joined"], kinds["member"], kinds["amount"]) == ("datetime", "boolean", "number")


def test_mlflow_refuses_a_file_that_was_changed(mlflow_folder, tmp_path):
    from raysweep.bundle.mlflow_flavor import _load_pyfunc

    elsewhere = shutil.copytree(mlflow_folder, tmp_path / "copied")
    data = elsewhere / "data/model"
    content = bytearray((data / "estimator.skops").read_bytes())
    content[200] ^= 1
    (data / "estimator.skops").write_bytes(content)
    with pytest.raises(BundleRefused, match=r"estimator\.skops was changed"):
        _load_pyfunc(str(data))
    (data / "estimator.skops").unlink()
    with pytest.raises(BundleRefused, match=r"estimator\.skops is missing"):
        _load_pyfunc(str(data))
    document = json.loads((data / SERVED_FILE).read_text())
    document["files"][0]["path"] = "../outside"
    (data / SERVED_FILE).write_text(json.dumps(document))
    with pytest.raises(BundleRefused, match="is no file of the model's own folder"):
        _load_pyfunc(str(data))
