"""One object on its way to an S3-compatible server: in one request, or in parts, of which only a few are in memory."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from raysweep.config import EncryptionConfig
from raysweep.errors import NotFound, RaysweepError
from raysweep.storage.retry import PATIENT, try_again
from raysweep.storage.s3_answers import ConditionNotMet, NotOffered
from raysweep.storage.s3_connection import Connection
from raysweep.storage.store import CHUNK_BYTES, TransientStorageFailure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SHA256_KEY: Final = "raysweep-sha256"
WRITER_KEY: Final = "raysweep-writer"
PART_BYTES: Final = 16 * CHUNK_BYTES
_MOST_PARTS: Final = 10_000  # what S3 allows
_PARALLEL: Final = 4


@dataclass(frozen=True, slots=True)
class Target:
    """Where an object goes.

    Attributes:
        name: its whole key in the bucket.
        address: for messages.
    """

    connection: Connection
    bucket: str
    name: str
    address: str

    @property
    def client(self) -> S3Client:
        """The client of the server."""
        return self.connection.client

    @property
    def where(self) -> dict[str, Any]:
        """Bucket and key, as every request has them."""
        return {"Bucket": self.bucket, "Key": self.name}

    def head(self) -> dict[str, Any]:
        """What the server says of the object there.

        Raises:
            NotFound: there is none.
        """
        with self.connection.translated(self.address):
            return dict(self.client.head_object(Bucket=self.bucket, Key=self.name))


@dataclass(frozen=True, slots=True)
class Upload:
    """What goes up, and how.

    Attributes:
        sha256: of the whole, in hex; stands in the object's metadata and is compared whenever it is read.
        writer: names whoever puts it, so that an answer that was lost can be asked for.
        encryption: what the server is asked for.
    """

    stream: BinaryIO
    size_bytes: int
    sha256: str
    writer: str
    encryption: EncryptionConfig | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_in_parts(self) -> bool:
        """Whether it takes more than one request."""
        return self.size_bytes > PART_BYTES

    @property
    def kept_with_it(self) -> dict[str, Any]:
        """The arguments that say what is stored beside the bytes."""
        arguments: dict[str, Any] = {"Metadata": {SHA256_KEY: self.sha256, WRITER_KEY: self.writer}}
        if self.encryption is not None:
            arguments["ServerSideEncryption"] = self.encryption.kind
            if self.encryption.key_id is not None:
                arguments["SSEKMSKeyId"] = self.encryption.key_id
        return arguments

    def read(self, offset: int, size_bytes: int) -> bytes:
        """A part of it; threads may ask at once."""
        with self._lock:
            self.stream.seek(offset)
            return self.stream.read(size_bytes)


def measured(stream: BinaryIO, writer: str | None, encryption: EncryptionConfig | None) -> Upload:
    """The upload of a stream, which is read once for its hash."""
    sha256 = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        sha256.update(chunk)
    return Upload(stream, stream.tell(), sha256.hexdigest(), writer or secrets.token_hex(16), encryption)


def upload(what: Upload, target: Target, condition: Mapping[str, str] | None = None) -> str:
    """Put it there.

    Args:
        what: the object.
        target: where to.
        condition: `IfNoneMatch` or `IfMatch`, for the server to hold to.

    Returns:
        The encryption that the server says it has applied; empty for none.

    Raises:
        ConditionNotMet: the server did not take it.
        NotFound: there is nothing to be replaced.
        NotOffered: the server knows no conditions.
        StorageFailed: anything else; nothing half is there.
    """
    if what.is_in_parts:
        return _upload_in_parts(what, target, condition or {})
    body = what.read(0, what.size_bytes)
    arguments: dict[str, Any] = {**target.where, **what.kept_with_it, **_body(body), **(condition or {})}
    with target.connection.translated(target.address):
        answer = target.client.put_object(**arguments)
    return str(answer.get("ServerSideEncryption", ""))


def is_there(what: Upload, target: Target) -> bool:
    """Whether the object there is this one, put by a request before, whose answer was lost.

    Its name on something else than what it put means that the connection broke, and that the server has kept a part
    for the whole: then it is put again.
    """
    try:
        head = target.head()
    except NotFound:
        return False
    if head["Metadata"].get(WRITER_KEY) != what.writer:
        return False
    if head["ContentLength"] == what.size_bytes:
        return True
    try:
        upload(what, target, {"IfMatch": head["ETag"]})
    except (ConditionNotMet, NotFound):
        return False
    return True


def _body(content: bytes) -> dict[str, Any]:
    """A request's body with its MD5, which every server compares: the oldest of S3's checksums, and no trailer."""
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    return {"Body": content, "ContentMD5": base64.b64encode(digest).decode()}


def _upload_in_parts(what: Upload, target: Target, condition: Mapping[str, str]) -> str:
    target = replace(target, connection=target.connection.patient())
    with target.connection.translated(target.address):
        begun = target.client.create_multipart_upload(**target.where, **what.kept_with_it)
    upload_id = begun["UploadId"]
    try:
        parts = _put_parts(what, target, upload_id)
        _complete(what, target, upload_id, parts, condition)
    except BaseException:
        with suppress(RaysweepError), target.connection.translated(target.address):
            target.client.abort_multipart_upload(**target.where, UploadId=upload_id)
        raise
    return _check_stored(what, target)


def _put_parts(what: Upload, target: Target, upload_id: str) -> list[dict[str, Any]]:
    """Put each part, and again where that fails: one that is lost does not cost the others."""
    size_bytes = max(PART_BYTES, -(-what.size_bytes // _MOST_PARTS))

    def put(number: int) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            body = what.read((number - 1) * size_bytes, size_bytes)
            with target.connection.translated(target.address):
                answer = target.client.upload_part(**target.where, UploadId=upload_id, PartNumber=number, **_body(body))
            return {"PartNumber": number, "ETag": answer["ETag"]}

        return try_again(once, PATIENT)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        putting = [pool.submit(put, number) for number in range(1, -(-what.size_bytes // size_bytes) + 1)]
        try:
            return [one.result() for one in putting]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _complete(
    what: Upload, target: Target, upload_id: str, parts: list[dict[str, Any]], condition: Mapping[str, str]
) -> None:
    """Make one object of the parts; where the answer is lost, the object's writer tells."""
    arguments: dict[str, Any] = {
        **target.where,
        "UploadId": upload_id,
        "MultipartUpload": {"Parts": parts},
    }
    try:
        with target.connection.translated(target.address):
            target.client.complete_multipart_upload(**{**arguments, **condition})
    except NotOffered:  # some hold to conditions in puts alone
        if not condition:
            raise
        _complete(what, target, upload_id, parts, {})
    except (TransientStorageFailure, NotFound):  # not found: it was completed by a request whose answer was lost
        if not is_there(what, target):
            raise


def _check_stored(what: Upload, target: Target) -> str:
    """Look whether the object is whole: the checksum that S3 gives it is one of checksums, not of its bytes."""
    head = target.head()
    if head["ContentLength"] != what.size_bytes or head["Metadata"].get(SHA256_KEY, what.sha256) != what.sha256:
        raise TransientStorageFailure(
            f"{target.connection.place(target.address)} is not what was just stored there: another process writes to "
            "the same address, or the server loses data"
        )
    return str(head.get("ServerSideEncryption", ""))
