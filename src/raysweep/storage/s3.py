"""An S3-compatible server as a store, and its errors in words that say what to do."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as botocore_errors
from botocore.config import Config

from raysweep.config import S3Config
from raysweep.documents import shorten
from raysweep.errors import NotFound, StorageFailed
from raysweep.storage.local import write_whole
from raysweep.storage.s3_answers import (
    HOW_TO_SIGN_IN,
    NOT_IMPLEMENTED_CODES,
    explain_answer,
    without_credentials,
)
from raysweep.storage.store import (
    CHUNK_BYTES,
    S3_SCHEME,
    ConditionalWritesMissing,
    Fetched,
    StoredObject,
    TransientStorageFailure,
    check_key,
    check_prefix,
    open_source,
    probe,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SHA256_KEY = "raysweep-sha256"
WRITER_KEY = "raysweep-writer"
DEFAULT_REGION = "us-east-1"
MULTIPART_BYTES = 8 * CHUNK_BYTES
LARGEST_REQUEST_BYTES = 1024 * CHUNK_BYTES  # servers take 5 GB at most in one
CONNECT_SECONDS = 5
READ_SECONDS = 60
CONNECTIONS = 16
PRECONDITION_FAILED = 412

NO_CREDENTIALS_ERRORS = (
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.NoAuthTokenError,
    botocore_errors.SSOError,
)
NO_ANSWER_ERRORS = (
    botocore_errors.ConnectionError,
    botocore_errors.HTTPClientError,
    botocore_errors.ResponseStreamingError,
    botocore_errors.IncompleteReadError,
)


class _Connection:
    """One boto3 client, made when first used; it crosses to another process as its settings."""

    def __init__(self, s3: S3Config) -> None:
        self._s3 = s3
        self._lock = threading.Lock()
        self._client: S3Client | None = None

    def __reduce__(self) -> tuple[type[_Connection], tuple[S3Config]]:
        return (_Connection, (self._s3,))

    @property
    def client(self) -> S3Client:
        with self._lock:
            if self._client is None:
                self._client = _make_client(self._s3)
            return self._client

    @property
    def endpoint(self) -> str:
        """The server for messages, without credentials that may stand in its address."""
        url = self._client.meta.endpoint_url if self._client else self._s3.endpoint_url
        return without_credentials(url or os.environ.get("AWS_ENDPOINT_URL") or "AWS S3")


class S3Store:
    """A `Store` below a prefix of a bucket."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        s3: S3Config | None = None,
        *,
        connection: _Connection | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._connection = connection or _Connection(s3 or S3Config())

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Store.put`; large files go up in parts."""
        name = self._name(key)
        with open_source(source) as stream, self._translated(key):
            size_bytes, sha256 = _measure(stream)
            if size_bytes < MULTIPART_BYTES:
                self._client.put_object(Bucket=self._bucket, Key=name, Body=stream, Metadata={SHA256_KEY: sha256})
                return
            self._put_in_parts(key, stream, size_bytes, {SHA256_KEY: sha256})

    def put_if_absent(self, key: str, source: bytes | Path, *, writer: str | None = None) -> bool:
        """See `Store.put_if_absent`; without conditional writes, and for what one request cannot hold: looked first."""
        name, writer = self._name(key), writer or secrets.token_hex(16)
        with open_source(source) as stream, self._translated(key):
            size_bytes, sha256 = _measure(stream)
            metadata = {SHA256_KEY: sha256, WRITER_KEY: writer}
            if size_bytes > LARGEST_REQUEST_BYTES:
                if self.exists(key):
                    return self._is_written_by(writer, key)
                self._put_in_parts(key, stream, size_bytes, metadata)
                return True
            try:
                self._client.put_object(Bucket=self._bucket, Key=name, Body=stream, Metadata=metadata, IfNoneMatch="*")
            except botocore_errors.ClientError as error:
                code, status = _code_of(error)
                if status == PRECONDITION_FAILED:
                    return self._is_written_by(writer, key)
                if code not in NOT_IMPLEMENTED_CODES:
                    raise
                if self.exists(key):
                    return self._is_written_by(writer, key)
                stream.seek(0)
                self._client.put_object(Bucket=self._bucket, Key=name, Body=stream, Metadata=metadata)
            return True

    def put_if_match(self, key: str, source: bytes, etag: str, *, writer: str | None = None) -> bool:
        """See `Store.put_if_match`."""
        name, writer = self._name(key), writer or secrets.token_hex(16)
        metadata = {SHA256_KEY: hashlib.sha256(source).hexdigest(), WRITER_KEY: writer}
        try:
            with self._translated(key):
                self._client.put_object(Bucket=self._bucket, Key=name, Body=source, Metadata=metadata, IfMatch=etag)
        except NotFound:
            return False
        except StorageFailed as error:
            cause = error.__cause__
            code, status = _code_of(cause) if isinstance(cause, botocore_errors.ClientError) else ("", 0)
            if status == PRECONDITION_FAILED:
                return self._is_written_by(writer, key)
            if code not in NOT_IMPLEMENTED_CODES:
                raise
            raise ConditionalWritesMissing(
                f"{self._place(key)}: this server cannot replace an object only if it is still the one that was read, so "
                "that nothing can be moved there: use a server with conditional writes (If-Match)"
            ) from error
        return True

    def fetch(self, key: str) -> Fetched:
        """See `Store.fetch`."""
        etags: list[str] = []
        content = b"".join(self._read(key, etags))
        return Fetched(content, etags[0])

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        return b"".join(self._read(key))

    def download(self, key: str, path: Path) -> None:
        """See `Store.download`."""
        with write_whole(path) as file:
            for chunk in self._read(key):
                file.write(chunk)

    def list(self, prefix: str = "") -> list[StoredObject]:
        """See `Store.list`; the markers that some tools leave for folders are left out."""
        found: list[StoredObject] = []
        with self._translated(prefix):
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
            self._head(key)
        except NotFound:
            return False
        return True

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        name = self._name(key)
        try:
            with self._translated(key):
                self._client.delete_object(Bucket=self._bucket, Key=name)
        except NotFound:
            return

    def address(self, key: str = "") -> str:
        """See `Store.address`."""
        return f"{S3_SCHEME}{self._bucket}/{self._prefix}{key}".rstrip("/")

    def check_writable(self) -> None:
        """See `Store.check_writable`."""
        probe(self)

    def child(self, prefix: str) -> S3Store:
        """See `Store.child`; it shares the connection."""
        return S3Store(self._bucket, self._name(prefix), connection=self._connection)

    @property
    def _client(self) -> S3Client:
        return self._connection.client

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _head(self, key: str) -> dict[str, Any]:
        name = self._name(key)
        with self._translated(key):
            return dict(self._client.head_object(Bucket=self._bucket, Key=name))

    def _is_written_by(self, writer: str, key: str) -> bool:
        try:
            return bool(self._head(key)["Metadata"].get(WRITER_KEY) == writer)
        except NotFound:
            return False

    def _put_in_parts(self, key: str, stream: BinaryIO, size_bytes: int, metadata: dict[str, str]) -> None:
        arguments = {"Metadata": metadata}
        self._client.upload_fileobj(stream, self._bucket, self._name(key), ExtraArgs=arguments, Config=_transfer())
        self._check_stored(key, size_bytes, metadata[SHA256_KEY])

    def _check_stored(self, key: str, size_bytes: int, sha256: str) -> None:
        head = self._head(key)
        if head["ContentLength"] != size_bytes or head["Metadata"].get(SHA256_KEY, sha256) != sha256:
            raise TransientStorageFailure(
                f"{self._place(key)} is not what was just stored there: another process writes to the same "
                "address, or the server loses data"
            )

    def _read(self, key: str, etags: list[str] | None = None) -> Iterator[bytes]:
        name, sha256 = self._name(key), hashlib.sha256()
        with self._translated(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=name)
            if etags is not None:
                etags.append(answer["ETag"])
            with closing(answer["Body"]) as body:
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    sha256.update(chunk)
                    yield chunk
        expected = answer["Metadata"].get(SHA256_KEY)
        if expected not in {None, sha256.hexdigest()}:
            raise TransientStorageFailure(
                f"{self._place(key)} came back changed: its sha256 is {sha256.hexdigest()}, but {expected} "
                "was stored; if that stays so, restore it from a copy"
            )

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except botocore_errors.ClientError as error:
            code, status = _code_of(error)
            words = str(error.response.get("Error", {}).get("Message", ""))
            raise explain_answer(self._place(key), error.operation_name, code, status, words) from error
        except (botocore_errors.BotoCoreError, Boto3Error) as error:
            raise self._explain_failure(error, key) from error

    def _place(self, key: str) -> str:
        return f"{self.address(key)} on {self._connection.endpoint}"

    def _explain_failure(self, error: Exception, key: str) -> StorageFailed:
        place = self._place(key)
        if isinstance(error, NO_CREDENTIALS_ERRORS):
            return StorageFailed(f"{place}: no usable credentials were found; {HOW_TO_SIGN_IN}")
        if isinstance(error, botocore_errors.SSLError):
            return StorageFailed(
                f"{place}: no trust in the server's certificate; give its authority's file as "
                "export.s3.ca_bundle or AWS_CA_BUNDLE, and check that the endpoint speaks https"
            )
        if isinstance(error, NO_ANSWER_ERRORS):
            return TransientStorageFailure(
                f"{place}: the server does not answer ({type(error).__name__}); check that it runs, the "
                "network, and export.s3.endpoint_url or AWS_ENDPOINT_URL"
            )
        return StorageFailed(f"{place}: {_words_of(error)}; check export.s3 and the AWS environment")


def _words_of(error: Exception) -> str:
    return without_credentials(shorten(f"{type(error).__name__}: {error}", 300))


def _make_client(s3: S3Config) -> S3Client:
    if s3.ca_bundle is not None and not Path(s3.ca_bundle).expanduser().is_file():
        raise StorageFailed(f"export.s3.ca_bundle names no file: {s3.ca_bundle}; give the path of a PEM file")
    try:
        session = boto3.session.Session()
        return session.client(
            "s3",
            region_name=s3.region or session.region_name or os.environ.get("AWS_REGION") or DEFAULT_REGION,
            endpoint_url=s3.endpoint_url,
            verify=None if s3.ca_bundle is None else str(Path(s3.ca_bundle).expanduser()),
            config=_client_config(s3),
        )
    except (botocore_errors.BotoCoreError, ValueError) as error:
        raise StorageFailed(
            f"S3 cannot be set up: {_words_of(error)}; check export.s3 and the AWS environment"
        ) from error


def _client_config(s3: S3Config) -> Config:
    """Checksums only when required: other servers than AWS refuse boto3's default one with 411 or 501."""
    return Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": s3.addressing_style},
    )


def _transfer() -> TransferConfig:
    return TransferConfig(multipart_threshold=MULTIPART_BYTES, multipart_chunksize=MULTIPART_BYTES, max_concurrency=4)


def _measure(stream: BinaryIO) -> tuple[int, str]:
    """The size in bytes and the sha256 of the stream, which is left at its beginning."""
    sha256 = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        sha256.update(chunk)
    size_bytes = stream.tell()
    stream.seek(0)
    return size_bytes, sha256.hexdigest()


def _code_of(error: botocore_errors.ClientError) -> tuple[str, int]:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(error.response.get("Error", {}).get("Code", "")), int(status)
