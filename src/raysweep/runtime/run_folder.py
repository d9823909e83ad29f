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
KEPT_FILES: Final = (f"{JOURNAL_FOLDER}trials.jsonl", f"outgoing/{MANIFEST_FILE}")
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
        if any((self.path / kept).exists() for kept in KEPT_FILES):
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
    """Create the run's folder below `~/.raysweep/runs` (or `$RAYSWEEP_HOME/runs`).

    Raises:
        RequestInvalid: a run of that id works here right now, or left its files.
        StorageFailed: it cannot be created.
    """
    home = Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".raysweep")
    path = home / "runs" / run_id
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear_after_the_dead(path.parent)
        path.mkdir(mode=0o700)
        (path / _PID_FILE).write_text(str(os.getpid()))
        folder = RunFolder(path)
        folder.outgoing.mkdir(mode=0o700)
    except FileExistsError as error:
        raise RequestInvalid(
            f"the run {run_id} has a working folder already ({path}): it runs, or was killed. Choose another id, "
            "or delete that folder"
        ) from error
    except OSError as error:
        raise StorageFailed(f"the working folder {path} cannot be created: {error.strerror}") from error
    return folder


def _clear_after_the_dead(runs: Path) -> None:
    """Delete the sealed rows of runs that were killed, and their folders where nothing of worth is in them."""
    for file in runs.glob(f"*/{_PID_FILE}"):
        try:
            os.kill(int(file.read_text()), 0)
        except ProcessLookupError:
            RunFolder(file.parent).remove_what_is_private()
        except (OSError, ValueError):
            continue  # alive and somebody else's, or just being made
