"""The same sweep to a folder and to an S3-compatible server over HTTP."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import raysweep
from builders import clean_table
from raysweep.config import S3Config
from s3_server import S3Server
from sweep_builders import RANDOM_ONE_SLOT, bundle_files, lasting_check, quick_space, run_quietly, sweep_keys

pytestmark = [pytest.mark.s3, pytest.mark.filterwarnings("ignore:the final check found this model:UserWarning")]

RUN = "same-run"
SEARCH = {**RANDOM_ONE_SLOT, "trials": 3, "space": quick_space(["xgboost"])}


@dataclass(frozen=True)
class Exported:
    """The sweep in a folder, and the same one in a bucket by a process of its own."""

    frame: pd.DataFrame
    folder: Path
    url: str
    objects: dict[str, bytes]
    process: subprocess.CompletedProcess[str]
    s3: S3Config


@pytest.fixture(scope="module")
def server(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The server, with its credentials in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        patch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
        yield s3_server


@pytest.fixture(scope="module")
def bucket(server: S3Server) -> str:
    name = f"sweeps-{secrets.token_hex(6)}"
    client = server.client()
    client.create_bucket(Bucket=name)
    client.close()
    return name


def objects_in(server: S3Server, bucket: str, prefix: str = "") -> dict[str, bytes]:
    client = server.client()
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    found = {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}
    client.close()
    return found


@pytest.fixture(scope="module")
def exported(
    server: S3Server, bucket: str, ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path
) -> Exported:
    frame = clean_table(450, 11)
    work = tmp_path_factory.mktemp("s3-sweep")
    (work / "table").mkdir()
    client = server.client()
    for number, start in enumerate((0, 300)):
        path = work / f"table/{number}.parquet"
        frame.iloc[start : start + 300].to_parquet(path)
        client.upload_file(str(path), bucket, f"data/table/{number}.parquet")
    client.close()
    local = run_quietly(sweep_keys(work / "runs", source=work / "table", search=SEARCH), run_id=RUN)
    s3 = {"endpoint_url": server.endpoint_url}
    keys = sweep_keys(f"s3://{bucket}/runs", source=f"s3://{bucket}/data/table", search=SEARCH, export={"s3": s3})
    (work / "sweep.yaml").write_text(yaml.safe_dump(keys, sort_keys=False))
    process = subprocess.run(
        [sys.executable, "-m", "raysweep", "run", work / "sweep.yaml", "--run", RUN, "--json"],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        cwd=work,
    )
    found = objects_in(server, bucket, f"runs/{RUN}/")
    named = {key.removeprefix(f"runs/{RUN}/"): content for key, content in found.items()}
    return Exported(frame, Path(local.bundle_url), f"s3://{bucket}/runs/{RUN}", named, process, S3Config(**s3))


def journal_aside(names: Any) -> list[str]:
    return sorted(name for name in names if not name.startswith("journal/"))


def test_the_process_ends_well(exported: Exported):
    assert exported.process.returncode in {0, 7}, exported.process.stderr
    document = json.loads(exported.process.stdout)
    assert document["bundle_url"] == exported.url
    assert "Traceback" not in exported.process.stderr


def test_the_files_are_the_same(exported: Exported):
    assert journal_aside(exported.objects) == journal_aside(bundle_files(exported.folder))
    assert "journal/000001-000001.jsonl" in exported.objects


@pytest.mark.parametrize(
    "name",
    ["model/model.ubj", "config/params.json", "data/split.json", "best/01/model/model.ubj"],
)
def test_what_was_found_is_the_same_byte_for_byte(name: str, exported: Exported):
    assert exported.objects[name] == (exported.folder / name).read_bytes()


def test_the_final_check_is_the_same(exported: Exported):
    name = "final_check.json"
    assert lasting_check(exported.objects[name]) == lasting_check((exported.folder / name).read_bytes())


def test_it_is_verified_and_loaded_from_the_bucket(exported: Exported):
    found = raysweep.verify(exported.url, s3=exported.s3)
    assert found.problems == ()
    there = raysweep.load_model(exported.url, s3=exported.s3)
    here = raysweep.load_model(exported.folder)
    assert np.array_equal(there.predict_proba(exported.frame), here.predict_proba(exported.frame))


def test_it_is_carried_out_again_from_the_bucket(exported: Exported):
    found = raysweep.reproduce(exported.url, s3=exported.s3)
    assert (found.outcome.value, found.first_difference) == ("identical", None)


def test_it_is_shown_from_the_bucket(exported: Exported, server: S3Server, command):
    ran = command("show", exported.url, "--s3-endpoint", server.endpoint_url)
    assert ran.code == 0
    assert exported.url in ran.out
    assert command("verify", exported.url, "--s3-endpoint", server.endpoint_url).code == 0


def holding(contents: dict[str, bytes], server: S3Server) -> list[str]:
    hidden = (server.access_key.encode(), server.secret_key.encode())
    return [name for name, content in contents.items() if any(value in content for value in hidden)]


def test_no_credential_is_published_or_said(exported: Exported, server: S3Server, bucket: str):
    contents = {
        **objects_in(server, bucket),
        **bundle_files(exported.folder),
        "stdout": exported.process.stdout.encode(),
        "stderr": exported.process.stderr.encode(),
    }
    assert len(contents) > 30
    assert holding(contents, server) == []


def test_no_credential_is_in_the_logs_of_ray(exported: Exported, server: S3Server):
    logs = Path(exported.process.stderr.partition("logs are in ")[2].splitlines()[0])
    contents = {str(path): path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    assert len(contents) > 5
    assert holding(contents, server) == []


def file_for(tmp_path: Path, server: S3Server, to: str, **data: Any) -> Path:
    clean_table(200, 0).to_csv(tmp_path / "table.csv", index=False)
    keys = sweep_keys(
        to,
        source=data.get("source", tmp_path / "table.csv"),
        search=SEARCH,
        export={"s3": {"endpoint_url": server.endpoint_url}},
    )
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(keys))
    return path


def check_refusal(ran: Any, code: int, *says: str) -> None:
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert [text for text in says if text not in ran.err] == []
    assert "search: " not in ran.err


def test_a_bucket_that_does_not_exist_is_found_out_before_the_search(server, ray_session, tmp_path, command):
    ran = command("run", file_for(tmp_path, server, "s3://no-such-bucket-here/runs"))
    check_refusal(ran, 6, "export.to", "no-such-bucket-here")


def test_a_wrong_secret_is_found_out_before_the_search(server, bucket, ray_session, tmp_path, command, monkeypatch):
    wrong = secrets.token_hex(20)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
    ran = command("run", file_for(tmp_path, server, f"s3://{bucket}/wrong"))
    check_refusal(ran, 6, "export.to", bucket)
    assert wrong not in ran.err + ran.out
    assert objects_in(server, bucket, "wrong") == {}


def test_a_server_that_does_not_answer_is_found_out_before_the_search(bucket, ray_session, tmp_path, server, command):
    path = file_for(tmp_path, server, f"s3://{bucket}/away")
    ran = command("run", path, "--set", "export.s3.endpoint_url=http://127.0.0.1:9")
    check_refusal(ran, 6, "export.to", "127.0.0.1:9")


def test_data_that_are_not_in_the_bucket_are_a_wrong_address(bucket, server, ray_session, tmp_path, command):
    ran = command("run", file_for(tmp_path, server, str(tmp_path / "runs"), source=f"s3://{bucket}/nothing.csv"))
    check_refusal(ran, 2, "nothing.csv")


def test_a_run_id_that_is_published_is_refused(exported, bucket, server, ray_session, tmp_path, command):
    before = objects_in(server, bucket)
    ran = command("run", file_for(tmp_path, server, f"s3://{bucket}/runs"), "--run", RUN)
    check_refusal(ran, 2, RUN, "--run")
    assert objects_in(server, bucket) == before
