"""The finished files below a folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from raysweep.storage.file_errors import MISSING
from raysweep.storage.store import TEMPORARY_PREFIX


def files_below(folder: Path) -> Iterator[tuple[Path, int]]:
    """Every finished file below `folder` and its size in bytes, without links to nowhere."""
    for parent, _, names in os.walk(folder, onerror=_raise_unless_missing):
        for name in names:
            path = Path(parent, name)
            try:
                state = path.stat()
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ELOOP}:
                    raise
                continue
            if stat.S_ISREG(state.st_mode) and not name.startswith(TEMPORARY_PREFIX):
                yield path, state.st_size


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, MISSING):
        raise error
