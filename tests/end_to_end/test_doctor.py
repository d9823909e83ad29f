"""`raysweep doctor` says what a sweep would stumble over, with the sweep's own exit code, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import raysweep
from raysweep.diagnosis import State

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    (tmp_path / "table.csv").write_text("a,late\n1,0\n2,1\n")
    (tmp_path / "sweep.yaml").write_text("version: 1\ndata: {source: table.csv, target: late}\nexport: {to: runs}\n")
    return tmp_path / "sweep.yaml"


def failed(found) -> dict[tuple[str, str], str]:
    return {(row.area, row.what): row.said for row in found.rows if row.state is State.FAILED}


def test_where_all_is_well(sweep, command):
    ran = command("doctor", sweep)
    assert ran.code == 0
    assert "✓ nothing would keep a sweep from starting" in ran.out
    for said in ("put if match", "1 csv file", "a trial (1 CPU): ran on", "learns late with"):
        assert said in ran.out
    left = [path for path in (sweep.parent / "runs").rglob("*") if path.is_file()]
    assert left == []


def test_without_a_sweep_the_machine_is_looked_at(command):
    ran = command("doctor", "--json")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert [row["area"] for row in document["diagnoses"]] == ["home", "ray", "ray"]


def test_each_thing_that_is_wrong_is_said_and_the_first_gives_the_exit_code(sweep):
    wrong = [
        "search.metric=roc_aucc",
        "data.source=nowhere.csv",
        "confirm.production=runs@production",
        "search.trial.gpus=1",
        "export.sign=no-key.pem",
    ]
    found = raysweep.doctor(sweep, overrides=wrong)
    said = failed(found)
    assert "did you mean 'roc_auc'" in said["request", "sweep"]
    assert "nowhere.csv" in next(words for (area, _), words in said.items() if area == "data")
    assert "is production yet" in said["production", "runs@production"]
    assert "1 GPUs" in next(words for (area, _), words in said.items() if area == "ray")
    assert found.exit_code == 2
    assert raysweep.doctor(sweep, overrides=["search.trial.cpus=64"]).exit_code == 5


def test_a_folder_that_cannot_be_written(sweep):
    (sweep.parent / "taken").write_text("a file")
    found = raysweep.doctor(sweep, overrides=[f"export.to={sweep.parent / 'taken'}"])
    assert found.exit_code == 6
    assert "a part of this path is a file" in failed(found)["store", "put"]


@pytest.mark.s3
def test_credentials_that_may_only_read_are_told_what_to_ask_for(sweep, s3_bucket, s3_reader, command, monkeypatch):
    keys = yaml.safe_load(sweep.read_text()) | {
        "export": {"to": f"s3://{s3_bucket}/runs", "s3": {"endpoint_url": s3_reader.endpoint_url}}
    }
    sweep.write_text(yaml.safe_dump(keys))
    well = command("doctor", sweep)
    assert well.code == 0
    gone = raysweep.doctor(sweep, overrides=["export.to=s3://no-such-bucket/runs"])
    assert "does not exist" in failed(gone)["store", "put"]
    assert {row.permission for row in gone.rows} == {""}, "no permission helps against that"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_reader.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_reader.secret_key)
    ran = command("doctor", sweep)
    assert ran.code == 6
    assert "access denied to PutObject" in ran.out
    assert f"ask for s3:PutObject and s3:AbortMultipartUpload on arn:aws:s3:::{s3_bucket}/runs/*" in ran.out
    assert "· store      list: not tried, since nothing can be put" in ran.out
    assert s3_reader.secret_key not in ran.out + ran.err
