"""The driver's private folder: private, one for each driver, taken over from the dead."""

import os
import stat
import subprocess
import sys

import pytest

from raysweep.errors import RequestInvalid, RunTakenOver, StorageFailed
from raysweep.run_place import cleared
from raysweep.runtime.run_folder import check_run_id, make_run_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))


def dead_process(host=None):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{process.pid} {host or os.uname().nodename}"


def leave_as_killed(folder, *, by=None):
    """What a driver leaves that was killed in its search, with an export to a far store."""
    (folder.path / "pid").write_text(by or dead_process())
    (folder.path / "sealed-x").mkdir()
    (folder.path / "journal/place").mkdir(parents=True)
    (folder.path / "journal/place/000001.jsonl").write_text("{}\n")


def test_it_is_private_and_each_driver_has_its_own():
    folder = make_run_folder("one")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    other = make_run_folder("one")
    assert other.path != folder.path
    assert other.path.name.startswith("one~")
    (other.path / "sealed-x").mkdir()
    folder.remove()
    assert not folder.path.exists()
    assert (other.path / "sealed-x").exists()


@pytest.mark.parametrize("host", [None, "another-machine"])
def test_after_a_crash_it_is_taken_over(host):
    killed = make_run_folder("one")
    leave_as_killed(killed, by=dead_process(host))
    (killed.outgoing / "model.ubj").write_text("half")
    again = make_run_folder("one")
    assert again.path == killed.path
    assert not (again.path / "sealed-x").exists()
    assert (again.path / "journal/place/000001.jsonl").exists()
    assert list(again.outgoing.iterdir()) == []
    assert (again.path / "pid").read_text() == f"{os.getpid()} {os.uname().nodename}"


def test_a_finished_bundle_outlives_a_second_driver():
    folder = make_run_folder("one")
    (folder.outgoing / "manifest.json").write_text("{}")
    assert folder.remove_what_is_private()
    again = make_run_folder("one")
    assert again.path == folder.path
    assert again.remove_what_is_private()
    assert [path.name for path in again.path.rglob("manifest.json")] == ["manifest.json"]


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
    leave_as_killed(killed)
    make_run_folder("next")
    assert (killed.path / "journal/place/000001.jsonl").exists()
    assert not (killed.path / "sealed-x").exists()


def test_a_full_disk_is_a_storage_failure():
    folder = make_run_folder("full")
    with pytest.raises(StorageFailed, match="No space left"), cleared(folder):
        raise OSError(28, "No space left on device", "model.ubj")
    assert not folder.path.exists()


def test_a_finished_bundle_is_kept_and_named():
    folder = make_run_folder("finished")
    (folder.outgoing / "manifest.json").write_text("{}")
    with pytest.raises(StorageFailed, match=str(folder.outgoing)), cleared(folder):
        raise StorageFailed("the bucket is gone")
    assert folder.outgoing.exists()


def test_a_driver_that_was_fenced_off_leaves_nothing():
    folder = make_run_folder("fenced")
    leave_as_killed(folder, by=f"{os.getpid()} {os.uname().nodename}")
    with pytest.raises(RunTakenOver, match="taken over"), cleared(folder):
        raise RunTakenOver("taken over")
    assert not folder.path.exists()
