"""The driver's private folder of a run (mode 0700): sealed rows and files on their way out; gone once published."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from raysweep.errors import RequestInvalid, StorageFailed
from raysweep.records.manifest import JOURNAL_FOLDER, MANIFEST_FILE

HOME_VARIABLE: Final = "RAYSWEEP_HOME"
# What could not be put: records of trials, a finished bundle, and one that an earlier driver of the run left here.
KEPT_FILES: Final = (f"{JOURNAL_FOLDER}**/*.jsonl", f"outgoing/{MANIFEST_FILE}", f"outgoing-before/{MANIFEST_FILE}")
_PID_FILE: Final = "pid"
_RUN_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run works on this machine."""

    path: Path

    @property
    def outgoing(self) -> Path:
        """Where the files of the bundle are written before they are published."""
        return self.path / "outgoing"

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def remove_what_is_private(self) -> bool:
        """Delete sealed rows, and the whole folder where it holds nothing that would be lost.

        Returns:
            Whether something is kept: trials of a search, or a whole bundle that could not be put.
        """
        for sealed in self.path.glob("sealed-*"):
            shutil.rmtree(sealed, ignore_errors=True)
        if any(any(self.path.glob(kept)) for kept in KEPT_FILES):
            (self.path / _PID_FILE).unlink(missing_ok=True)  # nobody works here any more
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

    Where a driver of the same run is alive on this machine, the folder gets another name: which of the two goes on
    is decided in the run's journal, and neither may delete the other's rows.

    Raises:
        StorageFailed: it cannot be created.
    """
    home = Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".raysweep")
    path = home / "runs" / run_id
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear_after_the_dead(path.parent)
        if path.exists() and not _take_over(path):
            path = path.with_name(f"{run_id}~{secrets.token_hex(4)}")
        path.mkdir(mode=0o700, exist_ok=True)
        (path / _PID_FILE).write_text(f"{os.getpid()} {os.uname().nodename}")
        folder = RunFolder(path)
        folder.outgoing.mkdir(mode=0o700)
    except OSError as error:
        raise StorageFailed(f"the working folder {path} cannot be created: {error.strerror}") from error
    return folder


def _take_over(path: Path) -> bool:
    """Clear the folder of a driver that is dead or on another machine, but for what may be the only copy."""
    pid, host = _driver_of(path / _PID_FILE)
    if host == os.uname().nodename and _is_alive(pid):
        return False
    RunFolder(path).remove_what_is_private()
    outgoing, before = path / "outgoing", path / "outgoing-before"
    if (outgoing / MANIFEST_FILE).exists():
        shutil.rmtree(before, ignore_errors=True)
        outgoing.rename(before)
    shutil.rmtree(outgoing, ignore_errors=True)
    return True


def _clear_after_the_dead(runs: Path) -> None:
    """Delete the sealed rows of runs that were killed, and their folders where nothing of worth is in them."""
    for file in runs.glob(f"*/{_PID_FILE}"):
        pid, host = _driver_of(file)
        if pid and host == os.uname().nodename and not _is_alive(pid):
            RunFolder(file.parent).remove_what_is_private()


def _driver_of(file: Path) -> tuple[int, str]:
    """Process and host of the driver that works in a folder; 0 for none, or one that is just beginning."""
    try:
        pid, host = file.read_text().split()
        return int(pid), host
    except (OSError, ValueError):
        return 0, ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
