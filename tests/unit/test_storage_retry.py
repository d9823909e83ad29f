from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from raysweep.errors import StorageFailed
from raysweep.storage.local import LocalStore
from raysweep.storage.retry import PATIENT, RetryingStore, RetryPolicy
from raysweep.storage.store import TransientStorageFailure


class FlakyStore(LocalStore):
    """A folder store whose next calls of `get` and `put_if_absent` fail as told."""

    def __init__(self, root: Path, failures: list[Exception]) -> None:
        super().__init__(root)
        self.failures = failures
        self.writers: list[str | None] = []

    def get(self, key: str) -> bytes:
        self._fail()
        return super().get(key)

    def put_if_absent(self, key: str, source: bytes | Path, *, writer: str | None = None) -> bool:
        self.writers.append(writer)
        self._fail()
        return super().put_if_absent(key, source)

    def child(self, prefix: str) -> FlakyStore:
        return FlakyStore(self._root / prefix, self.failures)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


Waits = list[float]


@pytest.fixture
def waits() -> Waits:
    return []


@pytest.fixture
def retrying(tmp_path: Path, waits: Waits) -> Callable[..., RetryingStore]:
    def make(*failures: Exception, give_up: float = 15.0, call_seconds: float = 0.0) -> RetryingStore:
        (tmp_path / "key").write_bytes(b"content")
        inner = FlakyStore(tmp_path, list(failures))
        calls = itertools.count()
        return RetryingStore(
            inner,
            policy=RetryPolicy(give_up),
            sleep=waits.append,
            random=lambda: 0.0,
            clock=lambda: sum(waits) + call_seconds * next(calls),
        )

    return make


def busy() -> TransientStorageFailure:
    return TransientStorageFailure("s3://bucket/key: too busy")


def test_waits_out_what_passes(retrying: Callable[..., RetryingStore], waits: Waits) -> None:
    assert retrying(busy(), busy(), busy()).get("key") == b"content"
    assert waits == [0.5, 1.0, 2.0]


def test_waits_are_capped_and_jittered() -> None:
    policy = RetryPolicy()

    assert list(itertools.islice(policy.waits(lambda: 0.0), 7)) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert list(itertools.islice(policy.waits(lambda: 0.5), 2)) == [0.375, 0.75]


def test_gives_up_and_says_how_often_it_tried(retrying: Callable[..., RetryingStore], waits: Waits) -> None:
    store = retrying(*[busy()] * 20, give_up=5.0)

    with pytest.raises(TransientStorageFailure, match=r"too busy \(tried 4 times in 4 s\)"):
        store.get("key")
    assert waits == [0.5, 1.0, 2.0]


def test_a_server_that_is_away_for_a_minute_is_waited_for(retrying: Callable[..., RetryingStore], waits: Waits) -> None:
    store = retrying(*[busy()] * 12, give_up=PATIENT.give_up_seconds)

    assert store.get("key") == b"content"
    assert sum(waits) > 60


def test_a_server_that_is_silent_for_long_is_asked_twice(retrying: Callable[..., RetryingStore], waits: Waits) -> None:
    """One request alone takes longer than there is patience."""
    assert retrying(busy(), give_up=15.0, call_seconds=60.0).get("key") == b"content"
    with pytest.raises(TransientStorageFailure, match="tried 2 times"):
        retrying(busy(), busy(), give_up=15.0, call_seconds=60.0).get("key")


def test_hands_up_at_once_what_does_not_pass(retrying: Callable[..., RetryingStore], waits: Waits) -> None:
    with pytest.raises(StorageFailed, match="denied"):
        retrying(StorageFailed("denied")).get("key")
    assert waits == []


def test_each_action_of_a_check_is_tried_again(retrying: Callable[..., RetryingStore], waits: Waits) -> None:
    retrying(busy(), busy()).check_writable()
    assert waits == [0.5, 1.0]


def test_all_attempts_have_one_writer(retrying: Callable[..., RetryingStore]) -> None:
    store = retrying(busy(), busy())

    assert store.put_if_absent("new", b"1") is True
    assert store.put_if_absent("new", b"1") is False
    first, second, third, next_call = store._inner.writers
    assert first == second == third != next_call
    assert first


def test_a_child_tries_again_too(retrying: Callable[..., RetryingStore], tmp_path: Path, waits: Waits) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "key").write_bytes(b"deep")

    assert retrying(busy()).child("below").get("key") == b"deep"
    assert waits == [0.5]
