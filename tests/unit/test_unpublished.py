"""A finished bundle that was left on this machine: it is found by address and id, put once, and never over another."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.config import S3Config, load_config
from raysweep.errors import RequestInvalid, StorageFailed
from raysweep.run_place import begin, reserve
from raysweep.runtime.run_folder import make_run_folder, runs_folder
from raysweep.stages.export.publish import publish
from raysweep.storage.epochs import this_driver
from raysweep.storage.local import LocalStore
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import begin_epoch, read_run_journal
from raysweep.unpublished import publish_left

RUN = "nightly"
FILES = {"report.html": b"report", "model/model.ubj": b"model", "manifest.json": b'{"run_id":"nightly"}'}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def finish(folder: Path) -> None:
    """Write a whole bundle."""
    lines = []
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))


def leave(to: str = "runs", run_id: str = RUN):
    """A driver that has finished its bundle, and could not publish it."""
    config = load_config(
        {"version": 1, "data": {"source": "memory:", "target": "late"}, "export": {"to": os.path.abspath(to)}}  # noqa: PTH100
    )
    folder = make_run_folder(run_id)
    journal, _ = begin(reserve(config, run_id, None), config, folder, lambda _: None)
    journal.append({"event": "proposed", "number": 0})
    journal.close()
    finish(folder.outgoing)
    assert folder.remove_what_is_private()
    return open_store(to, S3Config()).child(run_id), folder


def check_published(store) -> None:
    assert {name: store.get(name) for name in FILES} == FILES
    assert list(runs_folder().iterdir()) == []


@pytest.mark.parametrize("run", [RUN, f"runs/{RUN}", f"./runs/{RUN}/"])
def test_it_is_put_as_it_is(run):
    store, _ = leave()
    said = []
    assert publish_left(run, None, said.append).address() == store.address()
    check_published(store)
    assert [one["event"] for one in read_run_journal(store)] == ["sweep", "proposed", "resumed", "publishing"]
    assert "nothing is computed again" in said[0].message
    assert publish_left(run, None, said.append) is None


def test_by_an_id_that_no_folder_here_has(tmp_path):
    store, _ = leave(to=str(tmp_path / "elsewhere"))
    assert publish_left(RUN, None, lambda _: None).address() == store.address()
    check_published(store)


def test_an_id_of_two_places_has_to_be_said_closer(tmp_path):
    leave(to=str(tmp_path / "a"))
    first = runs_folder() / RUN
    first.rename(runs_folder() / f"{RUN}~1")
    leave(to=str(tmp_path / "b"))
    with pytest.raises(RequestInvalid, match=r"nightly is the id of runs in \S+/a/nightly and in \S+/b/nightly"):
        publish_left(RUN, None, lambda _: None)
    assert publish_left(tmp_path / "a" / RUN, None, lambda _: None) is not None


def test_another_run_is_not_meant(tmp_path):
    leave()
    assert publish_left("other", None, lambda _: None) is None
    (tmp_path / "nightly").mkdir()
    assert publish_left("nightly", None, lambda _: None) is not None, "runs/nightly is found before"


@pytest.mark.parametrize("damage", ["manifest.json", "model/model.ubj", "SHA256SUMS"])
def test_a_bundle_that_is_not_whole_is_none(damage):
    store, folder = leave()
    (folder.outgoing / damage).write_bytes(b"torn")
    assert publish_left(RUN, None, lambda _: None) is None
    assert not store.exists("manifest.json")


def test_a_driver_that_began_and_got_nowhere_changes_nothing():
    """As `raysweep run` does where the data are gone."""
    store, _ = leave()
    for _ in range(2):
        make_run_folder(RUN).remove_what_is_private()
    assert publish_left(RUN, None, lambda _: None) is not None
    check_published(store)


def test_what_a_driver_has_set_aside_that_then_claimed_the_run_counts_no_more():
    """The run may hold more by now."""
    store, folder = leave()
    config = load_config({"version": 1, "data": {"source": "memory:", "target": "late"}, "export": {"to": "runs"}})
    again = make_run_folder(RUN)
    journal, _ = begin(reserve(config, RUN, None), config, again, lambda _: None)
    journal.close()
    again.remove_what_is_private()
    assert publish_left(RUN, None, lambda _: None) is None
    assert not store.exists("manifest.json")
    assert (folder.path / "outgoing-before/manifest.json").exists()


def test_where_another_driver_has_gone_on_it_is_not_put():
    store, folder = leave()
    begin_epoch(store, this_driver(RUN, 2), folder.path.with_name("other"))[0].close()
    said = []
    assert publish_left(RUN, None, said.append) is None
    assert "another driver has gone on" in said[0].message
    assert not store.exists("manifest.json")
    assert not folder.outgoing.exists()


def test_over_what_another_driver_has_published_it_is_not_put():
    store, _ = leave()
    store.put("manifest.json", b"{}")
    assert publish_left(RUN, None, lambda _: None) is None
    assert store.get("manifest.json") == b"{}"


def test_a_driver_that_did_not_live_to_hear_that_it_was_published():
    store, folder = leave()
    publish(folder.outgoing, store)
    assert publish_left(RUN, None, lambda _: None) is not None
    check_published(store)


def test_a_place_that_is_still_away_keeps_it_and_says_how_to_go_on(monkeypatch):
    store, folder = leave()

    def refuse(*_: object, **__: object) -> bool:
        raise StorageFailed("the bucket is away")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put_if_absent", refuse)
        with pytest.raises(
            StorageFailed, match=rf"away. The finished bundle stays in {folder.outgoing}: `raysweep resume"
        ):
            publish_left(RUN, None, lambda _: None)
    assert publish_left(RUN, None, lambda _: None) is not None
    check_published(store)


def test_a_secret_that_has_come_to_light_since_is_not_published(monkeypatch):
    store, folder = leave()
    monkeypatch.setenv("SERVICE_PASSWORD", '{"run_id":"nightly"}')
    with pytest.raises(Exception, match=r"SERVICE_PASSWORD stands in manifest\.json"):
        publish_left(RUN, None, lambda _: None)
    assert not store.exists("manifest.json")
    assert folder.outgoing.exists()


KILLED = """
import os, signal, sys
from raysweep.storage.local import LocalStore
from raysweep.unpublished import publish_left
put_if_absent = LocalStore.put_if_absent
def die(store, key, source, *, writer=None):
    if key == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return put_if_absent(store, key, source, writer=writer)
LocalStore.put_if_absent = die
publish_left("nightly", None, lambda _: None)
"""


@pytest.mark.parametrize("key", ["journal/owner-000002.json", "report.html", "manifest.json"])
def test_a_driver_that_is_killed_while_it_publishes(key):
    """Also while it claims the run: the next one has to know that it was this one."""
    store, _ = leave()
    assert subprocess.run([sys.executable, "-c", KILLED, key], check=False).returncode == -signal.SIGKILL
    assert not store.exists("manifest.json")
    assert publish_left(RUN, None, lambda _: None) is not None
    check_published(store)
