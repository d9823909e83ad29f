"""The way to an S3-compatible server: one client, and its failures in words that say what to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.session
from boto3.exceptions import Boto3Error
from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from raysweep.config import S3Config
from raysweep.documents import shorten
from raysweep.errors import StorageFailed
from raysweep.storage.retry import PATIENT, RetryPolicy
from raysweep.storage.s3_answers import HOW_TO_SIGN_IN, NoAnswer, explain_answer
from raysweep.storage.secret_values import add_source, without_user_info
from raysweep.storage.store import TransientStorageFailure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS: Final = 16
_DEFAULT_REGION: Final = "us-east-1"
_CONNECT_SECONDS: Final = 5

_NO_CREDENTIALS_ERRORS: Final = (
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.NoAuthTokenError,
    botocore_errors.SSOError,
)
# What botocore lets through where a connection breaks within the body of an error, or of a listing.
_BROKEN_ERRORS: Final = (ResponseParserError, HTTPError, HTTPException, ConnectionError)
_SILENT_ERRORS: Final = (
    botocore_errors.ConnectTimeoutError,
    botocore_errors.EndpointConnectionError,
    botocore_errors.ReadTimeoutError,
)
_NO_ANSWER_ERRORS: Final[tuple[type[Exception], ...]] = (
    botocore_errors.ConnectionError,
    botocore_errors.HTTPClientError,
    botocore_errors.ResponseStreamingError,
    botocore_errors.IncompleteReadError,
    *_BROKEN_ERRORS,
)


class Connection:
    """One boto3 client, made when first used; it crosses to another process as its settings.

    Args:
        s3: how to reach the server.
        policy: how long an answer is waited for.
    """

    def __init__(self, s3: S3Config, policy: RetryPolicy = PATIENT) -> None:
        self.settings = s3
        self._policy = policy
        self._lock = threading.Lock()
        self._client: S3Client | None = None

    def __reduce__(self) -> tuple[type[Connection], tuple[S3Config, RetryPolicy]]:
        return (Connection, (self.settings, self._policy))

    def patient(self) -> Connection:
        """One to the same server that waits longer, as large objects need it."""
        return self if self._policy.answer_seconds >= PATIENT.answer_seconds else Connection(self.settings)

    @property
    def client(self) -> S3Client:
        """The client.

        Raises:
            StorageFailed: the settings or the AWS environment are wrong.
        """
        with self._lock:
            if self._client is None:
                self._client = _make_client(self.settings, self._policy)
            return self._client

    @property
    def endpoint(self) -> str:
        """The server for messages, without credentials that may stand in its address."""
        url = self._client.meta.endpoint_url if self._client else self.settings.endpoint_url
        return without_user_info(url or os.environ.get("AWS_ENDPOINT_URL") or "AWS S3")

    def place(self, address: str) -> str:
        """An address and the server that it is on, for messages."""
        return f"{address} on {self.endpoint}"

    @contextmanager
    def translated(self, address: str) -> Iterator[None]:
        """What boto3 raises, as an error that names the place and says what to do.

        Raises:
            NotFound, StorageFailed: as it may be; `TransientStorageFailure` for what may pass.
        """
        try:
            yield
        except botocore_errors.ClientError as error:
            code, status = _code_of(error)
            words = str(error.response.get("Error", {}).get("Message", ""))
            raise explain_answer(self.place(address), error.operation_name, code, status, words) from error
        except (botocore_errors.BotoCoreError, Boto3Error, *_BROKEN_ERRORS) as error:
            raise _explain_failure(error, self.place(address)) from error


def _explain_failure(error: Exception, place: str) -> StorageFailed:
    if isinstance(error, _NO_CREDENTIALS_ERRORS):
        return StorageFailed(f"{place}: no usable credentials were found; {HOW_TO_SIGN_IN}")
    if isinstance(error, botocore_errors.SSLError):
        return StorageFailed(
            f"{place}: no trust in the server's certificate; give its authority's file as "
            "export.s3.ca_bundle or AWS_CA_BUNDLE, and check that the endpoint speaks https"
        )
    if isinstance(error, _NO_ANSWER_ERRORS):
        kind = NoAnswer if isinstance(error, _SILENT_ERRORS) else TransientStorageFailure
        return kind(
            f"{place}: the server does not answer ({type(error).__name__}); check that it runs, the "
            "network, and export.s3.endpoint_url or AWS_ENDPOINT_URL"
        )
    return StorageFailed(f"{place}: {_words_of(error)}; check export.s3 and the AWS environment")


def _words_of(error: Exception) -> str:
    return shorten(without_user_info(f"{type(error).__name__}: {error}"), 300)


def _code_of(error: botocore_errors.ClientError) -> tuple[str, int]:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(error.response.get("Error", {}).get("Code", "")), int(status)


def _make_client(s3: S3Config, policy: RetryPolicy) -> S3Client:
    if s3.ca_bundle is not None and not Path(s3.ca_bundle).expanduser().is_file():
        raise StorageFailed(f"export.s3.ca_bundle names no file: {s3.ca_bundle}; give the path of a PEM file")
    try:
        session = _session()
        client = session.client(
            "s3",
            region_name=s3.region or session.region_name or os.environ.get("AWS_REGION") or _DEFAULT_REGION,
            endpoint_url=s3.endpoint_url,
            verify=None if s3.ca_bundle is None else str(Path(s3.ca_bundle).expanduser()),
            config=_client_config(s3, policy),
        )
        _watch_credentials(session)
    except (botocore_errors.BotoCoreError, ValueError) as error:
        raise StorageFailed(
            f"S3 cannot be set up: {_words_of(error)}; check export.s3 and the AWS environment"
        ) from error
    return client


def _session() -> boto3.session.Session:
    session = botocore.session.Session()
    session.register_component("data_loader", _descriptions())
    return boto3.session.Session(botocore_session=session)


@cache
def _descriptions() -> Any:
    """Those of AWS's services, read once in a process: reading them is most of what a client takes."""
    return botocore.session.Session().get_component("data_loader")


def _watch_credentials(session: boto3.session.Session) -> None:
    """Nothing that is stored may hold what the requests are signed with, wherever it comes from, also once renewed."""
    credentials = session.get_credentials()
    if credentials is None:
        return

    def now() -> dict[str, str | None]:
        frozen = credentials.get_frozen_credentials()
        return {
            "the access key of the AWS credentials": frozen.access_key,
            "the secret key of the AWS credentials": frozen.secret_key,
            "the session token of the AWS credentials": frozen.token,
        }

    add_source(now)


def _client_config(s3: S3Config, policy: RetryPolicy) -> Config:
    """Checksums only when required: other servers than AWS refuse boto3's default one with 411 or 501.

    It would come as a trailer of an aws-chunked body over https. Our own sha256 goes with every object instead.
    """
    attempts = 2 if policy.answer_seconds >= PATIENT.answer_seconds else 1
    return Config(
        signature_version="s3v4",
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=policy.answer_seconds,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": s3.addressing_style},
    )
