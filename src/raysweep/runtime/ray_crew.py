"""Work of a driver in processes that stand ready, their libraries loaded; else as tasks of Ray's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ray
import ray.exceptions

DIED: Final = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError)
# Small fits are over before another process would have loaded its libraries, which takes cores from them.
_PATIENCE_SECONDS: Final = 1.0


@dataclass(slots=True, eq=False)
class Work:
    """A call that was asked for.

    Attributes:
        options: of a task of Ray's that would carry it out.
        results: references to what it gives, and to something small that is there once it has ended well; None while
            it waits for a process.
    """

    options: Mapping[str, Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    results: tuple[Any, Any] | None = None


class Crew:
    """Processes that take one call after the other, in the order in which they are asked for.

    A call whose process dies is carried out once more by a task of Ray's, which tries again as tasks do; so is every
    call where there are no processes. The references that come of it outlive the processes.

    Args:
        processes: actors of this machine, which may still load. Each has methods `rest()`, which is called first, and
            `help_out(function, *arguments)`.
        another: starts one more, where calls have waited for a second; None: all calls are tasks.
        room: how many there may be.
    """

    def __init__(self, processes: Iterable[Any] = (), another: Callable[[], Any] | None = None, room: int = 0) -> None:
        self._another = another
        self._room = room
        self._idle: list[Any] = []
        self._waiting = deque[Work]()
        self._running = dict[Any, tuple[Work | None, Any]]()  # no work: the process still loads
        for process in processes:
            self._ready(process)

    def begin(self, options: Mapping[str, Any], function: Callable[..., Any], *arguments: Any) -> Work:
        """Ask for a call, which begins at once, or while something is waited for.

        Args:
            options: of a task, such as the cores that it holds.
            function: of a module.
            *arguments: what it gets; references as what they refer to.
        """
        work = Work(options, function, arguments)
        if self._another is None:
            _begin_task(work)
        else:
            self._waiting.append(work)
            running = list(self._running)
            self._take_in(ray.wait(running, num_returns=len(running), timeout=0)[0] if running else ())
        return work

    def wait(self, work: Work) -> Any:
        """A reference to what a call has given, once it has ended.

        Raises:
            RayError: what it has raised, or what has become of its process.
        """
        while work.results is None or work.results[1] in self._running:
            lacks = self._lacks()
            ended = ray.wait(list(self._running), timeout=_PATIENCE_SECONDS if lacks else None)[0]
            if not ended:
                self._grow(lacks)
            self._take_in(ended)
        value, ended = work.results
        ray.get(ended)
        return value

    def get(self, work: Work) -> Any:
        """What a call has given, once it has ended.

        Raises:
            RayError: as `wait`.
        """
        return ray.get(self.wait(work))

    def _ready(self, process: Any) -> None:
        """Let a process take calls as soon as it can."""
        self._running[process.rest.remote()] = None, process

    def _lacks(self) -> int:
        """How many more processes there may be, and have calls to take."""
        return max(0, min(len(self._waiting), self._room - len(self._running) - len(self._idle)))

    def _grow(self, count: int) -> None:
        if self._another is not None:
            for _ in range(count):
                self._ready(self._another())

    def _take_in(self, ended: Iterable[Any]) -> None:
        """Free the processes of what has ended, and let those calls begin that wait."""
        for one in ended:
            work, process = self._running.pop(one)
            try:
                ray.get(one)
            except DIED:
                if work is None:
                    self._room -= 1  # another one would hardly fare better
                else:
                    _begin_task(work)
                continue
            except ray.exceptions.RayError:  # whoever waits for it hears of it
                pass
            self._idle.append(process)
        while self._waiting and self._idle:
            self._begin(self._waiting.popleft(), self._idle.pop())
        if not self._running:
            self._grow(self._lacks())
        while self._waiting and not self._running:
            _begin_task(self._waiting.popleft())

    def _begin(self, work: Work, process: Any) -> None:
        call = process.help_out.options(num_returns=2)
        work.results = tuple(call.remote(_carry_out, work.function, *work.arguments))
        self._running[work.results[1]] = work, process


def _carry_out(function: Callable[..., Any], *arguments: Any) -> tuple[Any, bool]:
    return function(*arguments), True


_TASK: Final = ray.remote(_carry_out)  # one for all: Ray keeps each function that it is given


def _begin_task(work: Work) -> None:
    task = _TASK.options(num_returns=2, name=work.function.__name__, **work.options)
    work.results = tuple(task.remote(work.function, *work.arguments))
