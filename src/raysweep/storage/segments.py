"""Lines of a journal on their way to a far store: numbered segments, put in batches by a thread of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from raysweep.errors import RunTakenOver, StorageFailed
from raysweep.storage.store import Store


@dataclass(frozen=True, slots=True)
class Pace:
    """How long lines are gathered before they are put, and the waits after a failure, which double.

    Attributes:
        give_up_seconds: how long somebody waits who needs to know that all is put: longer than a server is away.
    """

    gather_seconds: float = 0.4
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 10.0
    give_up_seconds: float = 150.0


class SegmentWriter:
    """Puts lines under `name(1)`, `name(2)`, ... within a second; while the store is away, it keeps trying.

    Args:
        store: where to; its own retries come first.
        name: the key of a segment by its number.
        check: raises `RunTakenOver` once somebody else owns the run; called before and after each put, so that
            what was put before the run was taken over is known to count.
        pace: how fast.
    """

    def __init__(
        self, store: Store, name: Callable[[int], str], check: Callable[[], None], pace: Pace | None = None
    ) -> None:
        self._store = store
        self._name = name
        self._check = check
        self._pace = pace or Pace()
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._is_putting = False
        self._hurry = False
        self._given_up = False
        self._failure: Exception | None = None
        self._trouble = ""
        self._thread = threading.Thread(target=self._work, name="raysweep-journal", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why the last try failed; empty once one went well again."""
        return self._trouble

    def add(self, line: bytes) -> None:
        """Hand over a line; returns at once.

        Raises:
            RunTakenOver: nothing is put any more.
        """
        with self._changed:
            if self._failure is not None:
                raise self._failure
            self._lines.append(line)
            self._changed.notify_all()

    def flush(self, seconds: float | None = None) -> None:
        """Put every line now; on return they are in the store.

        Raises:
            StorageFailed: they are not after so many seconds, or those of the pace; the thread keeps trying.
            RunTakenOver: they never will be.
        """
        deadline = time.monotonic() + (self._pace.give_up_seconds if seconds is None else seconds)
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._failure or not self._has_work, max(0.0, deadline - time.monotonic()))
            self._hurry = False
            if self._failure is not None:
                raise self._failure
            if self._has_work:
                raise StorageFailed(f"the journal could not be put: {self._trouble or 'no answer yet'}")

    def close(self, seconds: float | None = None) -> None:
        """Put what is left, and end the thread; a second time does nothing.

        Raises:
            StorageFailed, RunTakenOver: as `flush`.
        """
        if self._given_up:
            return
        try:
            self.flush(seconds)
        finally:
            with self._changed:
                self._given_up = True
                self._changed.notify_all()
            self._thread.join(1.0)  # it may be in the middle of a put that hangs; it is a daemon

    @property
    def _has_work(self) -> bool:
        return bool(self._lines) or self._is_putting

    def _work(self) -> None:
        number = 0
        while (batch := self._next_batch()) is not None:
            number += 1
            if not self._put(self._name(number), batch):
                return
            with self._changed:
                self._is_putting = False
                self._changed.notify_all()

    def _next_batch(self) -> bytes | None:
        """Everything that was gathered in a while; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._given_up)
            self._changed.wait_for(lambda: self._hurry or self._given_up, self._pace.gather_seconds)
            if self._given_up:
                return None
            batch = b"".join(self._lines)
            self._lines.clear()
            self._is_putting = True
            return batch

    def _put(self, key: str, batch: bytes) -> bool:
        """Try until it is there; whether it is. A batch that failed may be there all the same: it never changes."""
        wait_seconds = self._pace.first_wait_seconds
        while True:
            try:
                self._put_once(key, batch)
            except RunTakenOver as error:
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return False
            except Exception as error:  # noqa: BLE001 - whatever it is, the lines are kept and tried again
                self._trouble = str(error) or type(error).__name__
            else:
                self._trouble = ""
                return True
            with self._changed:
                if self._changed.wait_for(lambda: self._given_up, wait_seconds):
                    return False
            wait_seconds = min(2 * wait_seconds, self._pace.longest_wait_seconds)

    def _put_once(self, key: str, batch: bytes) -> None:
        self._check()
        if not self._store.put_if_absent(key, batch) and self._store.get(key) != batch:
            raise RunTakenOver(f"{self._store.address(key)} holds what another process wrote: this one has stopped")
        self._check()
