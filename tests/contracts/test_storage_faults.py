"""A server that fails at a third of all requests: what is put arrives, once, and what is read is what was put."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.config import S3Config, load_config
from raysweep.errors import NotFound, StorageFailed
from raysweep.run_place import begin, reserve
from raysweep.runtime.run_folder import make_run_folder
from raysweep.storage import retry, s3_traits
from raysweep.storage.abilities import Action, probe_abilities
from raysweep.storage.open_store import open_beside, open_store
from raysweep.storage.retry import HASTY, PATIENT, RetryPolicy
from raysweep.storage.store import Store
from raysweep.unpublished import publish_left
from s3_proxy import Behaviour, Fault, Proxy, run_proxy
from s3_server import S3Server

pytestmark = pytest.mark.s3


QUICK = RetryPolicy(PATIENT.give_up_seconds, first_wait_seconds=0.02, longest_wait_seconds=0.3)
WORST = [(Fault.LOST_ANSWER,), (Fault.TRUNCATED_REQUEST,), (Fault.TRUNCATED_ANSWER,), tuple(Fault)]


@pytest.fixture
def proxy(s3_server: S3Server, s3_bucket: str) -> Iterator[Proxy]:
    s3_traits.forget()
    with run_proxy(s3_server, Behaviour(timeout_seconds=0.2)) as running:
        yield running


@pytest.fixture
def store(proxy: Proxy, s3_bucket: str) -> Store:
    return open_store(f"s3://{s3_bucket}/runs", S3Config(endpoint_url=proxy.url), policy=QUICK)


@pytest.mark.parametrize("fault", WORST, ids=lambda one: one[0] if len(one) == 1 else "all")
def test_nothing_is_lost_and_nobody_wins_twice(proxy: Proxy, store: Store, fault: tuple[Fault, ...]):
    proxy.behaviour.faults = fault
    content = random.Random(3).randbytes(300_000)
    for number in range(8):
        assert store.put_if_absent(f"first/{number}", content), "a lost answer is no lost race"
        assert not store.put_if_absent(f"first/{number}", b"another")
        assert store.get(f"first/{number}") == content
    found = store.fetch("first/0")
    assert store.put_if_match("first/0", b"moved", found.etag)
    assert not store.put_if_match("first/0", b"moved again", found.etag)
    assert [one.key for one in store.list("first/")] == [f"first/{number}" for number in range(8)]
    store.delete("first/0")
    assert not store.exists("first/0")
    for _ in range(8):
        with pytest.raises(NotFound):
            store.get("first/0")
    assert len(proxy.happened) > 3


def test_all_abilities_are_seen_through_faults(proxy: Proxy, store: Store):
    proxy.behaviour.faults = tuple(Fault)
    assert [one.action for one in probe_abilities(store) if not one.ok] == []
    assert proxy.happened


def test_a_large_file_arrives_part_by_part(proxy: Proxy, store: Store, tmp_path: Path):
    """A part that is lost is sent again, not the others."""
    store.put("ready", b"")
    proxy.requests.clear()
    proxy.behaviour.faults = tuple(Fault)
    content = random.Random(4).randbytes(60 * 1024 * 1024)
    (tmp_path / "large").write_bytes(content)
    assert store.put_if_absent("large", tmp_path / "large")
    begun = [path for method, path in proxy.requests if method == "POST" and "?uploads" in path]
    sent = [path for method, path in proxy.requests if method == "PUT" and "partNumber" in path]
    proxy.behaviour.faults = ()
    store.download("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert len(sent) < 4 * max(2, len(begun)) * 2


def test_moving_one_alias_through_faults(proxy: Proxy, store: Store):
    """Each of four writers counts up five times; none is lost, and none counts twice."""
    store.put("count", b"0")
    proxy.behaviour.faults = tuple(Fault)

    def count_up(_: int) -> None:
        for _ in range(5):
            while True:
                found = store.fetch("count")
                if store.put_if_match("count", str(int(found.content) + 1).encode(), found.etag):
                    break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(4)))
    assert int(store.get("count")) >= 20  # one whose answer was lost, and that was replaced at once, counts again


def test_a_server_that_is_away_or_silent_is_given_up_in_time(proxy: Proxy, s3_bucket: str):
    short = RetryPolicy(3.0, answer_seconds=0.5)
    config = S3Config(endpoint_url=proxy.url)
    proxy.behaviour.silent = True
    with pytest.raises(StorageFailed, match=r"does not answer.*tried [2-9] times in \d+ s"):
        open_store(f"s3://{s3_bucket}", config, policy=short).get("key")
    proxy.behaviour.silent = False
    open_store(f"s3://{s3_bucket}", config, policy=short).put("key", b"1")


@pytest.fixture
def silent() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes every connection and reads on, without a word; and the first bytes that came with each."""
    requests: list[bytes] = []
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                    requests.append(kept[-1].recv(4096))
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for one in kept:
        one.close()


