"""Ctrl-C: the first one during the search asks it to finish with what there is, the next one stops at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from raysweep.errors import Interrupted
from raysweep.events import Event, Stage, StageStarted

FINISHING = "finishing with what there is; Ctrl-C again stops now"
STOPPED = "stopped by the user"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """What the user has asked for by signals; a Listener, since the answer depends on the stage."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._asked = False
        self._has_candidates = False

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
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked or not self._has_candidates:
            # No Exception: between here and the command, nothing that retries or logs may swallow it.
            raise KeyboardInterrupt
        self._asked = True
        self._notify(FINISHING)


@contextmanager
def catching_interrupts(notify: Callable[[str], None]) -> Iterator[Interrupts]:
    """Catch Ctrl-C and SIGTERM in the main thread while the block runs.

    Args:
        notify: tells the user that the first one was understood; called from within a signal handler.

    Raises:
        Interrupted: the user wants to stop now.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    interrupts = Interrupts(notify)
    try:
        interrupts.listen()
        yield interrupts
    except KeyboardInterrupt as error:
        raise Interrupted(STOPPED) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
