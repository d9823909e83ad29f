"""Ctrl-C: the first one during the search asks it to finish with what there is, the next one stops at once.

SIGTERM does the same, and so does SIGHUP, which comes when the terminal goes away; but where a scheduler carries the
run out again they say that the node is taken away, and the search is to go on elsewhere. SIGQUIT stops at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType

from raysweep.errors import Interrupted
from raysweep.events import Event, Stage, StageStarted

FINISHING = "finishing with what there is; Ctrl-C again stops now"
STOPPED = "stopped by the user"
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
QUIT: signal.Signals | None = getattr(signal, "SIGQUIT", None)  # nor this
OUTPUTS = (1, 2)


class Interrupts:
    """What the user has asked for by signals; a Listener, since the answer depends on the stage."""

    def __init__(self, notify: Callable[[str], None], stopping: Collection[signal.Signals] = ()) -> None:
        self._notify = notify
        self._stopping = frozenset(stopping)
        self._asked = False
        self._has_candidates = False
        self._terminals = [number for number in OUTPUTS if os.isatty(number)]
        self.signals = _signals()

    def asked(self) -> bool:
        """Whether to finish with what there is."""
        return self._asked

    def __call__(self, event: Event) -> None:
        """Follow the sweep into its next stage."""
        if isinstance(event, StageStarted):
            self._has_candidates = self._has_candidates or event.stage is Stage.SEARCH
            self.listen()  # Ray puts a handler of its own for SIGTERM when it starts

    def listen(self) -> None:
        """Catch the signals from now on."""
        for number in self.signals:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == HANGUP:
            _silence(self._terminals)
            if self._asked:
                return  # the shell repeats the hangup of the terminal to its jobs: nobody has asked twice
        if self._asked or not self._has_candidates or number in self._stopping:
            # No Exception: between here and the command, nothing that retries or logs may swallow it.
            raise KeyboardInterrupt
        self._asked = True
        self._notify(FINISHING)


@contextmanager
def catching_interrupts(notify: Callable[[str], None], *, only_ctrl_c_finishes: bool = False) -> Iterator[Interrupts]:
    """Catch Ctrl-C, SIGTERM, SIGQUIT and SIGHUP in the main thread while the block runs.

    Args:
        notify: tells the user that the first one was understood; called from within a signal handler.
        only_ctrl_c_finishes: SIGTERM and SIGHUP stop at once, for whoever carries the run out again to go on with.

    Raises:
        Interrupted: the user wants to stop now.
    """
    stopping = (signal.SIGTERM, HANGUP, QUIT) if only_ctrl_c_finishes else (QUIT,)
    interrupts = Interrupts(notify, [one for one in stopping if one is not None])
    before = {number: signal.getsignal(number) for number in interrupts.signals}
    try:
        interrupts.listen()
        yield interrupts
    except KeyboardInterrupt as error:
        raise Interrupted("; ".join((STOPPED, *map(str, error.args)))) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> tuple[signal.Signals, ...]:
    """Those to catch: not SIGHUP where nohup had it ignored."""
    possible = (signal.SIGINT, signal.SIGTERM, QUIT, HANGUP)
    ignored = HANGUP is None or signal.getsignal(HANGUP) is signal.SIG_IGN
    return tuple(one for one in possible if one is not None and not (one == HANGUP and ignored))


def _silence(terminals: list[int]) -> None:
    """Send what is written to terminals that are gone nowhere: the sweep shall not fail for it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in terminals:
        if not os.isatty(number):
            os.dup2(nowhere, number)
    os.close(nowhere)
