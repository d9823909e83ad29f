"""Trying again: a store around a store that waits out failures which may be gone a moment later."""

from __future__ import annotations

import itertools
import logging
import random as randomness
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from raysweep.storage.abilities import check_abilities
from raysweep.storage.store import Fetched, Store, StoredObject, Traits, TransientStorageFailure

_LOG: Final = logging.getLogger(__name__)
_WORTH_SAYING_SECONDS: Final = 3.0
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to try; waits double up to the longest, each cut by up to a half at random.

    Attributes:
        give_up_seconds: no further try begins later than this after the first one.
        least_attempts: but so many there are, also where a single one takes that long.
        answer_seconds: how long one request may stay without an answer.
        says_so: whether a warning is logged once somebody waits.
    """

    give_up_seconds: float = 15.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 8.0
    least_attempts: int = 2
    answer_seconds: float = 30.0
    says_so: bool = False

    def waits(self, random: Callable[[], float]) -> Iterator[float]:
        """The waits between the attempts, in seconds, without end; `random` gives numbers from 0 up to 1."""
        for number in itertools.count():
            whole = min(self.first_wait_seconds * 2 ** min(number, 30), self.longest_wait_seconds)
            yield whole * (1 - random() / 2)


HASTY: Final = RetryPolicy(answer_seconds=7.0, says_so=True)  # somebody waits for the answer
PATIENT: Final = RetryPolicy(150.0)  # a server that is away or silent for a minute costs no sweep


def try_again(
    call: Callable[[], ResultT],
    policy: RetryPolicy,
    *,
    sleep: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = randomness.random,
    clock: Callable[[], float] = time.monotonic,
) -> ResultT:
    """What `call` gives, once it gives anything.

    Raises:
        TransientStorageFailure: it still failed at the end; every other error comes at once.
    """
    begun, said = clock(), not policy.says_so
    for number, wait_seconds in enumerate(policy.waits(random), 1):
        try:
            return call()
        except TransientStorageFailure as error:
            seconds = clock() - begun
            if seconds + wait_seconds > policy.give_up_seconds and number >= policy.least_attempts:
                raise TransientStorageFailure(f"{error} (tried {number} times in {seconds:.0f} s)") from error
            if not said and seconds + wait_seconds > _WORTH_SAYING_SECONDS:
                _LOG.warning("waiting for %s", str(error).partition(";")[0])
                said = True
        sleep(wait_seconds)
    raise AssertionError("waits never end")


def hasty(store: Store) -> Store:
    """The same store, for somebody who waits out failures by other means."""
    return store.with_policy(replace(HASTY, says_so=False)) if isinstance(store, RetryingStore) else store


class RetryingStore:
    """A `Store` that tries again on `TransientStorageFailure`, and hands every other error up at once."""

    def __init__(
        self,
        inner: Store,
        *,
        policy: RetryPolicy = HASTY,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = randomness.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._sleep = sleep
        self._random = random
        self._clock = clock

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

    def traits(self) -> Traits:
        """See `Store.traits`."""
        return self._retried(self._inner.traits)

    def check_writable(self) -> None:
        """See `Store.check_writable`; each action is tried again by itself."""
        check_abilities(self)

    def child(self, prefix: str) -> RetryingStore:
        """See `Store.child`."""
        return self._around(self._inner.child(prefix), self._policy)

    def with_policy(self, policy: RetryPolicy) -> RetryingStore:
        """The same store with other patience."""
        return self._around(self._inner, policy)

    def _around(self, inner: Store, policy: RetryPolicy) -> RetryingStore:
        return RetryingStore(inner, policy=policy, sleep=self._sleep, random=self._random, clock=self._clock)

    def _retried(self, call: Callable[[], ResultT]) -> ResultT:
        return try_again(call, self._policy, sleep=self._sleep, random=self._random, clock=self._clock)
