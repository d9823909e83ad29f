"""An S3-compatible server as a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.config import S3Config
from raysweep.errors import NotFound
from raysweep.storage.abilities import check_abilities
from raysweep.storage.local import write_whole
from raysweep.storage.s3_answers import ConditionNotMet
from raysweep.storage.s3_connection import Connection
from raysweep.storage.s3_traits import traits_at
from raysweep.storage.s3_upload import SHA256_KEY, Target, Upload, is_there, measured, upload
from raysweep.storage.store import (
    CHUNK_BYTES,
    S3_SCHEME,
    ConditionalWritesMissing,
    EncryptionMissing,
    Fetched,
    StoredObject,
    Traits,
    TransientStorageFailure,
    check_key,
    check_prefix,
    open_source,
    probe_key,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Store:
    """A `Store` below a prefix of a bucket.

    Args:
        bucket: its name.
        prefix: without slashes at its ends; empty for the whole bucket.
        s3: how to reach the server, where there is no `connection` yet.
        connection: to the server.
        tried_below: the prefix that what is tried out is put below, its own when None: a child's is its parent's.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        s3: S3Config | None = None,
        *,
        connection: Connection | None = None,
        tried_below: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._tried_below = self._prefix if tried_below is None else tried_below
        self._connection = connection or Connection(s3 or S3Config())

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Store.put`; large files go up in parts."""
        target = self._target(key)
        with self._upload_of(source, None) as what:
            upload(what, target)

    def put_if_absent(self, key: str, source: bytes | Path, *, writer: str | None = None) -> bool:
        """See `Store.put_if_absent`; where the server holds to no conditions, it is looked before and after."""
        target = self._target(key)
        with self._upload_of(source, writer) as what:
            is_sure = self.traits().if_absent and not what.is_in_parts  # some hold to it in one request only
            if not is_sure and self.exists(key):
                return is_there(what, target)
            try:
                upload(what, target, {"IfNoneMatch": "*"} if self.traits().if_absent else None)
            except ConditionNotMet:
                return is_there(what, target)
            return is_sure or is_there(what, target)

    def put_if_match(self, key: str, source: bytes, etag: str, *, writer: str | None = None) -> bool:
        """See `Store.put_if_match`."""
        target = self._target(key)
        if not self.traits().if_match:
            raise ConditionalWritesMissing(
                f"{self._connection.place(target.address)}: this server cannot replace an object only if it is still "
                "the one that was read (If-Match), so that nothing can be moved there without the risk that two do it "
                "at once: use a server with conditional writes, or a folder"
            )
        with self._upload_of(source, writer) as what:
            try:
                upload(what, target, {"IfMatch": etag})
            except NotFound:
                return False
            except ConditionNotMet:
                return is_there(what, target)
            return True

    def fetch(self, key: str) -> Fetched:
        """See `Store.fetch`."""
        with self._opened(key) as answer:
            return Fetched(b"".join(self._chunks(key, answer)), str(answer["ETag"]))

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        return self.fetch(key).content

    def download(self, key: str, path: Path) -> None:
        """See `Store.download`."""
        with self._opened(key) as answer, write_whole(path) as file:
            for chunk in self._chunks(key, answer):
                file.write(chunk)

    def list(self, prefix: str = "") -> list[StoredObject]:
        """See `Store.list`; the markers that some tools leave for folders are left out."""
        found: list[StoredObject] = []
        with self._connection.translated(self.address(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + check_prefix(prefix)
            )
            for page in pages:
                found.extend(
                    StoredObject(entry["Key"].removeprefix(self._prefix), entry["Size"])
                    for entry in page.get("Contents", [])
                )
        return sorted((one for one in found if not one.key.endswith("/")), key=lambda one: one.key)

    def exists(self, key: str) -> bool:
        """See `Store.exists`."""
        try:
            self._target(key).head()
        except NotFound:
            return False
        return True

    def delete(self, key: str) -> None:
        """See `Store.delete`; one by one, since not every server takes many at once."""
        target = self._target(key)
        try:
            with self._connection.translated(target.address):
                self._client.delete_object(Bucket=self._bucket, Key=target.name)
        except NotFound:
            return

    def address(self, key: str = "") -> str:
        """See `Store.address`."""
        return f"{S3_SCHEME}{self._bucket}/{self._prefix}{key}".rstrip("/")

    def traits(self) -> Traits:
        """See `Store.traits`; found out once for a bucket in each process."""
        name = self._tried_below + probe_key()
        return traits_at(Target(self._connection, self._bucket, name, f"{S3_SCHEME}{self._bucket}/{name}"))

    def check_writable(self) -> None:
        """See `Store.check_writable`."""
        check_abilities(self)

    def child(self, prefix: str) -> S3Store:
        """See `Store.child`; it shares the connection."""
        below = self._prefix + check_key(prefix)
        return S3Store(self._bucket, below, connection=self._connection, tried_below=self._tried_below)

    @property
    def _client(self) -> S3Client:
        return self._connection.client

    def _target(self, key: str) -> Target:
        return Target(self._connection, self._bucket, self._prefix + check_key(key), self.address(key))

    @contextmanager
    def _upload_of(self, source: bytes | Path, writer: str | None) -> Iterator[Upload]:
        """What is to be put, as the server takes it.

        Raises:
            EncryptionMissing: it would not be encrypted, but has to be.
        """
        asked = self._connection.settings.encryption
        traits = self.traits()
        if asked is not None and traits.unencrypted:
            if asked.required:
                raise EncryptionMissing(
                    f"{self._connection.place(self.address())}: export.s3.encryption asks for {asked.kind}, but "
                    f"{traits.unencrypted}. Switch it on at the server, or take one that encrypts; where its disks are "
                    "encrypted anyway, set export.s3.encryption.required=false"
                )
            asked = None
        with open_source(source) as stream:
            yield measured(stream, writer, asked)

    @contextmanager
    def _opened(self, key: str) -> Iterator[Any]:
        target = self._target(key)
        with self._connection.translated(target.address):
            answer = self._client.get_object(Bucket=self._bucket, Key=target.name)
            with closing(answer["Body"]):
                yield answer

    def _chunks(self, key: str, answer: Any) -> Iterator[bytes]:
        """The bytes of an answer, in pieces; at their end they have to be what was stored."""
        sha256 = hashlib.sha256()
        for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
            sha256.update(chunk)
            yield chunk
        expected = answer["Metadata"].get(SHA256_KEY)
        if expected not in {None, sha256.hexdigest()}:
            raise TransientStorageFailure(
                f"{self._connection.place(self.address(key))} came back changed: its sha256 is {sha256.hexdigest()}, "
                f"but {expected} was stored; if that stays so, restore it from a copy"
            )
