"""An append-only file of JSON lines on local disk that survives a crash of process or machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from raysweep.documents import canonical_json
from raysweep.errors import NotFound, RaysweepError, StorageFailed
from raysweep.storage.local import settle_folder


class Journal:
    """Appends records to the file at `path`, one line each; one process writes to it at a time.

    Opening makes the file and its folder where they are missing, and cuts off a last line left torn.

    Raises:
        StorageFailed: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self._end = _cut_torn_line(path, self._descriptor)
            settle_folder(path.parent)
        except OSError as error:
            raise _failed(path, error) from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Write `record` as one canonical line; on return it is on disk.

        Raises:
            StorageFailed: the disk does not take it, or the journal is closed; nothing of the record stays.
            ValueError: it holds NaN or an infinity, which JSON cannot.
        """
        if self._descriptor is None:
            raise StorageFailed(f"the journal {self._path} is closed: nothing can be appended to it")
        line = canonical_json(record) + b"\n"
        try:
            _write_all(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise _failed(self._path, error) from error
        self._end += len(line)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The records of the journal at `path`, in order; a last line that a crash left torn is not one.

    Raises:
        NotFound: there is no such file.
        StorageFailed: it cannot be read.
        RaysweepError: a line in it is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError as error:
        raise NotFound(f"there is no journal {path}") from error
    except OSError as error:
        raise _failed(path, error) from error
    return parse_lines(lines, str(path))


def parse_lines(lines: Sequence[bytes], place: str) -> list[dict[str, Any]]:
    """The records on these lines.

    Args:
        lines: without their ends.
        place: where they stand from line 1 on, for the message.

    Raises:
        RaysweepError: a line is no record.
    """
    return [_parse_line(line, place, number) for number, line in enumerate(lines, start=1)]


def damaged(place: str, number: int) -> RaysweepError:
    """The error for a line that is no record."""
    return RaysweepError(
        f"{place}, line {number}: this is no record; the file was changed or the disk damaged it. Restore the "
        "file from a copy, or delete it from this line on to go on from the records before"
    )


def _parse_line(line: bytes, place: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise damaged(place, number) from error
    if not isinstance(record, dict):
        raise damaged(place, number)
    return record


def _cut_torn_line(path: Path, descriptor: int) -> int:
    """Cut the file after its last whole line, and give its length in bytes."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
    return end


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _failed(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"the journal {path} cannot be used: {error.strerror or error}; check free space and permissions"
    )
