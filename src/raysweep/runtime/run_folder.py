"""The driver's private folder of a run (mode 0700): sealed rows and files on their way out; gone once published."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from raysweep.errors import RequestInvalid, StorageFailed
from raysweep.records.manifest import JOURNAL_FOLDER, MANIFEST_FILE
from raysweep.runtime.folder_lock import FolderLock, lock_folder, lock_left_folder
from raysweep.runtime.run_note import read_note, write_note

HOME_VARIABLE: Final = "RAYSWEEP_HOME"
# What could not be put: records of trials, a finished bundle, and one that an earlier driver of the run left here.
KEPT_FILES: Final = (f"{JOURNAL_FOLDER}**/*.jsonl", f"outgoing/{MANIFEST_FILE}", f"outgoing-before/{MANIFEST_FILE}")
_PID_FILE: Final = "pid"
_BEFORE: Final = "outgoing-before"
_RUN_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run works on this machine; `lock` holds it for its driver."""

    path: Path
    lock: FolderLock = field(repr=False)

    @property
    def outgoing(self) -> Path:
        """Where the files of the bundle are written before they are published."""
        return self.path / "outgoing"

    def take_back(self) -> None:
        """Put the whole bundle that a driver has set aside, as it began, back to where it is published from."""
        if (self.path / _BEFORE / MANIFEST_FILE).exists():
            shutil.rmtree(self.outgoing, ignore_errors=True)
            (self.path / _BEFORE).rename(self.outgoing)

    def remove(self) -> None:
        """Delete it with all that is in it; where that was done before, nothing."""
        if not self.lock.is_held:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self.lock.release()
        with suppress(OSError):
            self.path.rmdir()  # NFS keeps a file that is open, and so its folder

    def remove_what_is_fenced_off(self) -> None:
        """Delete all but the records of trials: the driver that has taken the run over may not have them all."""
        shutil.rmtree(self.outgoing, ignore_errors=True)
        shutil.rmtree(self.path / _BEFORE, ignore_errors=True)
        self.remove_what_is_private()

    def remove_what_is_private(self) -> bool:
        """Delete sealed rows, and the whole folder where it holds nothing that would be lost.

        Returns:
            Whether something is kept: trials of a search, or a whole bundle that could not be put.
        """
        if not self.lock.is_held:
            return False
        _remove_sealed(self.path)
        if any(any(self.path.glob(kept)) for kept in KEPT_FILES):
            self.lock.release()
            return True
        self.remove()
        return False


def new_run_id(name: str, now: datetime) -> str:
    """`<name>-<YYYYmmdd-HHMMSS>-<6 hex>`."""
    return f"{name}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def check_run_id(run_id: str) -> None:
    """Refuse a run id that could not be the name of a folder everywhere.

    Raises:
        RequestInvalid: naming it.
    """
    if not _RUN_ID.match(run_id) or ".." in run_id:
        raise RequestInvalid(f"--run {run_id!r}: use letters, digits, dots, dashes and underscores, 128 at most")


def make_run_folder(run_id: str) -> RunFolder:
    """Create the run's folder below `~/.raysweep/runs` (or `$RAYSWEEP_HOME/runs`), or take it over after a crash.

    Where a driver of the same run is alive, or may be on another machine that shares the home, the folder gets another
    name: which of the two goes on is decided in the run's journal, and neither may delete the other's rows.

    Raises:
        StorageFailed: it cannot be created.
    """
    path = runs_folder() / run_id
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear_after_the_dead(path.parent)
        folder = _take(path) or _take(path.with_name(f"{run_id}~{secrets.token_hex(4)}"))
    except OSError as error:
        raise StorageFailed(f"the working folder {path} cannot be created: {error.strerror}") from error
    if folder is None:
        raise StorageFailed(
            f"no working folder below {path.parent} can be locked: name a folder on another disk by {HOME_VARIABLE}"
        )
    return folder


def runs_folder() -> Path:
    """Where the folders of all runs of this user are; it may not be there yet."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".raysweep") / "runs"


def take_left(path: Path) -> RunFolder | None:
    """The folder as its driver left it; None where one works in it, or may do so on another machine."""
    with suppress(OSError):  # it has just been deleted
        lock = lock_left_folder(path / _PID_FILE)
        return None if lock is None else RunFolder(path, lock)
    return None


def _take(path: Path) -> RunFolder | None:
    """The folder, made or taken over but for what may be the only copy; None where somebody may work in it."""
    path.mkdir(mode=0o700, exist_ok=True)
    lock = lock_folder(path / _PID_FILE)
    if lock is None:
        return None
    folder, before = RunFolder(path, lock), path / _BEFORE
    _remove_sealed(path)
    if (folder.outgoing / MANIFEST_FILE).exists():
        shutil.rmtree(before, ignore_errors=True)
        folder.outgoing.rename(before)
        if (note := read_note(path)) is not None:
            write_note(path, replace(note, counts_before=True))
    shutil.rmtree(folder.outgoing, ignore_errors=True)
    folder.outgoing.mkdir(mode=0o700)
    return folder


def _remove_sealed(path: Path) -> None:
    for sealed in path.glob("sealed-*"):
        shutil.rmtree(sealed, ignore_errors=True)


def _clear_after_the_dead(runs: Path) -> None:
    """Delete the sealed rows of runs that were killed, and their folders where nothing of worth is in them."""
    for file in runs.glob(f"*/{_PID_FILE}"):
        with suppress(OSError):  # its driver has just deleted it
            lock = lock_left_folder(file)
            if lock is not None:
                RunFolder(file.parent, lock).remove_what_is_private()
