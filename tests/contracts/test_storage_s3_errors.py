from __future__ import annotations

import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from raysweep.config import S3Config
from raysweep.errors import NotFound, StorageFailed
from raysweep.storage import s3_traits
from raysweep.storage.s3 import S3Store
from raysweep.storage.s3_answers import AccessDenied, ConditionNotMet, NotOffered, explain_answer
from raysweep.storage.store import TransientStorageFailure

SECRET = "hush-hush-hush-hush"  # noqa: S105 - opens nothing
BUCKET = "bucket"


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.session.Session().client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key=SECRET
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()
    yield url
    server.stop()


@pytest.fixture(autouse=True)
def credentials(clean_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def store(moto_url: str, request: pytest.FixtureRequest) -> S3Store:
    return S3Store(BUCKET, request.node.name, S3Config(endpoint_url=moto_url))


@pytest.fixture(autouse=True)
def _new_process() -> None:
    """What a server can do is found out by each test anew."""
    s3_traits.forget()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def when_conditional(store: S3Store, code: str, status: int) -> None:
    def refuse(params: dict[str, dict[str, str]], **_: object) -> None:
        if "If-None-Match" in params["headers"]:
            raise ClientError(
                {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}},
                "PutObject",
            )

    store._client.meta.events.register("before-call.s3.PutObject", refuse)


def test_a_bucket_that_does_not_exist(moto_url: str) -> None:
    store = S3Store("no-such-bucket", "runs", S3Config(endpoint_url=moto_url))

    with pytest.raises(StorageFailed, match=f"s3://no-such-bucket/runs/.* on {moto_url}: the bucket does not exist"):
        store.check_writable()
    with pytest.raises(StorageFailed, match="the bucket does not exist"):
        store.get("key")


def test_a_server_that_does_not_answer() -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"

    with pytest.raises(TransientStorageFailure, match=rf"on {endpoint}: the server does not answer.*endpoint_url"):
        S3Store(BUCKET, "", S3Config(endpoint_url=endpoint)).check_writable()


def test_no_credentials(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StorageFailed, match="no usable credentials were found; set AWS_ACCESS_KEY_ID"):
        S3Store(BUCKET, "", S3Config(endpoint_url=moto_url)).check_writable()


def test_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(StorageFailed, match=r"S3 cannot be set up: .*nobody"):
        S3Store(BUCKET).check_writable()


def test_the_aws_environment_gives_the_endpoint(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)

    S3Store(BUCKET, "from-the-environment").check_writable()


def test_an_endpoint_with_a_password_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{SECRET}@127.0.0.1:{closed_port()}")

    with pytest.raises(StorageFailed) as caught:
        S3Store(BUCKET).check_writable()
    assert SECRET not in str(caught.value)


def test_a_ca_bundle_that_is_not_there(tmp_path: Path) -> None:
    config = S3Config(endpoint_url="https://127.0.0.1:1", ca_bundle=str(tmp_path / "ca.pem"))

    with pytest.raises(StorageFailed, match=r"ca_bundle names no file: .*ca\.pem"):
        S3Store(BUCKET, "", config).check_writable()


def test_https_asked_of_a_server_that_speaks_http(moto_url: str) -> None:
    config = S3Config(endpoint_url=moto_url.replace("http://", "https://"))

    with pytest.raises(StorageFailed, match=r"ca_bundle|does not answer"):
        S3Store(BUCKET, "", config).check_writable()


@pytest.mark.parametrize("bucket", ["UPPER_case!", "x"])
def test_an_impossible_bucket_name(moto_url: str, bucket: str) -> None:
    with pytest.raises(StorageFailed, match=bucket):
        S3Store(bucket, "", S3Config(endpoint_url=moto_url)).check_writable()


def test_a_server_without_conditional_writes(store: S3Store) -> None:
    when_conditional(store, "NotImplemented", 501)

    assert store.put_if_absent("key", b"first") is True
    assert store.put_if_absent("key", b"second") is False
    assert store.get("key") == b"first"


def test_a_conflict_between_writers_may_be_tried_again(store: S3Store) -> None:
    when_conditional(store, "ConditionalRequestConflict", 409)

    with pytest.raises(TransientStorageFailure, match="409 ConditionalRequestConflict"):
        store.put_if_absent("key", b"")


def test_an_answer_that_was_lost_is_no_lost_race(store: S3Store) -> None:
    assert store.put_if_absent("key", b"1", writer="me") is True
    assert store.put_if_absent("key", b"1", writer="me") is True
    assert store.put_if_absent("key", b"1", writer="you") is False


def test_an_object_changed_behind_our_back(store: S3Store, tmp_path: Path) -> None:
    store.put("key", b"what was stored")
    metadata = store._target("key").head()["Metadata"]
    store._client.put_object(Bucket=BUCKET, Key=store._target("key").name, Body=b"something else", Metadata=metadata)

    with pytest.raises(TransientStorageFailure, match="came back changed"):
        store.get("key")
    with pytest.raises(TransientStorageFailure, match="came back changed"):
        store.download("key", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_others_put_has_no_digest_and_is_taken(store: S3Store) -> None:
    store._client.put_object(Bucket=BUCKET, Key=store._target("key").name, Body=b"theirs")

    assert store.get("key") == b"theirs"


def test_markers_of_folders_are_not_listed(store: S3Store) -> None:
    store._client.put_object(Bucket=BUCKET, Key=store._target("folder").name + "/", Body=b"")

    assert store.list() == []


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("NoSuchKey", 404, NotFound, "there is no object"),
        ("AccessDenied", 403, AccessDenied, "access denied to PutObject"),
        ("403", 403, AccessDenied, "access denied to PutObject"),
        ("InvalidAccessKeyId", 403, StorageFailed, "does not accept the credentials"),
        ("SignatureDoesNotMatch", 403, StorageFailed, "does not accept the credentials"),
        ("ExpiredToken", 400, StorageFailed, "have expired"),
        ("RequestTimeTooSkewed", 403, StorageFailed, "set the clock"),
        ("QuotaExceeded", 403, StorageFailed, "free some space"),
        ("Whatever", 507, StorageFailed, "free some space"),
        ("SlowDown", 503, TransientStorageFailure, "try again"),
        ("InternalError", 500, TransientStorageFailure, "try again"),
        ("NotImplemented", 501, NotOffered, "501 NotImplemented"),
        ("IncompleteBody", 400, TransientStorageFailure, "did not arrive as it was"),
        ("PreconditionFailed", 412, ConditionNotMet, "another object"),
        ("MissingContentLength", 411, StorageFailed, "411 MissingContentLength"),
    ],
)
def test_each_answer_is_explained(code: str, status: int, kind: type[Exception], words: str) -> None:
    error = explain_answer("s3://b/k on http://host", "PutObject", code, status, f"see http://u:{SECRET}@host/")

    assert type(error) is kind
    assert words in str(error)
    assert "s3://b/k on http://host" in str(error)
    assert SECRET not in str(error)


@pytest.mark.s3
def test_wrong_keys_are_refused_and_not_repeated(
    s3_bucket: str, s3_config: S3Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    with pytest.raises(StorageFailed, match="does not accept the credentials") as caught:
        S3Store(s3_bucket, "", s3_config).check_writable()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_folder_does_not_load_boto3(tmp_path: Path) -> None:
    program = (
        "import sys; from raysweep.config import S3Config; from raysweep.storage.open_store import open_store\n"
        f"open_store({str(tmp_path)!r}, S3Config()).check_writable()\n"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], env=dict(os.environ), check=False).returncode == 0
