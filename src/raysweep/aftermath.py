"""Where a run breaks off: what is deleted, what is kept, and how the run is gone on with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from raysweep.bundle.locate import resume_command
from raysweep.config import SweepConfig
from raysweep.errors import RaysweepError, RayUnavailable, RunTakenOver, StorageFailed
from raysweep.records.manifest import JOURNAL_FOLDER, MANIFEST_FILE
from raysweep.runtime.run_folder import RunFolder


@contextlib.contextmanager
def resumable(address: str, config: SweepConfig) -> Iterator[None]:
    """Say how to go on with a run that is stopped, or loses its storage or its cluster."""
    how = f"`{resume_command(address, config)}` goes on with the run"
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(how) from error
    except RunTakenOver:
        raise
    except StorageFailed as error:
        raise StorageFailed(f"{error}; {how}") from error
    except RayUnavailable as error:
        raise RayUnavailable(f"{error}; {how}") from error


@contextlib.contextmanager
def cleared(folder: RunFolder) -> Iterator[None]:
    """Delete the working folder at the end; after a failure, keep in it what would be lost, and say so."""
    try:
        yield
    except RunTakenOver:
        folder.remove_what_is_fenced_off()
        raise
    except BaseException as error:
        kept = folder.remove_what_is_private()
        if isinstance(error, OSError) and not isinstance(error, RaysweepError):
            what = f"{error.filename or folder.path}: {error.strerror or error}"
            raise StorageFailed(f"{what}{_where(folder, kept)}") from error
        if isinstance(error, StorageFailed):
            raise StorageFailed(f"{error}{_where(folder, kept)}") from error
        raise
    folder.remove()


def _where(folder: RunFolder, kept: bool) -> str:
    if (folder.outgoing / MANIFEST_FILE).exists():
        return f". The finished bundle is kept in {folder.outgoing}: the resume puts it, and computes nothing again"
    if not kept:
        return ""
    return f". What could not be put is kept in {folder.path / JOURNAL_FOLDER}, where a resume on this machine finds it"
