"""What every store keeps, whatever is behind it: one suite for a folder and for a real S3 server."""

from __future__ import annotations

import base64
import hashlib
import pickle
import random
import secrets
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raysweep.config import EncryptionConfig, S3Config
from raysweep.errors import NotFound, RequestInvalid
from raysweep.storage.open_store import open_store
from raysweep.storage.store import Store
from s3_server import S3Server

BAD_KEYS = [
    "",
    "/etc/passwd",
    "../up",
    "a/../b",
    "a\\b",
    "a//b",
    "a/",
    "./a",
    "a\nb",
    "\ud800",
    ".raysweep-part-1",
]

ADD_LINES = """
import base64, pickle, sys
store = pickle.loads(base64.b64decode(sys.argv[1]))
for turn in range(5):
    while True:
        found = store.fetch("lines")
        if store.put_if_match("lines", found.content + f"{sys.argv[2]} {turn}\\n".encode(), found.etag):
            break
"""
BE_FIRST = """
import base64, pickle, sys
store = pickle.loads(base64.b64decode(sys.argv[1]))
for turn in range(5):
    if store.put_if_absent(f"race/{turn}", sys.argv[2].encode()):
        print(f"race/{turn}")
"""


class StoreContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_gives_back_what_was_put(self, store: Store) -> None:
        store.put("model/model.ubj", b"\x00\xff bytes")

        assert store.get("model/model.ubj") == b"\x00\xff bytes"
        assert store.exists("model/model.ubj")

    def test_put_replaces(self, store: Store) -> None:
        store.put("a", b"first, and longer")
        store.put("a", b"second")

        assert store.get("a") == b"second"
        assert [one.key for one in store.list()] == ["a"]

    def test_takes_empty_objects(self, store: Store) -> None:
        store.put("empty", b"")

        assert store.get("empty") == b""
        assert store.list()[0].size_bytes == 0

    def test_put_if_absent_takes_only_the_first(self, store: Store) -> None:
        assert store.put_if_absent("once", b"first") is True
        assert store.put_if_absent("once", b"second") is False
        assert store.get("once") == b"first"

    def test_put_if_absent_has_one_winner_among_threads(self, store: Store) -> None:
        for turn in range(10):
            start = threading.Barrier(2)

            def write(content: bytes, *, key: str = f"race/{turn}", start: threading.Barrier = start) -> bool:
                start.wait()
                return store.put_if_absent(key, content)

            with ThreadPoolExecutor(2) as pool:
                won = list(pool.map(write, (b"0", b"1")))

            assert sorted(won) == [False, True]
            assert store.get(f"race/{turn}") == str(won.index(True)).encode()

    def test_put_if_absent_takes_a_file(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "source").write_bytes(b"from a file")

        assert store.put_if_absent("file", tmp_path / "source")
        assert store.get("file") == b"from a file"

    def test_put_if_match_replaces_what_was_read(self, store: Store) -> None:
        store.put("alias.json", b"first")
        before = store.fetch("alias.json")

        assert before.content == b"first"
        assert store.put_if_match("alias.json", b"second", before.etag) is True
        assert store.put_if_match("alias.json", b"third", before.etag) is False
        assert store.fetch("alias.json").content == b"second"
        assert store.put_if_match("alias.json", b"first", store.fetch("alias.json").etag) is True
        assert [one.key for one in store.list()] == ["alias.json"]

    def test_put_if_match_makes_nothing(self, store: Store) -> None:
        store.put("gone", b"1")
        etag = store.fetch("gone").etag
        store.delete("gone")

        for key in ("gone", "never", "a/b"):
            assert store.put_if_match(key, b"2", etag) is False
        assert store.list() == []

    def test_put_if_match_has_one_winner_among_threads(self, store: Store) -> None:
        store.put("alias", b"before")
        for _ in range(3):
            start, etag = threading.Barrier(6), store.fetch("alias").etag

            def move(content: bytes, *, etag: str = etag, start: threading.Barrier = start) -> bool:
                start.wait()
                return store.put_if_match("alias", content, etag)

            contents = [secrets.token_bytes(8) for _ in range(6)]
            with ThreadPoolExecutor(6) as pool:
                won = list(pool.map(move, contents))

            assert won.count(True) == 1
            assert store.get("alias") == contents[won.index(True)]

    def test_put_if_match_loses_nothing_among_processes(self, store: Store) -> None:
        """Each of four processes adds its line five times, after what it has read: all are there in the end."""
        store.put("lines", b"")
        store_of_theirs = base64.b64encode(pickle.dumps(store)).decode()
        running = [
            subprocess.Popen([sys.executable, "-c", ADD_LINES, store_of_theirs, str(number)]) for number in range(4)
        ]
        assert [process.wait(120) for process in running] == [0, 0, 0, 0]

        lines = store.get("lines").decode().splitlines()
        assert sorted(lines) == sorted(f"{number} {turn}" for number in range(4) for turn in range(5))

    def test_put_if_absent_has_one_winner_among_processes(self, store: Store) -> None:
        store_of_theirs = base64.b64encode(pickle.dumps(store)).decode()
        running = [
            subprocess.Popen(
                [sys.executable, "-c", BE_FIRST, store_of_theirs, str(number)], stdout=subprocess.PIPE, text=True
            )
            for number in range(2)
        ]
        won = [set(process.communicate(timeout=120)[0].split()) for process in running]

        assert sorted(key for keys in won for key in keys) == [f"race/{turn}" for turn in range(5)]
        assert all(store.get(key) == str(number).encode() for number, keys in enumerate(won) for key in keys)

    def test_fetch_of_nothing_is_named(self, store: Store) -> None:
        with pytest.raises(NotFound, match="nothing"):
            store.fetch("nothing")

    def test_a_missing_object_is_named(self, store: Store, tmp_path: Path) -> None:
        store.put("folder/there", b"")

        for key in ("nothing", "folder/nothing", "folder"):
            assert not store.exists(key)
            with pytest.raises(NotFound, match=key):
                store.get(key)
            with pytest.raises(NotFound, match=key):
                store.download(key, tmp_path / "target")
            assert list(tmp_path.glob("**/target*")) == []

    def test_a_missing_source_is_named(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="no-such-file"):
            store.put("a", tmp_path / "no-such-file")
        with pytest.raises(NotFound, match="no-such-file"):
            store.put_if_absent("a", tmp_path / "no-such-file")
        assert not store.exists("a")

    def test_delete_removes_and_may_be_repeated(self, store: Store) -> None:
        store.put("a/b", b"1")
        store.delete("a/b")
        store.delete("a/b")

        assert not store.exists("a/b")
        assert store.list() == []

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_refuses_bad_keys(self, store: Store, tmp_path: Path, key: str) -> None:
        match = lambda key: store.put_if_match(key, b"", "0")  # noqa: E731
        for call in (store.get, store.fetch, store.exists, store.delete, match, lambda key: store.put(key, b"")):
            with pytest.raises(RequestInvalid, match="the key"):
                call(key)
        with pytest.raises(RequestInvalid, match="the key"):
            store.put_if_absent(key, b"")
        with pytest.raises(RequestInvalid, match="the key"):
            store.download(key, tmp_path / "target")

    def test_refuses_bad_prefixes(self, store: Store) -> None:
        for prefix in ("/", "../", "a//"):
            with pytest.raises(RequestInvalid):
                store.list(prefix)

    def test_lists_sorted_by_prefix(self, store: Store) -> None:
        for key in ("b/2", "b/1", "b-c", "b.d", "a", "b/deep/3"):
            store.put(key, key.encode())

        assert [one.key for one in store.list()] == ["a", "b-c", "b.d", "b/1", "b/2", "b/deep/3"]
        assert [one.key for one in store.list("b/")] == ["b/1", "b/2", "b/deep/3"]
        assert [one.key for one in store.list("b/d")] == ["b/deep/3"]
        assert [(one.key, one.size_bytes) for one in store.list("a")] == [("a", 1)]
        assert store.list("nothing/here") == []

    def test_lists_more_than_a_thousand(self, store: Store) -> None:
        keys = [f"many/{number:05}" for number in range(1_005)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: store.put(key, b"x"), keys))

        assert [one.key for one in store.list("many/")] == keys

    def test_keeps_names_beyond_ascii(self, store: Store) -> None:
        keys = ["Größe/日本 語.json", "a b+c%20d&e=f#g?.txt", "naïve'quote\".txt", "🐟"]
        for key in keys:
            store.put(key, key.encode())

        assert [one.key for one in store.list()] == sorted(keys)
        assert [store.get(key).decode() for key in keys] == keys

    def test_keeps_a_large_file(self, store: Store, tmp_path: Path) -> None:
        content = random.Random(0).randbytes(20 * 1024 * 1024)
        (tmp_path / "large").write_bytes(content)

        store.put("large", tmp_path / "large")
        store.download("large", tmp_path / "new" / "folder" / "back")

        back = (tmp_path / "new" / "folder" / "back").read_bytes()
        assert hashlib.sha256(back).digest() == hashlib.sha256(content).digest()
        assert store.list()[0].size_bytes == len(content)
        assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["back"]

    def test_child_sees_only_what_is_below_it(self, store: Store) -> None:
        child = store.child("runs/one")
        child.put("manifest.json", b"{}")
        store.put("runs/other", b"")

        assert store.get("runs/one/manifest.json") == b"{}"
        assert [one.key for one in child.list()] == ["manifest.json"]
        assert child.child("deep").list() == []
        assert child.address("manifest.json") == f"{store.address()}/runs/one/manifest.json"
        with pytest.raises(RequestInvalid):
            store.child("../elsewhere")

    def test_check_writable_leaves_nothing(self, store: Store) -> None:
        store.check_writable()

        assert store.list() == []

    def test_crosses_to_another_process(self, store: Store) -> None:
        store.put("a", b"1")

        assert pickle.loads(pickle.dumps(store)).get("a") == b"1"  # noqa: S301 - our own bytes


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(str(tmp_path / "store"), S3Config())


