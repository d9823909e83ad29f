"""A table of each task, with every hard kind of value, through all seven stages."""

from __future__ import annotations

import io
import json
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

import raysweep
from builders import clean_table
from raysweep.bundle.inputs import features_of
from raysweep.bundle.load import open_model
from raysweep.config import S3Config
from raysweep.records.final_check import Verdict
from raysweep.records.manifest import Manifest
from raysweep.records.trial import TrialState
from raysweep.storage.open_store import open_store
from raysweep.sweep import Sweep
from sweep_builders import bundle_files, read_document, roughen, run_quietly, sweep_keys

TRIALS = 8
TOP = 3
COLUMNS = {
    "trial", "rung", "effort", "family", "params", "params_digest", "seed", "state", "score", "metrics", "part",
    "started", "seconds", "core_seconds", "gpu_seconds", "cost", "memory_bytes", "node", "attempt", "reason", "error",
}  # fmt: skip
FIXED_FILES = {
    "manifest.json", "SHA256SUMS", "model/preprocess.skops", "config/sweep.yaml", "config/space.yaml",
    "config/params.json", "config/environment.json", "config/requirements.lock", "data/profile.json",
    "data/analysis.html", "data/findings.json", "data/split.json", "trials.parquet", "final_check.json",
    "golden.parquet", "report.html", "MODEL_CARD.md", "code/commit.json", "config/serving.txt",
    "attestations/data-checks.json", "attestations/final-check.json",
}  # fmt: skip
FAMILIES = {
    "xgboost", "hist_gradient_boosting", "random_forest", "extra_trees", "logistic_regression", "k_neighbors"
}  # fmt: skip


def binary_table() -> pd.DataFrame:
    bunch = load_breast_cancer(as_frame=True)
    return bunch.data.iloc[:, :8].assign(target=np.where(bunch.target == 1, "benign", "malignant"))


def regression_table() -> pd.DataFrame:
    return load_diabetes(as_frame=True).frame


TABLES = {
    "binary": binary_table,
    "multiclass": lambda: clean_table(700, 3, "multiclass"),
    "regression": regression_table,
}


FURTHER = {"multiclass": {"objectives": ["size_bytes"], "constraints": {"prediction_seconds": 5.0}}}

FORMATS = {"multiclass": ["native", "onnx", "mlflow"]}


@dataclass(frozen=True)
class Done:
    task: str
    frame: pd.DataFrame
    sweep: Sweep
    folder: Path


@pytest.fixture(scope="module", params=TABLES)
def done(
    request: pytest.FixtureRequest, ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path
) -> Done:
    task = request.param
    frame = roughen(TABLES[task](), seed=5)
    search = {"trials": TRIALS, "algorithm": "random", **FURTHER.get(task, {})}
    export = {"top": TOP, "formats": FORMATS.get(task, ["native"])}
    keys = sweep_keys(tmp_path_factory.mktemp("runs"), search=search, export=export)
    sweep = run_quietly(keys, frame)
    return Done(task, frame, sweep, Path(sweep.bundle_url))


def model_files(files: dict[str, bytes], folder: str) -> list[str]:
    return sorted(name for name in files if name.startswith(f"{folder}/") and name.count("/") == folder.count("/") + 1)


def is_pickle(content: bytes) -> bool:
    if not content.endswith(b"."):
        return False
    try:
        return all(True for _ in pickletools.genops(content))
    except Exception:  # noqa: BLE001 - anything but a pickle raises something
        return False


def members(name: str, content: bytes) -> dict[str, bytes]:
    """The file itself, or what a skops archive holds."""
    if not name.endswith(".skops"):
        return {name: content}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {f"{name}!{member}": archive.read(member) for member in archive.namelist()}


def test_it_ends_with_a_verdict(done: Done):
    assert done.sweep.confirmed is not None
    assert done.sweep.confirmed.check.verdict in Verdict
    assert read_document(done.folder, "final_check.json")["verdict"] == done.sweep.confirmed.check.verdict
    assert read_document(done.folder, "manifest.json")["outcome"] == "done"


