"""The driver's private folder: private, claimed once, cleared after the dead."""

import stat
import subprocess
import sys

import pytest

from raysweep.config import S3Config
from raysweep.errors import RequestInvalid, StorageFailed
from raysweep.runtime.run_folder import check_run_id, make_run_folder
from raysweep.storage.open_store import open_store
from raysweep.sweep import _claim, _cleared


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return str(process.pid)


def test_it_is_private_and_made_once():
    folder = make_run_folder("one")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    with pytest.raises(RequestInvalid, match="one has a working folder already"):
        make_run_folder("one")
    folder.remove()
    assert not folder.path.exists()


@pytest.mark.parametrize("run_id", ["", "../up", "a/b", ".hidden", "x" * 200, "a b"])
def test_names_that_are_no_folder_everywhere(run_id):
    with pytest.raises(RequestInvalid, match="--run"):
        check_run_id(run_id)


def test_sealed_rows_of_a_killed_run_are_cleared():
    killed, living = make_run_folder("killed"), make_run_folder("living")
    (killed.path / "pid").write_text(dead_process())
    for folder in (killed, living):
        (folder.path / "sealed-x").mkdir()
    make_run_folder("next")
    assert not killed.path.exists()
    assert (living.path / "sealed-x").exists()


def test_trials_of_a_killed_run_are_kept():
    killed = make_run_folder("killed")
    (killed.path / "pid").write_text(dead_process())
    (killed.path / "sealed-x").mkdir()
    (killed.path / "journal").mkdir()
    (killed.path / "journal/trials.jsonl").write_text("{}\n")
    make_run_folder("next")
    assert (killed.path / "journal/trials.jsonl").exists()
    assert not (killed.path / "sealed-x").exists()


def test_a_full_disk_is_a_storage_failure():
    folder = make_run_folder("full")
    with pytest.raises(StorageFailed, match="No space left"), _cleared(folder):
        raise OSError(28, "No space left on device", "model.ubj")
    assert not folder.path.exists()


def test_a_finished_bundle_is_kept_and_named():
    folder = make_run_folder("finished")
    (folder.outgoing / "manifest.json").write_text("{}")
    with pytest.raises(StorageFailed, match=str(folder.outgoing)), _cleared(folder):
        raise StorageFailed("the bucket is gone")
    assert folder.outgoing.exists()


def test_a_place_belongs_to_one_run(tmp_path):
    store = open_store(str(tmp_path / "runs"), S3Config()).child("same")
    _claim(store, "same")
    with pytest.raises(RequestInvalid, match="belongs to a run that is going on or did not finish"):
        _claim(store, "same")
