"""Predictions on their way out, so that nothing half-written looks whole.

A file is written under another name and renamed. A folder is written beside the place where it will stand, and renamed
once its summary is in it. Below an `s3://` prefix parts are put one by one, and the summary last: without it, there are
no predictions.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from raysweep.documents import readable_json
from raysweep.errors import StorageFailed
from raysweep.scoring.formats import ending_of
from raysweep.scoring.one_file import OneFile
from raysweep.scoring.place import PART_PREFIX, SUCCESS_FILE, Out, names_in
from raysweep.scoring.predictions import PredictedFile
from raysweep.storage.local import settle_folder, write_whole
from raysweep.storage.open_store import open_store
from raysweep.storage.retry import PATIENT
from raysweep.storage.store import TEMPORARY_PREFIX, Store


class Sink(Protocol):
    """Takes the rows in their order."""

    def write(self, rows: pa.Table) -> None:
        """Write some rows."""

    def finish(self, about: dict[str, object]) -> tuple[PredictedFile, ...]:
        """Make what was written stand where it is wanted, and say what it is.

        Args:
            about: what the summary of a folder says beside its files.
        """


@contextmanager
def sink_for(out: Out, schema: pa.Schema, *, overwrite: bool) -> Iterator[Sink]:
    """A sink for a place; leaving without `finish`, or by an error, leaves nothing there.

    Raises:
        StorageFailed: the disk is full, the place refuses, and the like; the message names it.
    """
    with ExitStack() as stack:
        if out.is_file and not out.is_remote:
            yield stack.enter_context(_local_file(out, schema))
        elif out.is_file:
            yield stack.enter_context(_remote_file(out, schema))
        elif out.is_remote:
            yield stack.enter_context(_remote_folder(out, schema, overwrite=overwrite))
        else:
            yield stack.enter_context(_local_folder(out, schema))


class _Parts:
    """Rows in parts of a size, each handed on when it is full."""

    def __init__(self, folder: Path, out: Out, schema: pa.Schema, store: Store | None = None) -> None:
        self._folder, self._out, self._schema, self._store = folder, out, schema, store
        self._part: OneFile | None = None
        self.files: list[PredictedFile] = []

    def write(self, rows: pa.Table) -> None:
        if self._part is None:
            self._part = self._next()
        self._part.write(rows)
        if self._part.is_full:
            self._close()

    def finish(self, about: dict[str, object]) -> tuple[PredictedFile, ...]:
        if self._part is None and not self.files:
            self._part = self._next()  # of a table without rows there is a part without rows
        self._close()
        listed = [
            {
                "path": one.address.rpartition("/")[2],
                "rows": one.rows,
                "size_bytes": one.size_bytes,
                "sha256": one.sha256,
            }
            for one in self.files
        ]
        rows = sum(one.rows for one in self.files)
        summary = readable_json({"schema_version": 1, **about, "rows": rows, "parts": listed})
        if self._store is not None:
            self._store.put(SUCCESS_FILE, summary)
        else:
            with write_whole(self._folder / SUCCESS_FILE) as file:
                file.write(summary)
        return tuple(self.files)

    def abandon(self) -> None:
        if self._part is not None:
            self._part.abandon()

    def _next(self) -> OneFile:
        name = f"{PART_PREFIX}{len(self.files):05d}{ending_of(self._out.format)}"
        return OneFile(self._folder / name, f"{self._out.address}/{name}", self._out.format, self._schema)

    def _close(self) -> None:
        if self._part is None:
            return
        (file,) = self._part.finish()
        self._part = None
        self.files.append(file)
        if self._store is not None:
            name = file.address.rpartition("/")[2]
            self._store.put(name, self._folder / name)
            (self._folder / name).unlink()


@contextmanager
def _local_file(out: Out, schema: pa.Schema) -> Iterator[Sink]:
    file = OneFile(Path(out.address), out.address, out.format, schema)
    try:
        yield file
    finally:
        file.abandon()


@contextmanager
def _remote_file(out: Out, schema: pa.Schema) -> Iterator[Sink]:
    """Written here first, since an object is put whole."""
    prefix, _, name = out.address.rpartition("/")
    store = open_store(prefix, out.s3, policy=PATIENT)
    with tempfile.TemporaryDirectory(prefix="raysweep-predict-") as folder:
        file = _RemoteFile(Path(folder) / name, out, schema, store)
        try:
            yield file
        finally:
            file.abandon()


class _RemoteFile(OneFile):
    def __init__(self, path: Path, out: Out, schema: pa.Schema, store: Store) -> None:
        super().__init__(path, out.address, out.format, schema)
        self._path, self._store = path, store

    def finish(self, about: dict[str, object] | None = None) -> tuple[PredictedFile, ...]:
        files = super().finish(about)
        self._store.put(self._path.name, self._path)
        return files


@contextmanager
def _local_folder(out: Out, schema: pa.Schema) -> Iterator[Sink]:
    place = Path(out.address)
    beside = place.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    parts = _LocalParts(beside, out, schema)
    try:
        yield parts
    finally:
        parts.abandon()
        shutil.rmtree(beside, ignore_errors=True)


class _LocalParts(_Parts):
    def finish(self, about: dict[str, object]) -> tuple[PredictedFile, ...]:
        files = super().finish(about)
        place = Path(self._out.address)
        before = place.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        try:
            if place.exists():
                place.rename(before)
            self._folder.rename(place)
        except OSError as error:
            raise StorageFailed(f"{place} cannot be put in its place: {error.strerror}") from error
        finally:
            if before.exists() and not place.exists():
                before.rename(place)
            shutil.rmtree(before, ignore_errors=True)
        settle_folder(place.parent)
        return files


@contextmanager
def _remote_folder(out: Out, schema: pa.Schema, *, overwrite: bool) -> Iterator[Sink]:
    store = open_store(out.address, out.s3, policy=PATIENT)
    if overwrite:  # the summary first: without it what is left is no prediction
        for name in sorted(names_in(out), key=lambda one: one != SUCCESS_FILE):
            store.delete(name)
    with tempfile.TemporaryDirectory(prefix="raysweep-predict-") as folder:
        parts = _Parts(Path(folder), out, schema, store)
        try:
            yield parts
        except BaseException:
            for file in parts.files:
                with suppress(StorageFailed):
                    store.delete(file.address.rpartition("/")[2])
            raise
        finally:
            parts.abandon()
