"""Trying again: a store around a store that waits out failures which may be gone a moment later."""

from __future__ import annotations

import random as randomness
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from raysweep.storage.store import Fetched, Store, StoredObject, TransientStorageFailure

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try; waits double up to the longest, each cut by up to a half at random."""

    attempts: int = 6
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 8.0

    def waits(self, random: Callable[[], float]) -> Iterator[float]:
        """The waits between the attempts, in seconds; `random` gives numbers from 0 up to 1."""
        for number in range(self.attempts - 1):
            whole = min(self.first_wait_seconds * 2**number, self.longest_wait_seconds)
            yield whole * (1 - random() / 2)


class RetryingStore:
    """A `Store` that tries again on `TransientStorageFailure`, and hands every other error up at once."""

    def __init__(
        self,
        inner: Store,
        *,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._inner = inner
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._random = random

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Store.put`."""
        self._retried(lambda: self._inner.put(key, source))

    def put_if_absent(self, key: str, source: bytes | Path, *, writer: str | None = None) -> bool:
        """See `Store.put_if_absent`; one writer for all attempts, so that a lost answer is no lost race."""
        name = writer or secrets.token_hex(16)
        return self._retried(lambda: self._inner.put_if_absent(key, source, writer=name))

    def put_if_match(self, key: str, source: bytes, etag: str, *, writer: str | None = None) -> bool:
        """See `Store.put_if_match`; one writer for all attempts."""
        name = writer or secrets.token_hex(16)
        return self._retried(lambda: self._inner.put_if_match(key, source, etag, writer=name))

    def fetch(self, key: str) -> Fetched:
        """See `Store.fetch`."""
        return self._retried(lambda: self._inner.fetch(key))

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        return self._retried(lambda: self._inner.get(key))

    def download(self, key: str, path: Path) -> None:
        """See `Store.download`."""
        self._retried(lambda: self._inner.download(key, path))

    def list(self, prefix: str = "") -> list[StoredObject]:
        """See `Store.list`."""
        return self._retried(lambda: self._inner.list(prefix))

    def exists(self, key: str) -> bool:
        """See `Store.exists`."""
        return self._retried(lambda: self._inner.exists(key))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._retried(lambda: self._inner.delete(key))

    def address(self, key: str = "") -> str:
        """See `Store.address`."""
        return self._inner.address(key)

    def check_writable(self) -> None:
        """See `Store.check_writable`; not tried again, since somebody is waiting for the answer."""
        self._inner.check_writable()

    def child(self, prefix: str) -> RetryingStore:
        """See `Store.child`."""
        return RetryingStore(self._inner.child(prefix), policy=self._policy, sleep=self._sleep, random=self._random)

    def _retried(self, call: Callable[[], ResultT]) -> ResultT:
        for wait_seconds in self._policy.waits(self._random):
            try:
                return call()
            except TransientStorageFailure:
                self._sleep(wait_seconds)
        try:
            return call()
        except TransientStorageFailure as error:
            raise TransientStorageFailure(f"{error} (tried {self._policy.attempts} times)") from error