def test_the_task_is_inferred(done: Done):
    assert done.sweep.examined.check.task is not None
    assert done.sweep.examined.check.task.kind == done.task


def test_every_family_finishes_a_trial(done: Done):
    wanted = FAMILIES if done.task != "regression" else FAMILIES - {"logistic_regression"} | {"ridge"}
    trials = done.sweep.search.trials
    failed = {trial.candidate.family: trial.error for trial in trials if trial.state is TrialState.FAILED}
    assert failed == {}
    assert {trial.candidate.family for trial in trials if trial.state is TrialState.COMPLETE} == wanted


def test_what_was_asked_for_beside_the_score(done: Done):
    """Sizes are those of the files that the final fits write; the front comes first, wherever a run is looked at."""
    shown = raysweep.show(str(done.folder))
    search = read_document(done.folder, "manifest.json")["search"]
    asked = FURTHER.get(done.task, {})
    assert (search["objectives"], search["constraints"]) == (asked.get("objectives", []), asked.get("constraints", {}))
    if not asked:
        assert all("size_bytes" not in trial["metrics"] for trial in shown.trials)
        return
    front = [trial["trial"] for trial in shown.trials[: len(shown.front)]]
    assert set(front) == shown.front
    sizes = [trial["metrics"]["size_bytes"] for trial in shown.trials]
    assert sizes[: len(front)] == sorted(sizes[: len(front)], reverse=True), "a better score costs size, on the front"
    assert all(0 < trial["metrics"]["prediction_seconds"] < 5 for trial in shown.trials)
    files = bundle_files(done.folder)
    for rank in range(1, TOP + 1):
        published = sum(len(files[name]) for name in model_files(files, f"best/{rank:02d}/model"))
        assert sizes[rank - 1] == pytest.approx(published, rel=0.5), "of a fit on as many rows, more or less"
    (gate,) = (one for one in read_document(done.folder, "final_check.json")["gates"] if one["name"] == "constraints")
    assert gate["outcome"] == "passed"
    assert "the Pareto front joined" in (done.folder / "report.html").read_text(encoding="utf-8")


def test_defaults_come_first(done: Done):
    trials = done.sweep.search.trials
    families = [trial.candidate.family for trial in trials]
    firsts = [trial for number, trial in enumerate(trials) if trial.candidate.family not in families[:number]]
    assert {trial.candidate.origin for trial in firsts} == {"default"}
    assert [trial.candidate.number for trial in firsts] == list(range(len(firsts)))


def test_the_bundle_has_exactly_the_files_of_the_design(done: Done):
    files = bundle_files(done.folder)
    expected = set(FIXED_FILES)
    for folder in ("model", *(f"best/{rank:02d}/model" for rank in range(1, TOP + 1))):
        learner = [name for name in model_files(files, folder) if not name.endswith(("preprocess.skops", ".onnx"))]
        assert learner in ([f"{folder}/model.ubj"], [f"{folder}/estimator.skops"])
        expected |= {*learner, f"{folder}/preprocess.skops"}
    expected |= {f"best/{rank:02d}/params.json" for rank in range(1, TOP + 1)}
    if done.task in FORMATS:
        expected |= {"model/model.onnx", "mlflow/MLmodel", *(name for name in files if name.startswith("mlflow/"))}
    assert set(files) == expected
    assert (done.folder / "journal/000001.jsonl").is_file()


def test_the_bundle_verifies(done: Done):
    found = raysweep.verify(done.folder)
    assert found.problems == ()
    assert {row.path for row in found.rows} >= set(bundle_files(done.folder))


def test_the_manifest_is_one(done: Done):
    manifest = Manifest.model_validate_json((done.folder / "manifest.json").read_bytes(), strict=True)
    assert manifest.run_id == done.folder.name
    assert manifest.split.keys_shared == 0
    assert sum(part.rows for part in manifest.split.parts.values()) == len(done.frame)
    assert manifest.search.trials_by_state == {"complete": TRIALS}
    assert {one.path for one in manifest.artifacts} == set(bundle_files(done.folder)) - {"manifest.json", "SHA256SUMS"}


