"""A whole table through a published model: the same numbers as the loaded model's, in the order of the table."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raysweep
from builders import clean_table
from raysweep.bundle.load import open_model
from raysweep.bundle.locate import open_run
from raysweep.config import S3Config
from raysweep.errors import BundleRefused, DataUnsuitable, RequestInvalid
from raysweep.scoring import predict as scoring
from raysweep.storage.open_store import open_store
from sweep_builders import RANDOM_ONE_SLOT, quick_space, roughen, run_quietly, sweep_keys

CODES = ("007", "010", "42", "700")
CLASSES = ["probability_high", "probability_low", "probability_middle"]


def with_codes(rows: int, seed: int, task: str) -> pd.DataFrame:
    frame = roughen(clean_table(rows, seed, task), seed)
    return frame.assign(code=np.array(CODES)[np.arange(rows) % 4])


@pytest.fixture(scope="module")
def bundle(ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path) -> Path:
    """Three classes; codes that look like numbers are texts."""
    keys = sweep_keys(
        tmp_path_factory.mktemp("runs"),
        search={**RANDOM_ONE_SLOT, "trials": 1, "space": quick_space(["xgboost"])},
        split={"folds": 1},
    )
    return Path(run_quietly(keys, with_codes(450, 4, "multiclass")).bundle_url)


@pytest.fixture(scope="module")
def new() -> pd.DataFrame:
    """Rows that the model has not seen: three codes of its past, one that it never met."""
    frame = with_codes(300, 11, "multiclass").drop(columns="target")
    frame.insert(0, "id", [f"{number:05d}" for number in range(300)])
    return frame.assign(code=frame["code"].replace("42", "0815"))


@pytest.fixture(scope="module")
def wanted(bundle: Path, new: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of the loaded model, which warns of codes that it has never seen."""
    model = open_model(open_run(bundle))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.predict(new), model.predict_proba(new)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: pd.DataFrame) -> Path:
    monkeypatch.chdir(tmp_path)
    new.to_parquet("new.parquet")
    new.to_csv("new.csv", index=False)
    new.to_json("new.jsonl", orient="records", lines=True, date_format="iso", date_unit="us")
    return tmp_path


def read(path: Path) -> pd.DataFrame:
    if path.is_dir():
        return pd.concat([read(part) for part in sorted(path.glob("part-*"))], ignore_index=True)
    texts = {"id": str, "code": str}
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype=texts) if path.suffix == ".csv" else pd.read_json(path, lines=True, dtype=texts)


@pytest.mark.parametrize("source", ["new.parquet", "new.csv", "new.jsonl"])
@pytest.mark.parametrize("out", ["out.parquet", "out.csv", "out.jsonl", "folder"])
def test_every_form_gives_what_the_model_gives(
    here: Path, bundle: Path, new: pd.DataFrame, wanted: tuple[np.ndarray, np.ndarray], source: str, out: str
):
    done = raysweep.predict(bundle, source, out)
    found = read(here / out)
    assert found["id"].tolist() == new["id"].tolist()
    assert found["code"].tolist() == new["code"].tolist()
    assert list(found.columns) == [*new.columns, "prediction", *CLASSES]
    np.testing.assert_allclose(found[CLASSES], wanted[1], rtol=0, atol=1e-15)
    assert found["prediction"].tolist() == wanted[0].tolist()
    assert (done.rows, done.deviations["code"].unseen) == (300, 75)
    assert done.files[0].address.startswith(str(here / out))


def test_tables_in_memory_and_columns(
    here: Path, bundle: Path, new: pd.DataFrame, wanted: tuple[np.ndarray, np.ndarray]
):
    import ray

    arrow = pa.Table.from_pandas(new, preserve_index=False)
    for data in (new, arrow, ray.data.from_arrow([arrow.slice(0, 100), arrow.slice(100)])):
        done = raysweep.predict(bundle, data, "out.parquet", columns=["code", "id"], overwrite=True)
        found = read(here / "out.parquet")
        assert list(found.columns) == ["code", "id", "prediction", *CLASSES] == list(done.columns)
        assert found["id"].tolist() == new["id"].tolist()
        np.testing.assert_array_equal(found[CLASSES], wanted[1])


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_many_rows_by_ray_are_the_same_in_their_order(
    here: Path,
    bundle: Path,
    new: pd.DataFrame,
    wanted: tuple[np.ndarray, np.ndarray],
    form: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """As where the table is large: each file is a task, and row groups are."""
    from raysweep.stages.source import ray_scan

    monkeypatch.setattr(scoring, "HERE_BYTES", 0)
    monkeypatch.setattr(ray_scan, "_TASK_BYTES", 1)
    (here / "many").mkdir()
    for number in range(3):
        rows = new.iloc[number * 100 : (number + 1) * 100]
        if form == "csv":
            rows.assign(note="N/A").to_csv(here / f"many/{number}.csv", index=False)
        else:
            table = pa.Table.from_pandas(rows, preserve_index=False)
            pq.write_table(table, here / f"many/{number}.parquet", row_group_size=30)
    told: list[tuple[int, int | None]] = []
    done = raysweep.predict(bundle, "many", "scored", progress=lambda *rows: told.append(rows))
    found = read(here / "scored")
    assert found["id"].tolist() == new["id"].tolist()
    np.testing.assert_array_equal(found[CLASSES], wanted[1])
    assert (done.deviations["code"].unseen, done.deviations["balance"].out_of_range) == (75, 3)
    assert told[-1] == (300, 300 if form == "parquet" else None)
    if form == "csv":
        lines = "".join(part.read_text() for part in sorted((here / "scored").glob("part-*"))).splitlines()
        assert sum(",N/A," in line for line in lines) == 300, "what the model does not use stays as it is"
    summary = json.loads((here / "scored/_SUCCESS.json").read_text())
    assert (summary["rows"], summary["manifest_sha256"]) == (300, done.manifest_sha256)
    assert summary["bundle"] == str(bundle)


def test_what_a_task_cannot_read_is_named_and_leaves_nothing(
    here: Path, bundle: Path, new: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scoring, "HERE_BYTES", 0)
    (here / "many").mkdir()
    new.to_csv(here / "many/0.csv", index=False)
    new.assign(amount=["ten", *["1"] * 299]).to_csv(here / "many/1.csv", index=False)
    with pytest.raises(RequestInvalid, match=r"'amount' holds 'ten' \(.*many/1.csv, row 1\), which is no number"):
        raysweep.predict(bundle, "many", "scored")
    assert not (here / "scored").exists()
    assert list(here.glob(".*")) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns="city"), "lacks 1 of the 13 columns that the model wants: 'city'"),
        (lambda frame: frame.assign(prediction=1), "leave the column out by naming those to keep"),
        (lambda frame: frame.assign(amount="many"), r"'amount' must hold .*number.*many.*other\.parquet, row 1\)"),
    ],
)
def test_a_table_that_does_not_fit_is_named(here: Path, bundle: Path, new: pd.DataFrame, change, said: str):
    change(new).to_parquet("other.parquet")
    with pytest.raises(RequestInvalid, match=said):
        raysweep.predict(bundle, "other.parquet", "out.csv")
    assert not (here / "out.csv").exists()


