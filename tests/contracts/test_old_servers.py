"""Servers that lack something, played by a proxy before a real one: what is found out, done instead, and said."""

from __future__ import annotations

import base64
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from raysweep.config import EncryptionConfig, S3Config
from raysweep.errors import StorageFailed
from raysweep.storage import s3_traits
from raysweep.storage.abilities import Ability, Action, check_abilities, probe_abilities
from raysweep.storage.local import LocalStore
from raysweep.storage.open_store import open_store
from raysweep.storage.store import ConditionalWritesMissing, EncryptionMissing, Store
from s3_proxy import Behaviour, Proxy, ceph_16, rclone, run_proxy, swift
from s3_server import S3Server

pytestmark = pytest.mark.s3

OLD_SERVERS = (ceph_16, swift, rclone)
Opened = tuple[Store, Proxy]


@pytest.fixture(autouse=True)
def _new_process() -> None:
    s3_traits.forget()


@pytest.fixture
def opened(s3_server: S3Server, s3_bucket: str, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """A store on the server that the test asks for, over https."""
    with run_proxy(s3_server, request.param(), https=True) as proxy:
        yield open_store(f"s3://{s3_bucket}/runs", settings(proxy)), proxy


def settings(proxy: Proxy, **more: object) -> S3Config:
    return S3Config(endpoint_url=proxy.url, ca_bundle=str(proxy.server.tls.ca), **more)


def lacking(abilities: tuple[Ability, ...]) -> list[Action]:
    return [one.action for one in abilities if not one.ok]


def on(*servers: Callable[[], Behaviour]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("opened", servers, indirect=True, ids=lambda make: make.__name__)


@on(*OLD_SERVERS)
def test_what_a_sweep_needs_works_everywhere(opened: Opened, tmp_path: Path):
    store, _ = opened
    content = random.Random(2).randbytes(17 * 1024 * 1024)
    (tmp_path / "large").write_bytes(content)
    store.check_writable()
    store.put("small", b"1")
    assert store.put_if_absent("once", b"first")
    assert not store.put_if_absent("once", b"second")
    assert store.put_if_absent("large", tmp_path / "large")
    assert not store.put_if_absent("large", b"small")
    store.download("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert [(one.key, store.exists(one.key)) for one in store.list()] == [
        (key, True) for key in ("large", "once", "small")
    ]
    store.delete("small")
    assert not store.exists("small")
    assert store.get("once") == b"first"


@on(ceph_16, swift)
def test_what_boto3_does_by_itself_is_refused_there(opened: Opened, s3_bucket: str):
    """So that the test above shows that it is avoided."""
    _, proxy = opened
    client = boto3.session.Session().client(
        "s3", endpoint_url=proxy.url, region_name="us-east-1", verify=str(proxy.server.tls.ca)
    )
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=s3_bucket, Key="a", Body=b"1")
    client.close()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == proxy.behaviour.trailers


@on(swift, rclone)
def test_without_conditional_writes_nothing_can_be_moved(opened: Opened):
    store, _ = opened
    store.put("production.json", b"old")
    with pytest.raises(ConditionalWritesMissing, match=r"If-Match.*use a server with conditional writes") as refused:
        store.put_if_match("production.json", b"new", store.fetch("production.json").etag)
    assert refused.value.exit_code == 6
    assert store.get("production.json") == b"old"


@on(swift, rclone)
def test_what_is_missing_is_said(opened: Opened):
    store, _ = opened
    assert lacking(probe_abilities(store)) == [Action.PUT_IF_ABSENT, Action.PUT_IF_MATCH]
    if_absent, if_match = check_abilities(store)
    assert "looked before and after" in if_absent
    assert "aliases such as production cannot be moved" in if_match
    assert store.list() == []


@on(Behaviour, swift)
def test_it_is_found_out_once(opened: Opened):
    store, proxy = opened
    store.put("a", b"1")
    proxy.requests.clear()
    for number in range(5):
        assert store.child(f"run-{number}").put_if_absent("key", b"1")
    assert [method for method, path in proxy.requests if ".raysweep" in path] == []


@on(Behaviour)
def test_a_probe_is_few_requests_and_leaves_nothing(opened: Opened):
    store, proxy = opened
    abilities = probe_abilities(store)
    assert lacking(abilities) == []
    assert len(proxy.requests) <= 10
    assert store.list() == []
    assert [one.action for one in abilities] == [action for action in Action if action is not Action.ENCRYPT]
    permissions = {one.action: one.permission for one in abilities}
    assert permissions[Action.GET].startswith("s3:GetObject on arn:aws:s3:::bucket-")
    assert permissions[Action.LIST] == f"s3:ListBucket on arn:aws:s3:::{store.address().split('/')[2]}"


@on(ceph_16)
def test_a_server_that_ignores_encryption_is_refused_before_anything_of_worth_is_there(opened: Opened, s3_bucket: str):
    _, proxy = opened
    config = settings(proxy, encryption=EncryptionConfig(kind="AES256"))
    store = open_store(f"s3://{s3_bucket}/secret", config)
    says = r"asks for AES256, but the server ignores it.*export\.s3\.encryption\.required=false"
    for call in (lambda: store.put("a", b"1"), lambda: store.put_if_absent("a", b"1"), store.check_writable):
        with pytest.raises(EncryptionMissing, match=says) as refused:
            call()
        assert refused.value.exit_code == 6
    assert store.list() == []
    assert Action.ENCRYPT in lacking(probe_abilities(store))


@on(ceph_16)
def test_encryption_that_is_not_required_is_gone_without_and_said(opened: Opened, s3_bucket: str):
    _, proxy = opened
    config = settings(proxy, encryption=EncryptionConfig(kind="AES256", required=False))
    store = open_store(f"s3://{s3_bucket}/plain", config)
    (said,) = check_abilities(store)
    assert "asks for AES256, but the server ignores it" in said
    assert "is not encrypted" in said
    store.put("a", b"1")
    assert store.get("a") == b"1"


def test_a_key_that_the_server_does_not_have_is_no_busy_server(s3_server: S3Server, s3_bucket: str):
    """SeaweedFS without a KMS answers 500 for good."""
    config = S3Config(endpoint_url=s3_server.endpoint_url, encryption=EncryptionConfig(kind="aws:kms", key_id="mine"))
    with pytest.raises(EncryptionMissing, match=r"asks for aws:kms, but the server (fails at|refuses) it"):
        open_store(f"s3://{s3_bucket}", config).check_writable()


CLAIM = """
import base64, pickle, sys
from raysweep.storage.epochs import claim, this_driver
store = pickle.loads(base64.b64decode(sys.argv[1]))
for turn in range(5):
    try:
        claim(store.child(f"run-{turn}"), this_driver(f"run-{turn}", 1))
        print(turn)
    except Exception as error:
        assert "belongs to another run" in str(error), error
"""


@on(Behaviour)
def test_of_two_sweeps_that_take_one_run_id_one_gets_it(opened: Opened):
    store, _ = opened
    theirs = base64.b64encode(pickle.dumps(store)).decode()
    running = [
        subprocess.Popen([sys.executable, "-c", CLAIM, theirs], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    won = [process.communicate(timeout=120)[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sorted(turn for turns in won for turn in turns) == ["0", "1", "2", "3", "4"]


def test_a_folder_can_do_everything(tmp_path: Path):
    abilities = probe_abilities(LocalStore(tmp_path))
    assert lacking(abilities) == []
    assert {one.permission for one in abilities} == {""}
    assert list(tmp_path.rglob("*.json")) == []


def test_credentials_that_may_not_write_are_told_what_to_ask_for(s3_server: S3Server, s3_bucket: str):
    with pytest.raises(StorageFailed, match="does not exist"):
        check_abilities(open_store("s3://no-such-bucket", S3Config(endpoint_url=s3_server.endpoint_url)))
    first, *others = probe_abilities(open_store("s3://no-such-bucket/a", S3Config(endpoint_url=s3_server.endpoint_url)))
    assert "does not exist" in first.missing
    assert first.permission.startswith("s3:PutObject and s3:AbortMultipartUpload on arn:aws:s3:::no-such-bucket/a/*")
    assert {one.missing for one in others} == {"not tried, since nothing can be put"}