@pytest.mark.s3
class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, s3_bucket: str, s3_config: S3Config) -> Store:
        return open_store(f"s3://{s3_bucket}/pre fix/é", s3_config)

    def test_put_if_absent_of_what_one_request_cannot_hold(self, store: Store, tmp_path: Path) -> None:
        content = random.Random(1).randbytes(17 * 1024 * 1024)
        (tmp_path / "large").write_bytes(content)

        assert store.put_if_absent("large", tmp_path / "large", writer="one")
        assert store.put_if_absent("large", tmp_path / "large", writer="one")
        assert not store.put_if_absent("large", tmp_path / "large")
        assert store.get("large") == content


@pytest.mark.s3
class TestS3StoreOverHttpsAtTheRootOfABucket(StoreContract):
    @pytest.fixture
    def store(self, s3_bucket: str, s3_server: S3Server) -> Store:
        config = S3Config(
            endpoint_url=s3_server.https_url,
            ca_bundle=str(s3_server.tls.ca),
            encryption=EncryptionConfig(kind="AES256"),
        )
        return open_store(f"s3://{s3_bucket}", config)

    def test_everything_is_encrypted(self, store: Store, s3_bucket: str, s3_server: S3Server) -> None:
        store.put("small", b"1")
        store.put("large", bytes(17 * 1024 * 1024))
        store.put_if_absent("first", b"1")
        assert store.put_if_match("small", b"2", store.fetch("small").etag)

        client = s3_server.client()
        answers = {key: client.head_object(Bucket=s3_bucket, Key=key) for key in ("small", "large", "first")}
        client.close()
        kinds = {key: answer["ServerSideEncryption"] for key, answer in answers.items()}
        assert kinds == dict.fromkeys(answers, "AES256")