def test_the_loaded_model_predicts_what_the_one_in_memory_does(done: Done):
    first = open_model(open_store(str(done.folder), S3Config()))
    again = open_model(open_store(str(done.folder), S3Config()))
    features = features_of(done.frame, first.signature)
    in_memory = done.sweep.confirmed.shipped.learner.predict(features)
    assert first.raw_predictions(features).tobytes() == in_memory.tobytes()
    assert again.raw_predictions(features).tobytes() == in_memory.tobytes()
    shuffled = done.frame.iloc[:, ::-1].assign(unknown="ignored")
    predicted = first.predict(shuffled) if done.task == "regression" else first.predict_proba(shuffled)
    assert predicted.tobytes() == in_memory.tobytes()


def test_every_form_was_checked_in_another_process(done: Done):
    manifest = Manifest.model_validate_json((done.folder / "manifest.json").read_bytes(), strict=True)
    native, *others = manifest.formats
    assert (native.name, native.published, native.difference, native.tolerance) == ("native", True, 0.0, 0.0)
    assert set(native.files) == set(manifest.model.files)
    assert [one.name for one in others] == FORMATS.get(done.task, ["native"])[1:]
    for one in others:
        assert one.published, one.reason
        assert one.difference <= one.tolerance
    described = {one.path: one for one in manifest.artifacts}
    for form in manifest.formats:
        assert {(described[path].format, described[path].parity_difference) for path in form.files} == {
            (form.name, form.difference)
        }
    assert not any(path.endswith((".pkl", ".pickle", ".joblib")) for path in described)


def test_predictions_are_labels_of_the_table(done: Done):
    model = open_model(open_store(str(done.folder), S3Config()))
    predicted = model.predict(done.frame.drop(columns="target"))
    assert predicted.shape == (len(done.frame),)
    if done.task == "regression":
        assert np.isfinite(predicted).all()
        return
    assert set(predicted) <= set(done.frame["target"])
    assert (predicted == done.frame["target"]).mean() > done.frame["target"].value_counts(normalize=True).max()


def test_golden_rows_hold_the_predictions_in_memory(done: Done):
    table = pq.read_table(done.folder / "golden.parquet")
    wanted = np.asarray(table.column("prediction").to_pylist())
    model = open_model(open_store(str(done.folder), S3Config()))
    features = features_of(pd.DataFrame(table.column("features").to_pylist()).astype(object), model.signature)
    assert np.array_equal(model.raw_predictions(features).reshape(wanted.shape), wanted)


def test_nothing_in_the_bundle_is_a_pickle(done: Done):
    for name, content in bundle_files(done.folder).items():
        for member, inner in members(name, content).items():
            assert not is_pickle(inner), member
            assert not member.endswith((".pkl", ".pickle", ".joblib")), member
            if inner.startswith(b"\x93NUMPY"):
                assert b"'descr': '|O'" not in inner[:200], member


def test_trials_parquet_has_a_row_for_each_rung(done: Done):
    table = pq.read_table(done.folder / "trials.parquet")
    assert set(table.column_names) >= COLUMNS
    rows = table.to_pylist()
    expected = [(trial.candidate.number, rung.rung) for trial in done.sweep.search.trials for rung in trial.rungs]
    assert [(row["trial"], row["rung"]) for row in rows] == expected
    assert len(set(expected)) == len(expected)
    known = {trial.candidate.number: trial for trial in done.sweep.search.trials}
    for row in rows:
        candidate = known[row["trial"]].candidate
        assert json.loads(row["params"]) == dict(candidate.params)
        assert (row["params_digest"], row["seed"]) == (candidate.digest, candidate.seed)
        assert row["state"] == "complete"
        assert row["error"] == ""


def test_the_report_shows_no_markup_of_the_data(done: Done):
    report = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "<b>bold</b>" not in report
    assert "東京" in report or "words" in report


def test_the_winner_of_the_search_is_what_ships(done: Done):
    params = read_document(done.folder, "config/params.json")
    assert params["params_digest"] == done.sweep.ranking[0].candidate.digest
    assert read_document(done.folder, "best/01/params.json")["params_digest"] == params["params_digest"]
