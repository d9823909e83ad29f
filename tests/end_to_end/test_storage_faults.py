"""A sweep whose server fails at a third of all requests, and is gone when it has finished."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import raysweep
from builders import clean_table
from bundle_watch import BundleWatch
from raysweep.config import S3Config
from raysweep.errors import StorageFailed
from raysweep.events import Event, Stage, StageStarted
from raysweep.storage import segments
from raysweep.storage.retry import RetryPolicy
from s3_proxy import Behaviour, Fault, Proxy, run_proxy
from s3_server import S3Server
from sweep_builders import RANDOM_ONE_SLOT, quick_space, sweep_keys

pytestmark = [
    pytest.mark.s3,
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore:the final check found this model:UserWarning"),
]

SEARCH = {**RANDOM_ONE_SLOT, "trials": 3, "space": quick_space(["xgboost"])}
RUN = "through-faults"


@pytest.fixture
def proxy(s3_server: S3Server, s3_bucket: str) -> Iterator[Proxy]:
    with run_proxy(s3_server, Behaviour(timeout_seconds=0.2)) as running:
        yield running


def write_sweep(tmp_path: Path, bucket: str, proxy: Proxy, **s3: Any) -> Path:
    clean_table(450, 11).to_csv(tmp_path / "table.csv", index=False)
    export = {"s3": {"endpoint_url": proxy.url, **s3}}
    keys = sweep_keys(f"s3://{bucket}/runs", source=tmp_path / "table.csv", search=SEARCH, export=export)
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(keys))
    return tmp_path / "sweep.yaml"


def test_a_third_of_all_requests_fails_and_then_every_one(
    tmp_path: Path, s3_server: S3Server, s3_bucket: str, proxy: Proxy, command, monkeypatch: pytest.MonkeyPatch
):
    """The search goes on through it, and then all is kept, and put by resume, without the data, by the id alone."""
    monkeypatch.setattr(segments, "Pace", functools.partial(segments.Pace, give_up_seconds=4.0))
    for module in ("run_place", "sweep", "unpublished"):
        policy = RetryPolicy(2.5, first_wait_seconds=0.05, longest_wait_seconds=0.5)
        monkeypatch.setattr(f"raysweep.{module}.PATIENT", policy)
    sweep, home = write_sweep(tmp_path, s3_bucket, proxy), Path(os.environ["RAYSWEEP_HOME"])
    proxy.behaviour.faults = tuple(Fault)

    def fail_from_then_on(event: Event) -> None:
        if event == StageStarted(Stage.EXPORT):
            proxy.behaviour.share = 1.0

    with BundleWatch(s3_server, s3_bucket) as watch:
        with pytest.raises(StorageFailed, match=r"raysweep resume s3.*finished bundle is kept in") as failed:
            raysweep.run_sweep(sweep, run_id=RUN, listener=fail_from_then_on)
        assert failed.value.exit_code == 6
        assert (home / "runs" / RUN / "outgoing/manifest.json").exists()
        still_away = command("resume", f"s3://{s3_bucket}/runs/{RUN}")
        assert still_away.code == 6
        assert "The finished bundle stays in" in still_away.err
        assert watch.seen == 0
        proxy.behaviour.share = 0.0
        (tmp_path / "table.csv").unlink()
        ran = command("resume", RUN, "--json")
        watch.look()
    assert ran.code in {0, 7}, ran.err
    assert json.loads(ran.out)["bundle_url"] == f"s3://{s3_bucket}/runs/{RUN}"
    assert "nothing is computed again" in ran.err
    assert "search: " not in ran.err
    assert watch.problems == []
    assert watch.seen > 0
    settings = S3Config(endpoint_url=s3_server.endpoint_url)
    assert raysweep.verify(f"s3://{s3_bucket}/runs/{RUN}", s3=settings).problems == ()
