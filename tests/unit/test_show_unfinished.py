"""What is shown of a run that has not finished, or has been killed: from its journal alone."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import raysweep
from raysweep.cli.main import main
from raysweep.config import S3Config, load_config
from raysweep.errors import BundleRefused
from raysweep.history import sweep_record
from raysweep.storage.epochs import Owner, owner_key
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import RunJournal, begin_epoch

RUN = "nightly"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return open_store(str(tmp_path / "runs"), S3Config()).child(RUN)


def begin(store, epoch, opening=()) -> RunJournal:
    at = datetime.fromtimestamp(time.time() - 3 * 3_600, UTC).isoformat(timespec="seconds")
    owner = Owner(RUN, epoch, f"node-{epoch}", 100 + epoch, at, f"nonce{epoch}")
    return begin_epoch(store, owner, Path("work"), opening)[0]


def proposed(number):
    return {"event": "proposed", "candidate": {"number": number, "family": "ridge", "origin": "random", "params": {}}}


def started(number):
    return {"event": "started", "candidate": number, "attempt": 1}


def ended(number, at, state="complete", reason="ran to its end"):
    return {"event": "ended", "candidate": number, "state": state, "reason": reason, "at": at}


def leave_as_killed(store):
    """Two drivers: the second one has died, or runs a long trial."""
    sweep = load_config({"version": 1, "data": {"source": "memory:", "target": "late"}, "search": {"trials": 40}})
    at = time.time() - 600
    search = {"event": "search", "metric": "rmse", "part": "testing", "at": at}
    with begin(store, 1, [sweep_record(RUN, sweep)]) as journal:
        for record in (search, proposed(0), proposed(1), proposed(2), started(0), started(1), ended(0, at)):
            journal.append(record)
    with begin(store, 2) as journal:
        failed = ended(2, at, "failed", "ValueError: the fit gave NaN")
        again = {**proposed(4), "event": "answered", "by": 0}
        for record in (search, started(2), failed, again, proposed(3), started(3)):
            journal.append(record)
    return at


def show(capsys, *more):
    with pytest.raises(SystemExit) as left:
        main(["show", RUN, *more])
    return left.value.code, capsys.readouterr().out


def test_who_works_on_it_and_how_far_it_is(store, capsys):
    at = leave_as_killed(store)
    code, out = show(capsys)
    assert code == 0
    assert "(not finished)" in out
    assert "driver  process 102 on node-2 at 20" in out
    assert f"last heard of {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC, 10 minutes ago" in out
    assert "2 of 40 trials have ended" in out
    assert "1 failed: ValueError: the fit gave NaN" in out


def test_the_same_for_programs(store, capsys):
    at = leave_as_killed(store)
    _, out = show(capsys, "--json")
    progress = json.loads(out)["progress"]
    assert progress["driver"]["host"] == "node-2"
    assert progress["driver"]["pid"] == 102
    assert datetime.fromisoformat(progress["last_heard"]).timestamp() == pytest.approx(at, abs=2)
    assert (progress["trials_ended"], progress["trials_asked"]) == (2, 40)


def test_what_ran_when_a_driver_died_waits_for_the_next(store):
    leave_as_killed(store)
    states = {trial["trial"]: trial["state"] for trial in raysweep.show(RUN).trials}
    assert states == {0: "complete", 1: "waiting", 2: "failed", 3: "running"}


def test_before_the_search_the_claim_is_what_was_last_heard(store, capsys):
    begin(store, 1, [{"event": "split"}]).close()
    _, out = show(capsys)
    assert "3 hours ago" in out
    assert "no trial was started" in out
    store.put(owner_key(1), b"{torn")
    assert "driver  unknown" in show(capsys)[1]


def test_a_torn_manifest_is_refused(store):
    store.put("manifest.json", b'{"schema_version": 1, ')
    with pytest.raises(BundleRefused, match=r"manifest\.json cannot be read"):
        raysweep.show(RUN)
