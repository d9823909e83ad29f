"""One process or thread at a time: a lock on a file that ends with its holder, whatever ends it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from raysweep.storage.store import ConditionalWritesMissing

_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock on `file`, which is made for it and deleted after; others wait until then.

    Raises:
        ConditionalWritesMissing: this file system knows no locks.
        OSError: the file cannot be made.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _wait_for_lock(descriptor, file)
            if _is_still_there(descriptor, file):
                try:
                    yield
                finally:
                    with suppress(OSError):
                        file.unlink()  # before the lock ends: who waits for it sees that the file is gone
                return
        finally:
            os.close(descriptor)


def _wait_for_lock(descriptor: int, file: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise ConditionalWritesMissing(
            f"{file.parent}: this file system knows no locks, so that nothing in it can be replaced safely while "
            "others may do the same: use a folder on another disk, or an S3-compatible server with conditional writes"
        ) from error


def _is_still_there(descriptor: int, file: Path) -> bool:
    """Whether the one who held it before has not deleted the file meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False
