"""A folder for binned rows on this machine's disk; what processes that were killed have left of theirs is deleted."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "raysweep-bins-"
_LOCK: Final = "lock"  # held for as long as the folder is in use


@contextmanager
def bins_folder() -> Iterator[Path]:
    """A private folder, gone at the end; where its process is killed, the next one on this machine deletes it."""
    for one in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # of another user, or gone meanwhile
            _delete_if_left(one)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / f"{_LOCK}-").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / f"{_LOCK}-").rename(folder / _LOCK)  # now it is seen, and held already
            yield folder


def _delete_if_left(folder: Path) -> None:
    if folder.lstat().st_uid != os.geteuid():
        return
    lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
