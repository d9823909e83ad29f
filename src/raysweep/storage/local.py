"""A folder as a store, and the one way in which raysweep writes a file: whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from raysweep.errors import StorageFailed
from raysweep.storage.abilities import check_abilities
from raysweep.storage.file_errors import MISSING, translated
from raysweep.storage.file_listing import files_below
from raysweep.storage.file_lock import locked
from raysweep.storage.store import (
    CHUNK_BYTES,
    TEMPORARY_PREFIX,
    ConditionalWritesMissing,
    Fetched,
    StoredObject,
    Traits,
    check_key,
    check_prefix,
    open_source,
    probe_key,
)

NO_LINKS_ERRORS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class LocalStore:
    """A `Store` in a folder, which is made when first written to."""

    def __init__(self, root: Path, *, boundary: Path | None = None) -> None:
        self._root = root.absolute()
        self._boundary = boundary or self._root

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Store.put`."""
        path = self._path(key)
        with open_source(source) as stream, write_whole(path) as file:
            shutil.copyfileobj(stream, file, CHUNK_BYTES)

    def put_if_absent(self, key: str, source: bytes | Path, *, writer: str | None = None) -> bool:
        """See `Store.put_if_absent`; the file system's answer cannot be lost, so `writer` is not needed."""
        del writer
        path = self._path(key)
        with open_source(source) as stream, translated(path):
            if os.path.lexists(path):
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            with _temporary_file(path) as (file, temporary):
                shutil.copyfileobj(stream, file, CHUNK_BYTES)
                _settle(file)
                return _link_or_replace(temporary, path)

    def put_if_match(self, key: str, source: bytes, etag: str, *, writer: str | None = None) -> bool:
        """See `Store.put_if_match`; a lock keeps others out who put so, in every process on this file system."""
        del writer
        path = self._path(key)
        with translated(path):
            if not path.is_file():
                return False
            with locked(path.with_name(f"{TEMPORARY_PREFIX}lock-{_etag(path.name.encode())}")):
                return _replace_if_match(path, source, etag)

    def fetch(self, key: str) -> Fetched:
        """See `Store.fetch`."""
        content = self.get(key)
        return Fetched(content, _etag(content))

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        path = self._path(key)
        with translated(path, missing=MISSING):
            return path.read_bytes()

    def download(self, key: str, path: Path) -> None:
        """See `Store.download`."""
        stored = self._path(key)
        with translated(stored, missing=MISSING), stored.open("rb") as stream, write_whole(path) as file:
            shutil.copyfileobj(stream, file, CHUNK_BYTES)

    def list(self, prefix: str = "") -> list[StoredObject]:
        """See `Store.list`; links that lead out of the folder and unfinished files are left out."""
        parent = check_prefix(prefix).rpartition("/")[0]
        folder = self._path(parent) if parent else self._root
        with translated(folder):
            found = [
                StoredObject(path.relative_to(self._root).as_posix(), size_bytes)
                for path, size_bytes in files_below(folder)
                if not path.is_symlink() or self._is_inside(path)
            ]
        return sorted((one for one in found if one.key.startswith(prefix)), key=lambda one: one.key)

    def exists(self, key: str) -> bool:
        """See `Store.exists`."""
        path = self._path(key)
        with translated(path):
            return path.is_file()

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        path = self._path(key)
        with translated(path), suppress(*MISSING):
            path.unlink()
            settle_folder(path.parent)

    def address(self, key: str = "") -> str:
        """See `Store.address`."""
        return str(self._root / key)

    def traits(self) -> Traits:
        """See `Store.traits`."""
        key = probe_key()
        try:
            self.put_if_absent(key, b"")
            return Traits(if_match=self.put_if_match(key, b"", _etag(b"")))
        except ConditionalWritesMissing:
            return Traits(if_match=False)
        finally:
            self.delete(key)

    def check_writable(self) -> None:
        """See `Store.check_writable`."""
        check_abilities(self)

    def child(self, prefix: str) -> LocalStore:
        """See `Store.child`; links still may not lead out of this store's folder."""
        return LocalStore(self._root / check_key(prefix), boundary=self._boundary)

    def _path(self, key: str) -> Path:
        path = self._root / check_key(key)
        if not self._is_inside(path):
            raise StorageFailed(
                f"{path} leads out of {self._boundary} through a symbolic link: remove the link, or name another folder"
            )
        return path

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self._boundary.resolve())
        except (OSError, RuntimeError):  # RuntimeError: links that go round in a circle, before Python 3.13
            return False


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that becomes `path` on leaving, durably and at once; an error leaves nothing.

    Raises:
        StorageFailed: the disk is full, the folder refuses, and the like; the message names the path.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary_file(path) as (file, temporary):
            yield file
            _settle(file)
            temporary.replace(path)
            settle_folder(path.parent)


@contextmanager
def _temporary_file(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            yield file, temporary
    finally:
        with suppress(OSError):
            temporary.unlink()


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def settle_folder(folder: Path) -> None:
    """Make a new name durable; some file systems cannot, which loses nothing but the promise."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _link_or_replace(temporary: Path, path: Path) -> bool:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS_ERRORS:
            raise
        return _replace_if_absent(temporary, path)
    settle_folder(path.parent)
    return True


def _replace_if_absent(temporary: Path, path: Path) -> bool:
    """For file systems without links: the name is taken in one step, and holds all in the next, but never a part."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    try:
        temporary.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    settle_folder(path.parent)
    return True


def _replace_if_match(path: Path, source: bytes, etag: str) -> bool:
    try:
        if _etag(path.read_bytes()) != etag:
            return False
    except MISSING:
        return False
    with write_whole(path) as file:
        file.write(source)
    return True