def test_a_file_that_is_cut_off_and_one_that_is_none(here: Path, bundle: Path):
    content = (here / "new.parquet").read_bytes()
    (here / "cut.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataUnsuitable, match=r"cut\.parquet cannot be read"):
        raysweep.predict(bundle, "cut.parquet", "out.csv")
    with pytest.raises(raysweep.NotFound, match=r"DATA: there is no .*new\.parq"):
        raysweep.predict(bundle, "new.parq", "out.csv")
    with pytest.raises(RequestInvalid, match="DATA names files of several formats"):
        raysweep.predict(bundle, ["new.csv", "new.parquet"], "out.csv")
    assert not (here / "out.csv").exists()


def test_the_command_line(here: Path, bundle: Path, command):
    ran = command("predict", bundle, "new.csv", "out.csv", "--columns", "id", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["rows"], document["deviations"]["code"]["unseen"]) == (0, 300, 75)
    assert document["columns"] == ["id", "prediction", *CLASSES]
    again = command("predict", bundle, "new.csv", "out.csv")
    assert again.code == 2
    assert "--overwrite" in again.err
    ran = command("predict", bundle, "new.csv", "out.csv", "--overwrite")
    assert ran.code == 0
    assert "code: 75 of 300 rows hold a value that the model has never seen" in ran.out
    assert "balance: 3 of 300 rows hold a value out of the range that the model has seen" in ran.out
    assert command("predict", bundle, "new.csv", "new.csv", "--overwrite").code == 2
    assert command("predict", "nothing-here", "new.csv", "more.csv").code == 2


def test_few_rows_do_not_load_ray(here: Path, bundle: Path):
    code = f"import sys, raysweep; raysweep.predict({str(bundle)!r}, 'new.csv', 'out.csv'); print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_from_a_bucket_into_a_bucket(
    here: Path,
    bundle: Path,
    new: pd.DataFrame,
    wanted: tuple[np.ndarray, np.ndarray],
    s3_bucket: str,
    s3_config: S3Config,
):
    store = open_store(f"s3://{s3_bucket}", s3_config)
    store.put("new/a.parquet", here / "new.parquet")
    keys = {"bundle": bundle, "data": f"s3://{s3_bucket}/new", "s3": s3_config}
    done = raysweep.predict(**keys, out=f"s3://{s3_bucket}/scored")
    assert [one.key for one in store.list("scored/")] == ["scored/_SUCCESS.json", "scored/part-00000.parquet"]
    store.download("scored/part-00000.parquet", here / "back.parquet")
    np.testing.assert_array_equal(read(here / "back.parquet")[CLASSES], wanted[1])
    assert done.files[0].address == f"s3://{s3_bucket}/scored/part-00000.parquet"
    with pytest.raises(RequestInvalid, match="--overwrite"):
        raysweep.predict(**keys, out=f"s3://{s3_bucket}/scored")
    raysweep.predict(**keys, out=f"s3://{s3_bucket}/scored", columns=["id"], overwrite=True)
    raysweep.predict(**keys, out=f"s3://{s3_bucket}/one.csv")
    assert store.exists("one.csv")
    (here / "bad.csv").write_text("a\n1\n")
    new.assign(amount="ten").to_csv("bad.csv", index=False)
    with pytest.raises(RequestInvalid, match="ten"):
        raysweep.predict(bundle, "bad.csv", f"s3://{s3_bucket}/broken", s3=s3_config)
    assert store.list("broken") == []


def test_a_bundle_that_was_changed_predicts_nothing(here: Path, bundle: Path):
    import shutil

    shutil.copytree(bundle, here / "changed")
    model = here / "changed/model/model.ubj"
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(BundleRefused, match="was changed"):
        raysweep.predict("changed", "new.csv", "out.csv")
