"""Work of a driver in processes that stand ready, their libraries loaded; else as tasks of Ray's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
import ray.exceptions

DIED = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError)


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
        ready: actors of this machine with a method `help_out(function, *arguments)`; none: all calls are tasks.
        another: starts one more.
        room: how many there may be.
    """

    def __init__(self, ready: Iterable[Any] = (), another: Callable[[], Any] | None = None, room: int = 0) -> None:
        self._idle = list(ready)
        self._another = another
        self._count, self._room = len(self._idle), room
        self._has_processes = bool(self._idle)
        self._waiting = deque[Work]()
        self._running = dict[Any, tuple[Work, Any]]()

    def begin(self, options: Mapping[str, Any], function: Callable[..., Any], *arguments: Any) -> Work:
        """Ask for a call, which begins at once, or while something is waited for.

        Args:
            options: of a task, such as the cores that it holds.
            function: of a module.
            *arguments: what it gets; references as what they refer to.
        """
        work = Work(options, function, arguments)
        if self._has_processes:
            self._waiting.append(work)
            self._fill()
        else:
            _begin_task(work)
        return work

    def wait(self, work: Work) -> Any:
        """A reference to what a call has given, once it has ended.

        Raises:
            RayError: what it has raised, or what has become of its process.
        """
        while work.results is None or work.results[1] in self._running:
            self._take_in()
            self._fill()
        value, ended = work.results
        ray.get(ended)
        return value

    def get(self, work: Work) -> Any:
        """What a call has given, once it has ended.

        Raises:
            RayError: as `wait`.
        """
        return ray.get(self.wait(work))

    def _fill(self) -> None:
        """Let those begin that wait, as many as there are processes for."""
        while self._waiting and (process := self._free()) is not None:
            work = self._waiting.popleft()
            call = process.help_out.options(num_returns=2)
            work.results = tuple(call.remote(_carry_out, work.function, *work.arguments))
            self._running[work.results[1]] = work, process
        while self._waiting and not self._running:  # no process is left
            _begin_task(self._waiting.popleft())

    def _free(self) -> Any:
        if self._idle:
            return self._idle.pop()
        if self._another is None or self._count >= self._room:
            return None
        self._count += 1
        return self._another()

    def _take_in(self) -> None:
        """Wait until a call has ended."""
        for ended in ray.wait(list(self._running))[0]:
            work, process = self._running.pop(ended)
            try:
                ray.get(ended)
            except DIED:
                self._count -= 1
                _begin_task(work)
            except ray.exceptions.RayError:  # whoever waits for it hears of it
                self._idle.append(process)
            else:
                self._idle.append(process)


def _begin_task(work: Work) -> None:
    task = ray.remote(_carry_out).options(num_returns=2, **work.options)
    work.results = tuple(task.remote(work.function, *work.arguments))


def _carry_out(function: Callable[..., Any], *arguments: Any) -> tuple[Any, bool]:
    return function(*arguments), True
