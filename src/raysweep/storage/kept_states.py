"""What long trials had come to, kept beside the journal while they run, so that they go on there after a loss.

    journal/kept/000002/000017-3.state     of the candidate 17 at its rung 3, by the driver of epoch 2

None of it is part of a bundle. A record of the journal names an object only once it is there as a whole. Where the
store does not take one, the trial would have to begin anew if its process was lost; nothing else happens.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from raysweep.errors import NotFound, RaysweepError, RunTakenOver
from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.storage.store import Store

KEPT_FOLDER: Final = f"{JOURNAL_FOLDER}kept/"
_GENERATIONS: Final = 2  # the record of the newest may not be durable yet when its driver dies
_GIVE_UP_SECONDS: Final = 10.0
_MOST_BYTES: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Stored:
    """A state that is in the store as a whole.

    Attributes:
        key: where.
        sha256: of its bytes.
    """

    candidate: int
    rung: int
    key: str
    sha256: str


class KeptStates:
    """Puts states by a thread of its own; the newest of a candidate counts.

    Args:
        store: the run's place.
        epoch: of this driver.
        check: raises `RunTakenOver` once another driver owns the run: nothing is put after that.
        say: gets a sentence when something could not be put.
        most_bytes: of the states that wait to be put.
    """

    def __init__(
        self,
        store: Store,
        epoch: int,
        check: Callable[[], None],
        say: Callable[[str], None],
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._store, self._epoch, self._check, self._say = store, epoch, check, say
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._waiting: dict[int, tuple[int, bytes]] = {}
        self._put: dict[int, list[str]] = defaultdict(list)
        self._gone: set[int] = set()
        self._delete: deque[str] = deque()
        self._done: deque[Stored] = deque()
        self._trouble: deque[str] = deque()
        self._said = self._closing = False
        self._number = 0  # of states so far: a rung that is reached again has another key than the journal knows
        self._thread: threading.Thread | None = None

    def put(self, candidate: int, rung: int, content: bytes) -> None:
        """Hand over a state; returns at once."""
        with self._changed:
            if self._closing:
                return
            self._waiting.pop(candidate, None)  # the newest stands last
            self._waiting[candidate] = rung, content
            self._make_room()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="raysweep-kept", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _make_room(self) -> None:
        """Let go of the oldest where the store is slower than they come: the driver's memory has an end."""
        while len(self._waiting) > 1 and sum(len(state) for _, state in self._waiting.values()) > self._most_bytes:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            self._trouble.append(f"the state of trial {oldest} is not kept (the store is slower than they come)")

    def take_stored(self) -> list[Stored]:
        """The states that have come to lie in the store since this was asked last."""
        with self._changed:
            trouble = self._trouble[0] if self._trouble and not self._said else ""
            self._said = self._said or bool(trouble)
        if trouble:
            self._say(f"{trouble}: a long trial that loses its process begins anew until this is over")
        found = []
        while self._done:
            found.append(self._done.popleft())
        return found

    def get(self, key: str, sha256: str) -> bytes:
        """The state under this key; takes as long as the store does.

        Raises:
            NotFound: it is not there any more, or is not what was put.
            StorageFailed: the store does not answer.
        """
        content = self._store.get(key)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise NotFound(f"{self._store.address(key)} is not what was put there")
        return content

    def forget(self, candidate: int) -> None:
        """The trial is over: its states go."""
        with self._changed:
            self._waiting.pop(candidate, None)
            self._gone.add(candidate)
            self._delete.extend(self._put.pop(candidate, ()))
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After a search whose end is written down nothing is needed any more; one that broke off is gone on with."""
        self.close()
        if error is None:
            self.clear()

    def close(self) -> None:
        """Put nothing more."""
        with self._changed:
            self._waiting.clear()
            self._closing = True
            self._changed.notify_all()

    def clear(self, seconds: float = _GIVE_UP_SECONDS) -> None:
        """Delete what is left of all drivers, as far as that is done in so many seconds."""
        self.close()
        sweeper = threading.Thread(target=self._clear, name="raysweep-kept-clear", daemon=True)
        sweeper.start()
        sweeper.join(seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._delete or self._closing)
                if self._closing:
                    return
                doomed = list(self._delete)
                self._delete.clear()
                candidate = next(iter(self._waiting), None)
                work = None if candidate is None else self._waiting.pop(candidate)
            for key in doomed:
                with suppress(RaysweepError):
                    self._store.delete(key)
            if candidate is not None and work is not None and not self._put_one(candidate, *work):
                return

    def _put_one(self, candidate: int, rung: int, content: bytes) -> bool:
        """Put it; False where nothing may be put any more."""
        self._number += 1
        key = f"{KEPT_FOLDER}{self._epoch:06d}/{candidate:06d}-{rung}-{self._number}.state"
        try:
            self._check()
            self._store.put(key, content)
        except RunTakenOver:  # whoever writes the next record hears of it
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, no trial has failed for that
            self._trouble.append(f"the state of trial {candidate} cannot be kept ({error})")
            return True
        with self._changed:
            self._trouble.clear()
            self._said = self._said and bool(self._waiting)  # where the store is slow it is said once
            if candidate in self._gone:
                self._delete.append(key)
                return True
            keys = self._put[candidate]
            keys.append(key)
            while len(keys) > _GENERATIONS:
                self._delete.append(keys.pop(0))
        self._done.append(Stored(candidate, rung, key, hashlib.sha256(content).hexdigest()))
        return True

    def _clear(self) -> None:
        if self._thread is not None:
            self._thread.join()
        with suppress(RaysweepError):
            self._check()
            for one in self._store.list(KEPT_FOLDER):
                self._store.delete(one.key)
