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

HOME_VARIABLE: Final = "RAYSWEEP_HOME"
_RUN_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run works on this machine.

    Attributes:
        path: of the folder.
        outgoing: files of the bundle.
    """

    path: Path

    @property
    def outgoing(self) -> Path:
        """Where the files of the bundle are written before they are published."""
        return self.path / "outgoing"

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


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
        path.mkdir(mode=0o700)
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
