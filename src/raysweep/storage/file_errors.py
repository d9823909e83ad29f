"""What an error of the file system means, and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from raysweep.errors import NotFound, StorageFailed
from raysweep.storage.store import TransientStorageFailure

# Network file systems give these while a server restarts or fails over.
_TRANSIENT_ERRORS: Final = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT}
MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)

_WAYS_OUT: Final = {
    errno.ENOSPC: "the disk is full; free some space or name another folder",
    errno.EDQUOT: "your disk quota is used up; free some space or name another folder",
    errno.EROFS: "the file system is read-only; name another folder",
    errno.EACCES: "permission denied; let this user read and write there, or name another folder",
    errno.EPERM: "not permitted; let this user read and write there, or name another folder",
    errno.ENOTDIR: "a part of this path is a file, not a folder; move that file away or name another folder",
    errno.EEXIST: "a part of this path is a file, not a folder; move that file away or name another folder",
    errno.EISDIR: "there is a folder where a file has to be; move it away or name another folder",
    errno.ENOENT: "the folder cannot be made there; name another one",
    errno.ENAMETOOLONG: "the name is too long for this file system; name a shorter path",
}


@contextmanager
def translated(path: Path, *, missing: tuple[type[OSError], ...] = ()) -> Iterator[None]:
    """What goes wrong at `path` as an error that says what to do.

    Args:
        path: named in the message.
        missing: the errors that mean that there is no such file.

    Raises:
        NotFound, StorageFailed: as it may be; `TransientStorageFailure` for what may pass.
    """
    try:
        yield
    except (NotFound, StorageFailed):
        raise
    except missing as error:
        raise NotFound(f"there is no file {path}") from error
    except OSError as error:
        reason = _WAYS_OUT.get(error.errno or 0) or error.strerror or type(error).__name__
        kind = TransientStorageFailure if error.errno in _TRANSIENT_ERRORS else StorageFailed
        raise kind(f"{path}: {reason}") from error
