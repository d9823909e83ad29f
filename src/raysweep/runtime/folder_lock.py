"""Who works in a folder: a lock that ends with its process, whatever ends it, and the machine that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

_NOBODY: Final = "nobody"


class FolderLock:
    """A file that its holder keeps locked; made by `lock_folder`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        _write(descriptor, f"{os.getpid()} {os.uname().nodename}")

    @property
    def is_held(self) -> bool:
        """Whether this process still holds it: from `release` on, the folder may be somebody else's."""
        return self._descriptor is not None

    def release(self) -> None:
        """Let others have it; a second time does nothing."""
        if self._descriptor is not None:
            _write(self._descriptor, f"0 {_NOBODY}")
            os.close(self._descriptor)
            self._descriptor = None


def lock_folder(file: Path) -> FolderLock | None:
    """Lock a folder by this file in it; None where a driver works there, or may do so on another machine.

    A home on a network is shared by machines that may not see one another's locks: what another one has locked is
    left to it.
    """
    return _lock(file, os.O_CREAT)


def lock_left_folder(file: Path) -> FolderLock | None:
    """Lock the folder of a driver that is done with it, or has died on this machine; None for any other.

    Raises:
        OSError: it is not there any more.
    """
    with file.open() as stream:
        is_beginning = stream.read() == ""
    return None if is_beginning else _lock(file, 0)


def _lock(file: Path, flags: int) -> FolderLock | None:
    descriptor = os.open(file, os.O_RDWR | flags, 0o600)
    if _is_free(descriptor, file):
        return FolderLock(descriptor)
    os.close(descriptor)
    return None


def _is_free(descriptor: int, file: Path) -> bool:
    """Whether nobody holds it; this process does from then on."""
    here = os.uname().nodename
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this file system knows no locks
        return _host(descriptor) in {"", _NOBODY}
    try:
        is_there = os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:  # its folder was deleted just now
        return False
    return is_there and _host(descriptor) in {"", _NOBODY, here}


def _host(descriptor: int) -> str:
    """The machine of the driver; empty where one is just beginning."""
    return os.pread(descriptor, 1_000, 0).decode(errors="replace").partition(" ")[2]


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
