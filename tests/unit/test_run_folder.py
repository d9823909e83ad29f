"""The driver's private folder: private, one for each driver, taken over from the dead."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from unittest import mock

import pytest

from raysweep.aftermath import cleared
from raysweep.errors import RequestInvalid, RunTakenOver, StorageFailed
from raysweep.runtime.folder_lock import lock_folder
from raysweep.runtime.run_folder import check_run_id, make_run_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))


KILLED = """
import os, signal
from raysweep.runtime.folder_lock import lock_folder
from raysweep.runtime.run_folder import make_run_folder
folder = make_run_folder("one")
(folder.path / "sealed-x").mkdir()
(folder.path / "journal/place").mkdir(parents=True)
(folder.path / "journal/place/000001.jsonl").write_text("{}\\n")
print(folder.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_as_killed(folder, *, pid=None, host=None):
    """What a driver leaves that was killed in its search, with an export to a far store."""
    folder.lock.release()
    (folder.path / "pid").write_text(f"{pid or os.getpid()} {host or os.uname().nodename}")
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


def test_after_a_crash_it_is_taken_over():
    """Also by a process of the same number, as in a container that is started again."""
    killed = make_run_folder("one")
    leave_as_killed(killed, pid=os.getpid())
    (killed.outgoing / "model.ubj").write_text("half")
    again = make_run_folder("one")
    assert again.path == killed.path
    assert not (again.path / "sealed-x").exists()
    assert (again.path / "journal/place/000001.jsonl").exists()
    assert list(again.outgoing.iterdir()) == []
    assert (again.path / "pid").read_text() == f"{os.getpid()} {os.uname().nodename}"


def test_a_driver_that_is_killed_holds_it_no_more():
    process = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    assert process.returncode == -signal.SIGKILL
    again = make_run_folder("one")
    assert str(again.path) == process.stdout.strip()
    assert not (again.path / "sealed-x").exists()


def test_the_folder_of_a_driver_on_another_machine_is_left_to_it():
    """Where both have the same home."""
    other = make_run_folder("one")
    leave_as_killed(other, host="another-machine")
    mine = make_run_folder("one")
    assert mine.path != other.path
    assert (other.path / "sealed-x").exists()
    assert (other.path / "pid").read_text().endswith("another-machine")


def test_without_locks_only_a_folder_that_nobody_has_is_taken(monkeypatch):
    monkeypatch.setattr(fcntl, "flock", mock.Mock(side_effect=OSError(errno.ENOLCK, "no locks")))
    folder = make_run_folder("one")
    assert make_run_folder("one").path != folder.path
    (folder.outgoing / "manifest.json").write_text("{}")
    assert folder.remove_what_is_private()
    assert make_run_folder("one").path == folder.path


def test_a_home_that_can_be_locked_nowhere_is_named(monkeypatch):
    monkeypatch.setattr("raysweep.runtime.run_folder.lock_folder", lambda _: None)
    with pytest.raises(StorageFailed, match=r"home/runs can be locked: .* by RAYSWEEP_HOME"):
        make_run_folder("one")


def test_a_folder_that_was_deleted_while_it_was_waited_for_is_not_taken(monkeypatch):
    folder, flock = make_run_folder("one"), fcntl.flock

    def delete_first(descriptor, how):
        folder.remove()
        flock(descriptor, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", delete_first)
        assert lock_folder(folder.path / "pid") is None


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
    killed.lock.release()
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


def test_trials_that_could_not_be_put_are_kept_and_named_once():
    folder = make_run_folder("away")
    (folder.path / "journal/place").mkdir(parents=True)
    (folder.path / "journal/place/000001.jsonl").write_text("{}\n")
    with pytest.raises(StorageFailed) as failed, cleared(folder):
        raise StorageFailed("the bucket is away")
    kept = f"What could not be put is kept in {folder.path}/journal, where a resume on this machine finds it"
    assert str(failed.value) == f"the bucket is away. {kept}"


def test_a_driver_that_was_fenced_off_leaves_nothing_but_what_may_be_nowhere_else():
    folder = make_run_folder("fenced")
    for name in ("sealed-x", "journal/place"):
        (folder.path / name).mkdir(parents=True)
    (folder.path / "journal/place/000001.jsonl").write_text("{}\n")
    (folder.outgoing / "manifest.json").write_text("{}")
    with pytest.raises(RunTakenOver, match="taken over"), cleared(folder):
        raise RunTakenOver("taken over")
    assert sorted(path.name for path in folder.path.rglob("*") if path.is_file()) == ["000001.jsonl", "pid"]
    (folder.path / "journal/place/000001.jsonl").unlink()  # as the other driver does, once it has put it
    make_run_folder("next")
    assert not folder.path.exists()


def test_what_was_removed_once_may_be_somebody_elses(home):
    first = make_run_folder("again")
    first.remove()
    second = make_run_folder("again")
    assert second.path == first.path
    (second.path / "sealed-rows").mkdir()
    first.remove()
    assert first.remove_what_is_private() is False
    assert (second.path / "sealed-rows").exists()
    second.remove()
    assert not second.path.exists()
