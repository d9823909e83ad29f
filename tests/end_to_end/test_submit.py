"""A sweep as a job of a real cluster: followed, stopped, gone on with, and the same as a local one."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import raysweep
from builders import clean_table
from node_cluster import NodeCluster, node_cluster, wait_until
from raysweep.config import S3Config
from raysweep.job.jobs_api import JobsApi
from s3_server import S3Server
from sweep_builders import quick_space, sweep_keys

ROWS = 600


@pytest.fixture(scope="module")
def credentials(s3_server: S3Server) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": s3_server.access_key, "AWS_SECRET_ACCESS_KEY": s3_server.secret_key}


@pytest.fixture(scope="module")
def head(s3_server: S3Server, credentials: dict[str, str], plain_folder: Path) -> Iterator[NodeCluster]:
    """A cluster of one node that has the store's credentials, and a raysweep of its own that cannot be used."""
    decoy = plain_folder / "image" / "raysweep"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("raise RuntimeError('this is the raysweep of the image')\n")
    port = int(urlsplit(s3_server.endpoint_url).port or 0)
    environment = {**credentials, "PYTHONPATH": str(decoy.parent)}
    with (
        tempfile.TemporaryDirectory(prefix="rs-") as short,
        node_cluster(Path(short), port, environment, workers=0, real=False) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def place(s3_server: S3Server) -> str:
    """Where the sweeps of this module are exported to."""
    name = f"bucket-{secrets.token_hex(6)}"
    client = s3_server.client()
    client.create_bucket(Bucket=name)
    client.close()
    return f"s3://{name}/runs"


@pytest.fixture(autouse=True)
def client(head: NodeCluster, credentials: dict[str, str], clean_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token and the credentials, as somebody who submits has them."""
    for name, value in {**credentials, "RAY_AUTH_TOKEN": head.token}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def write_sweep(place: str, s3_server: S3Server, tmp_path: Path) -> Callable[..., None]:
    """Write table.csv and sweep.yaml into the test's folder."""

    def write(**search: Any) -> None:
        clean_table(ROWS, seed=3).to_csv(tmp_path / "table.csv", index=False)
        space = quick_space(["xgboost"])
        export = {"s3": {"endpoint_url": s3_server.endpoint_url, "addressing_style": "path"}, "top": 1}
        keys = sweep_keys(
            place,
            source="table.csv",
            name="nightly",
            search={"space": space, **search},
            split={"folds": 1},
            export=export,
        )
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(keys))

    return write


SMALL = {"deterministic": True, "trials": 4, "algorithm": "random"}
ENDLESS = {"trials": 100_000, "algorithm": "random"}


def test_a_submitted_sweep_is_the_local_one(
    command, write_sweep, head: NodeCluster, place: str, s3_config: S3Config, ray_session: None
) -> None:
    write_sweep(**SMALL)
    there = ("--address", head.dashboard())
    submitted = command("submit", "sweep.yaml", *there, "--upload-data", "--json")
    assert submitted.code in {0, 7}, submitted.err
    result = json.loads(submitted.out)
    here = ["export.to=local", "export.s3={}"]
    local = raysweep.run_sweep("sweep.yaml", overrides=here).to_document()

    assert result["bundle_url"] == f"{place}/nightly"
    for name in ("best", "split", "verdict", "validation", "search"):
        assert result[name] == local[name], name
    assert "search: best roc_auc" in submitted.err
    assert head.token not in submitted.err
    assert raysweep.verify(result["bundle_url"], s3=s3_config).ok

    again = command("submit", "sweep.yaml", *there, "--upload-data", "--json")
    assert again.code == 2, "what the job ends with is what the command ends with"
    error = json.loads(again.out)["error"]
    assert (error["kind"], error["exit_code"]) == ("RequestInvalid", 2)
    assert "is published already" in error["message"]
    assert "table.csv is in the store already" in again.err

    status = command("status", "nightly")  # where it was submitted is remembered
    assert "done, exit code" in status.out
    assert f"{place}/nightly" in status.out
    assert "4 of 4 done" in status.out
    listed = json.loads(command("status", *there, "--json").out)
    assert [one["run_id"] for one in listed["runs"]] == ["nightly"]
    logs = command("logs", "nightly").out
    assert "search: best roc_auc" in logs
    assert '{"event"' not in logs
    assert '{"event": "SweepEnded"' in command("logs", "nightly", "--raw").out
    for secret in (head.token, *map(str, head.head.environment.values())):
        if len(secret) >= 32 and "/" not in secret:
            assert secret not in json.dumps(listed)

    from_there = ("--resume", f"{place}/nightly", "--s3-endpoint", s3_config.endpoint_url)
    more = ("submit", *from_there, *there, "--set", "search.trials=6", "--run", "nightly-more")
    wider = command(*more, "--json")
    assert wider.code in {0, 7}, wider.err
    assert "the run nightly-more starts from what nightly has tried" in wider.err
    longer = raysweep.show(f"{place}/nightly-more", s3=s3_config)
    assert len(longer.trials) == 6
    (parent,) = longer.manifest["lineage"]
    assert parent.startswith("nightly@sha256:")
    assert "is published already" in command(*more).err


def has_trials(run: raysweep.SubmittedRun) -> bool:
    search = run.status().state.search
    return search is not None and search.best is not None


def test_doctor_looks_through_the_dashboard_and_leaves_no_job(
    command, write_sweep, head: NodeCluster, s3_server: S3Server
) -> None:
    write_sweep(**SMALL)
    there = ("--address", head.dashboard())
    jobs = len(JobsApi(head.dashboard()).jobs())
    found = json.loads(command("doctor", "sweep.yaml", *there, "--json").out)
    rows = {(one["area"], one["what"]): one for one in found["diagnoses"]}
    assert found["exit_code"] == 0
    assert rows["cluster", head.dashboard()]["said"].endswith("answers, and takes jobs")
    assert rows["request", "addresses"]["state"] == "lacking"
    assert "--upload-data" in rows["request", "addresses"]["said"]
    (data,) = [one for one in rows.values() if one["area"] == "data"]
    assert data["state"] == "ok", "the node that looks sees this machine's files"
    assert rows["store", "put if absent"]["state"] == "ok"
    port = head.address.rpartition(":")[2]
    assert any(area == "ray" and what.endswith(f":{port}") for area, what in rows)
    assert "raysweep " in rows["nodes", "versions"]["said"]
    assert rows["nodes", "store"]["said"].startswith("reached from ")
    assert len(JobsApi(head.dashboard()).jobs()) == jobs

    silent = command("doctor", "--address", "http://127.0.0.1:9")
    assert silent.code == 5
    assert "✗ cluster    http://127.0.0.1:9: " in silent.out


def test_a_running_sweep_is_attached_to_stopped_and_gone_on_with(
    command, write_sweep, head: NodeCluster, place: str, s3_config: S3Config
) -> None:
    write_sweep(**ENDLESS)
    line = ("submit", "sweep.yaml", "--address", head.dashboard(), "--upload-data", "--run", "endless")
    begun = json.loads(command(*line, "--detach", "--json").out)
    assert begun["submission_id"] == "endless-1"
    run = raysweep.attach("endless")
    wait_until(lambda: has_trials(run), "the first trials")

    attached = command(*line, "--detach")
    assert "is running already: this is job endless-1" in attached.err
    other = command(*line, "--set", "search.seed=1")
    assert other.code == 2
    assert "with another sweep" in other.err

    halted = command("stop", "endless", "--now")
    assert halted.code == 0, halted.err
    assert "has stopped: stopped by the user" in halted.out
    assert run.status().job.state.is_over

    more = {"resume": f"{place}/endless", "s3": s3_config, "address": head.dashboard()}
    resumed = raysweep.submit(**more, overrides=["search.trials=90000"])
    assert resumed.submission_id == "endless-2"
    there = f"{place}/endless --s3-endpoint {s3_config.endpoint_url} --address {head.dashboard()}"
    assert resumed.again() == f"raysweep submit --resume {there}"
    wait_until(lambda: has_trials(resumed), "trials of the second driver")
    known = resumed.status().state.search
    assert known is not None
    assert len(known.plan.known) > 0
    assert known.plan.trials == 90_000
    assert raysweep.submit(**more).submission_id == "endless-2"
    assert raysweep.attach("endless").again() == resumed.again()

    finished = command("stop", "endless")
    assert finished.code in {0, 7}, finished.err
    assert f"bundle  {place}/endless" in finished.out
    assert command("stop", "endless").err.startswith("the run endless was over already")


@pytest.mark.parametrize(("token", "words"), [(None, "wants a token"), ("0" * 32, "refuses the token")])
def test_a_cluster_that_wants_a_token_says_so(
    command, write_sweep, head: NodeCluster, monkeypatch: pytest.MonkeyPatch, token: str | None, words: str
) -> None:
    write_sweep(**SMALL)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    if token is not None:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)

    refused = command("submit", "sweep.yaml", "--address", head.dashboard(), "--upload-data", "--run", "other")

    assert refused.code == 5
    assert words in refused.err
    assert "RAY_AUTH_TOKEN" in refused.err
    assert token is None or token not in refused.err