def test_a_silent_server_is_given_up_after_a_few_requests_and_somebody_who_waits_is_told(
    silent: tuple[str, list[bytes]], s3_bucket: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    url, requests = silent
    config = S3Config(endpoint_url=url, encryption={"kind": "AES256"})
    quick = replace(HASTY, give_up_seconds=1.0, answer_seconds=1.0)
    monkeypatch.setattr(retry, "_WORTH_SAYING_SECONDS", 0.5)
    first, *others = probe_abilities(open_store(f"s3://{s3_bucket}/runs", config, policy=quick))
    assert "does not answer (ReadTimeoutError)" in first.missing
    assert first.to_ask_for == "", "nobody has denied anything"
    assert not any(one.is_tried for one in others)
    words = [one.split(b" ")[0] for one in requests]
    assert words == [b"PUT", b"PUT"], "a try is one request: none of boto3's own, none without encryption, no deletion"
    assert len([one for one in caplog.records if "waiting for s3://" in one.message]) == 1, "once a call"


def test_who_waits_for_an_answer_has_it_within_half_a_minute():
    longest = HASTY.least_attempts * (HASTY.answer_seconds + HASTY.longest_wait_seconds)
    assert max(longest, HASTY.give_up_seconds + HASTY.answer_seconds) <= 30


def test_a_silent_server_keeps_nobody_from_another_one(silent: tuple[str, list[bytes]], s3_bucket: str, store: Store):
    url, requests = silent
    blocked = open_store(f"s3://{s3_bucket}/runs", S3Config(endpoint_url=url), policy=replace(HASTY, answer_seconds=25))

    def wait() -> None:
        with suppress(StorageFailed):
            blocked.put("key", b"")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while not requests:
        threading.Event().wait(0.01)
    begun = time.monotonic()
    store.put("key", b"1")
    assert time.monotonic() - begun < 20, "the other one still waits for its first answer"


def test_where_nothing_may_be_deleted_no_probe_stays_below_a_run(proxy: Proxy, s3_bucket: str):
    proxy.behaviour.deletes = False
    config = S3Config(endpoint_url=proxy.url)
    lacking = [one for one in probe_abilities(open_store(f"s3://{s3_bucket}/runs", config)) if not one.ok]
    assert [(one.action, one.to_ask_for) for one in lacking] == [
        (Action.DELETE, f"s3:DeleteObject on arn:aws:s3:::{s3_bucket}/runs/*")
    ]
    place = f"s3://{s3_bucket}/runs"
    for run in (open_beside(f"{place}/one", config), open_store(place, config).child("two")):
        s3_traits.forget()
        run.put("report.html", b"")
        assert [one.key for one in run.list()] == ["report.html"]
    assert open_beside(f"s3://{s3_bucket}", config).address() == f"s3://{s3_bucket}"


def test_a_bundle_that_was_left_is_published_without_a_probe(
    proxy: Proxy, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a later process does it, with credentials that may not delete."""
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
    proxy.behaviour.deletes = False
    export = {"to": f"s3://{s3_bucket}/runs", "s3": {"endpoint_url": proxy.url}}
    config = load_config({"version": 1, "data": {"source": "memory:", "target": "late"}, "export": export})
    folder = make_run_folder("one")
    begin(reserve(config, "one", None), config, folder, lambda _: None)[0].close()
    (folder.outgoing / "manifest.json").write_bytes(b"{}")
    (folder.outgoing / "SHA256SUMS").write_text(f"{hashlib.sha256(b'{}').hexdigest()}  manifest.json\n")
    assert folder.remove_what_is_private()
    s3_traits.forget()
    store = publish_left(f"s3://{s3_bucket}/runs/one", None, lambda _: None)
    assert store is not None
    assert store.get("manifest.json") == b"{}"
    assert [one.key for one in store.list() if "probe" in one.key] == []
