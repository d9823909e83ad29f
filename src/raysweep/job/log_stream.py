"""What a job prints, as it prints it, across broken connections: nothing is missed, nothing comes twice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from raysweep.errors import RayUnavailable
from raysweep.job.jobs_api import Job, JobsApi

LOOK_SECONDS: Final = 4.0  # how often a silent job is asked for
LOST_SECONDS: Final = 15.0  # a request that gets no answer takes another ten: together under 30
_AFTER_END_SECONDS: Final = 10.0  # the log of a job that is over comes within this, or its node is gone
_TURN_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 1.0
_LONGEST_MESSAGE: Final = 64 * 1024 * 1024

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Closed:
    """The connection is closed; `properly` where the other side had nothing more to say."""

    properly: bool


_Queue = SimpleQueue["str | _Closed"]


class LogStream:
    """The log of one job."""

    def __init__(self, api: JobsApi, submission_id: str, *, clock: Clock = time.monotonic) -> None:
        """Nothing is asked for yet."""
        self._api = api
        self._id = submission_id
        self._clock = clock
        self._received = 0  # characters, over all connections
        self._heard = clock()
        self._over_since: float | None = None
        self.job: Job | None = None  # as it was last seen; over, once the log has ended

    def lines(self) -> Iterator[str | None]:
        """Each line without its end, once it is whole; None now and then while nothing comes.

        Raises:
            RayUnavailable: the cluster has not answered for a while.
            NotFound: it does not know the job any more.
        """
        rest = ""
        for piece in self._pieces():
            if piece is None:
                yield None
                continue
            *whole, rest = (rest + piece).split("\n")
            yield from whole
        if rest:
            yield rest

    def _pieces(self) -> Iterator[str | None]:
        while True:
            queue = self._connect()
            closed = yield from self._drain(queue)
            if self._look() and (closed.properly or self._is_overdue()):
                return
            yield None
            time.sleep(_PAUSE_SECONDS)

    def _drain(self, queue: _Queue) -> Generator[str | None, None, _Closed]:
        position, silent_since = 0, self._clock()
        while True:
            try:
                item = queue.get(timeout=_TURN_SECONDS)
            except Empty:
                yield None
                if self._clock() - silent_since >= LOOK_SECONDS:
                    silent_since = self._clock()
                    was_away = self._clock() - self._heard > 2 * LOOK_SECONDS
                    if (self._look() and self._is_overdue()) or was_away:
                        return _Closed(properly=False)
                continue
            if isinstance(item, _Closed):
                return item
            silent_since = self._clock()
            fresh = item[max(0, self._received - position) :]
            position += len(item)
            self._received = max(self._received, position)
            if fresh:  # a connection that only repeats what is known is no sign of life
                self._heard = self._clock()
                yield fresh

    def _look(self) -> bool:
        """Whether the job is over, as far as is known.

        Raises:
            RayUnavailable: nobody has answered for too long.
        """
        try:
            self.job = self._api.job(self._id)
        except RayUnavailable:
            if self._clock() - self._heard > LOST_SECONDS:
                raise
            return False
        self._heard = self._clock()
        if self.job.state.is_over and self._over_since is None:
            self._over_since = self._clock()
        return self.job.state.is_over

    def _is_overdue(self) -> bool:
        return self._over_since is not None and self._clock() - self._over_since > _AFTER_END_SECONDS

    def _connect(self) -> _Queue:
        queue: _Queue = SimpleQueue()
        address = self._api.address.replace("http", "ws", 1) + f"/api/jobs/{self._id}/logs/tail"
        # A connection that hangs for good must not keep the process: it is left to its thread.
        threading.Thread(target=_follow, args=(address, self._api.headers, queue), daemon=True).start()
        return queue


def _follow(address: str, headers: dict[str, str], queue: _Queue) -> None:
    properly = False
    with suppress(Exception):  # whatever it was, the connection is gone: whoever listens asks for the job
        properly = asyncio.run(_receive(address, headers, queue))
    queue.put(_Closed(properly))


async def _receive(address: str, headers: dict[str, str], queue: _Queue) -> bool:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=True) as session,
        session.ws_connect(address, max_msg_size=_LONGEST_MESSAGE) as socket,
    ):
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return False
            queue.put(message.data)
        return socket.close_code == aiohttp.WSCloseCode.OK
