"""What a store can do, and which keys it takes."""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from raysweep.documents import shorten
from raysweep.errors import NotFound, RequestInvalid, StorageFailed

TEMPORARY_PREFIX = ".raysweep-part-"
S3_SCHEME = "s3://"
CHUNK_BYTES = 1024 * 1024
DENIED = "access denied to"  # in the words of every refusal that a permission would lift
LEDGER_FOLDER = ".raysweep/ledger/"


class TransientStorageFailure(StorageFailed):
    """A failure that may be gone a moment later: no answer, too busy, a conflict between writers."""


class ConditionalWritesMissing(StorageFailed):
    """The place cannot replace an object only if it is still the one that was read: nothing can be moved there."""


class EncryptionMissing(StorageFailed):
    """The server does not encrypt what is put as it was asked to."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What differs from place to place.

    Attributes:
        if_absent: whether of several writers at once exactly one can take a key. Elsewhere is looked first, which two
            writers at the very same moment may both do.
        if_match: whether an object can be replaced only if it is still the one that was read.
        encryption: what `export.s3.encryption` asks for; empty for nothing.
        unencrypted: why what is put is not encrypted as it asks; empty where it is, or nothing was asked.
    """

    if_absent: bool = True
    if_match: bool = True
    encryption: str = ""
    unencrypted: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One object as it was read.

    Attributes:
        etag: names this content in `Store.put_if_match`; what it looks like is the store's own matter.
    """

    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing."""

    key: str
    size_bytes: int


class Store(Protocol):
    """Bytes under keys such as `journal/0001.json`, in a folder or on an S3-compatible server.

    Every method raises `RequestInvalid` for a key that `check_key` refuses, and `StorageFailed` where the
    place does not take or give what it should. No method leaves half an object behind.
    """

    def put(self, key: str, source: bytes | Path) -> None:
        """Store `source` (bytes, or the file at that path) under `key`, replacing what was there."""

    def put_if_absent(self, key: str, source: bytes | Path, *, writer: str | None = None) -> bool:
        """Store `source` unless `key` is taken; of several writers at once exactly one gets True.

        Args:
            key: where to store it.
            source: bytes, or the path of a file.
            writer: a name unique to this call. A second try under the same name, after an answer was lost,
                gets True where the first try had been stored after all.
        """

    def put_if_match(self, key: str, source: bytes, etag: str, *, writer: str | None = None) -> bool:
        """Replace the object under `key` if it is still the one that was read; of several writers one gets True.

        Args:
            key: of an object that is there.
            source: what it becomes.
            etag: of the object that was read, as `fetch` said it.
            writer: as in `put_if_absent`.

        Returns:
            False where there is another object by now, or none: nothing was changed.

        Raises:
            ConditionalWritesMissing: the place cannot do this.
        """

    def fetch(self, key: str) -> Fetched:
        """The bytes under `key` with their etag; `NotFound` where there are none."""

    def get(self, key: str) -> bytes:
        """The bytes under `key`; `NotFound` where there are none."""

    def download(self, key: str, path: Path) -> None:
        """Write the bytes under `key` to the file `path`, all or nothing; `NotFound` where there are none."""

    def list(self, prefix: str = "") -> list[StoredObject]:
        """Every object whose key begins with `prefix`, sorted by key."""

    def exists(self, key: str) -> bool:
        """Whether there is an object under `key`."""

    def delete(self, key: str) -> None:
        """Remove the object under `key`; nothing happens where there is none."""

    def address(self, key: str = "") -> str:
        """The path or `s3://` address of `key`, or of the store itself, for messages and results."""

    def traits(self) -> Traits:
        """What this place can do; found out once by a few tiny objects below `.raysweep/`, which are removed."""

    def check_writable(self) -> None:
        """Try what a sweep needs of the place below `.raysweep/`; `StorageFailed` says why not and what helps."""

    def child(self, prefix: str) -> Store:
        """The same store, narrowed to the keys below `prefix`."""


def check_key(key: str) -> str:
    """Return `key` if a store may use it.

    Raises:
        RequestInvalid: it is empty or absolute, has an empty, `.` or `..` step, a backslash or a control
            character, cannot be written as UTF-8, or is reserved for unfinished files.
    """
    problem = _problem_of(key)
    if problem:
        raise RequestInvalid(f"the key {shorten(key)!r} {problem}: write a relative path such as model/model.ubj")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it can begin a key: empty, a key, or a key and a `/`.

    Raises:
        RequestInvalid: no key can begin so.
    """
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix


def _problem_of(key: str) -> str | None:
    steps = key.split("/")
    problems = {
        "is empty": not key,
        "is absolute": key.startswith("/"),
        "holds a backslash": "\\" in key,
        "holds the step '..'": ".." in steps,
        "holds an empty step or the step '.'": "" in steps or "." in steps,
        "holds a control character": any(ord(character) < ord(" ") or character == "\x7f" for character in key),
        "cannot be written as UTF-8": any("\ud800" <= character <= "\udfff" for character in key),
        f"holds a name that begins with the reserved {TEMPORARY_PREFIX}": any(
            step.startswith(TEMPORARY_PREFIX) for step in steps
        ),
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)


def open_source(source: bytes | Path) -> BinaryIO:
    """A readable, seekable stream of what is to be stored.

    Raises:
        NotFound: there is no such file.
        StorageFailed: the file cannot be opened.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"the file to be stored is not there: {source}") from error
    except OSError as error:
        raise StorageFailed(f"the file to be stored cannot be read: {source}: {error.strerror}") from error


def probe_key() -> str:
    """A key for an object that only tries something: where a sweep has to write before its final check."""
    return f"{LEDGER_FOLDER}probe-{secrets.token_hex(8)}"
