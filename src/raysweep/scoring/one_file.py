"""One file of predictions: written under another name, renamed when it is whole, deleted where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pyarrow as pa

from raysweep.scoring.formats import Counted, RowWriter, rows_written
from raysweep.scoring.predictions import PredictedFile
from raysweep.storage.local import write_whole

PART_BYTES: Final = 128 * 1024 * 1024
PART_ROWS: Final = 1_000_000


class _Abandoned(Exception):
    """The block ended before the rows did."""


class OneFile:
    """All rows in one file.

    Args:
        path: where it shall stand.
        address: what it is called, where that is another place.
        file_format: parquet, csv or jsonl.
        schema: of the rows.
    """

    def __init__(self, path: Path, address: str, file_format: str, schema: pa.Schema) -> None:
        self._stack = ExitStack()
        self._address = address
        self._count = 0
        self._is_done = False
        self._file = Counted(self._stack.enter_context(write_whole(path)))
        with self._undone_by_errors():
            self._rows: RowWriter = self._stack.enter_context(rows_written(self._file, address, file_format, schema))

    @property
    def is_full(self) -> bool:
        """Whether a part should end here."""
        return self._count >= PART_ROWS or self._file.size_bytes >= PART_BYTES

    def write(self, rows: pa.Table) -> None:
        """Write some rows."""
        with self._undone_by_errors():
            self._rows.write(rows)
        self._count += rows.num_rows

    def finish(self, about: dict[str, object] | None = None) -> tuple[PredictedFile, ...]:
        """Make it stand under its name; there is no summary of one file to say `about` in."""
        del about
        self._is_done = True
        self._stack.close()
        return (PredictedFile(self._address, self._count, self._file.size_bytes, self._file.sha256),)

    @contextmanager
    def _undone_by_errors(self) -> Iterator[None]:
        """An error goes to what has opened the file, which deletes it and says what it means."""
        try:
            yield
        except BaseException as error:
            self._is_done = True
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise

    def abandon(self) -> None:
        """Undo it, unless it is finished."""
        if not self._is_done:
            self._is_done = True
            with suppress(_Abandoned, OSError, pa.ArrowException):
                self._stack.__exit__(_Abandoned, _Abandoned(), None)
