"""Watching a submitted run: its events in the display of a local run, its other lines beside, and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from raysweep.cli.progress import showing_progress
from raysweep.errors import Interrupted

if TYPE_CHECKING:
    from raysweep.events import SweepEnded
    from raysweep.job.submitted import SubmittedRun

ASKED = "asked the job to finish with what there is; Ctrl-C again leaves it to itself"


class NoLongerFollowed(Interrupted):
    """The user has left a run that goes on."""


def follow(run: SubmittedRun, *, as_events: bool) -> SweepEnded:
    """Show a run until it is over.

    The first Ctrl-C asks it to finish with what there is, as it does a local run; the second one leaves it. A terminal
    that goes away leaves it too: the cluster needs nobody who watches.

    Raises:
        RaysweepError: as `SubmittedRun.wait`.
        NoLongerFollowed: the user has left; the run goes on.
    """
    with showing_progress(as_events=as_events) as progress, _counting_signals(progress.notify) as times:
        asked = False

        def turn() -> None:
            nonlocal asked
            if times() > 0 and not asked:
                asked = True
                run.stop()

        try:
            return run.wait(progress, words=progress.quote, turn=turn)
        except KeyboardInterrupt:
            raise NoLongerFollowed(
                f"no longer followed; the run goes on: `raysweep status {run.named}` says how far it is, "
                f"`raysweep logs {run.named} --follow` follows it, `raysweep stop {run.named} --now` stops it"
            ) from None


@contextmanager
def _counting_signals(notify: Callable[[str], None]) -> Iterator[Callable[[], int]]:
    """How often Ctrl-C was pressed; the second one, SIGTERM and SIGHUP raise KeyboardInterrupt."""
    pressed = 0

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if number != signal.SIGINT or pressed > 1:
            raise KeyboardInterrupt
        notify(ASKED)

    caught = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        caught.append(hangup)
    before = {number: signal.signal(number, on_signal) for number in caught}
    try:
        yield lambda: pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
