"""What is shown on stderr while a sweep runs: a live display, plain lines, or events as JSON lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from raysweep.cli.consoles import make_console, printable
from raysweep.cli.live_display import LiveDisplay
from raysweep.errors import RaysweepError
from raysweep.event_lines import event_lines
from raysweep.events import (
    ClusterChanged,
    DataChecked,
    Event,
    Listener,
    Said,
    SearchPlanned,
    Stage,
    StageFinished,
    StageStarted,
    SweepFailed,
    TrialEnded,
)
from raysweep.records.table import DataCheck, Severity, Suitability
from raysweep.records.trial import TrialState
from raysweep.report.search_state import SearchState, cluster_text

HEARTBEAT_SECONDS = 10.0
LOUD = {Severity.ERROR, Severity.WARNING}

Clock = Callable[[], float]
Write = Callable[[str], None]


class Progress(Protocol):
    """A Listener that shows a sweep to somebody."""

    def __call__(self, event: Event) -> None:
        """Show the event."""

    def notify(self, message: str) -> None:
        """Show a message; may be called from within a signal handler."""

    def quote(self, line: str) -> None:
        """Show a line of somebody else's, such as of Ray's, that came among the events of a job."""


@contextmanager
def showing_progress(*, as_events: bool) -> Iterator[Progress]:
    """The progress display that fits stderr: live on a terminal, plain lines elsewhere.

    Args:
        as_events: JSON lines in place of both.
    """
    console = make_console(stderr=True)
    if as_events:
        yield JsonLines(_write_line)
    elif console.is_terminal and not console.is_dumb_terminal:
        with LiveDisplay(console, time.monotonic) as display:
            yield display
    else:
        yield PlainLines(_write_line, time.monotonic)


@contextmanager
def failures_told(tell: Listener) -> Iterator[None]:
    """Tell of an error that leaves the block as an event too: who follows a sweep from elsewhere sees no other."""
    try:
        yield
    except Exception as error:
        code = error.exit_code if isinstance(error, RaysweepError) else 1
        problems = tuple(map(str, getattr(error, "problems", ())))
        tell(SweepFailed(type(error).__name__, str(error), code, problems, getattr(error, "bundle_url", None)))
        raise


class JsonLines:
    """Every event as a line of JSON."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, event: Event) -> None:
        """Write the event."""
        for line in event_lines(event):
            self._write(line)

    def notify(self, message: str) -> None:
        """Write the message as a `Said` event."""
        for line in event_lines(Said(message)):
            _write_from_handler(line)

    def quote(self, line: str) -> None:
        """Write the line as it came."""
        self._write(line)


class PlainLines:
    """Log lines: one a stage, one a new best score, and a sign of life now and then."""

    def __init__(self, write: Write, clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._search: SearchState | None = None
        self._last_line = 0.0

    def __call__(self, event: Event) -> None:
        """Write a line where the event deserves one."""
        line = self._line_for(event)
        if line is None and self._search is not None and self._is_silent_for_long():
            line = self._heartbeat(self._search)
        if line is not None:
            self._last_line = self._clock()
            self._write(line)

    def notify(self, message: str) -> None:
        """Write the message past Python's buffers, which a signal may have caught in the middle of a line."""
        _write_from_handler(message)

    def quote(self, line: str) -> None:
        """Write the line, with nothing in it that a terminal would act on."""
        self._write(printable(line))

    def _line_for(self, event: Event) -> str | None:
        line: str | None = None
        match event:
            case StageStarted(stage):
                line = f"{stage.value} ..." if stage in {Stage.SEARCH, Stage.CONFIRM} else None
            case StageFinished(stage, seconds, summary):
                self._search = None if stage is Stage.SEARCH else self._search
                line = f"{stage.value}: {summary} ({seconds:.1f} s)"
            case Said(message):
                line = message
            case DataChecked(check):
                line = _loud_findings(check)
            case SearchPlanned():
                self._search = SearchState(event, self._clock())
                line = f"search: {event.slots} at a time, scored by {event.metric} on {event.part}"
            case _:
                line = self._search_line(event)
        return line

    def _search_line(self, event: Event) -> str | None:
        if self._search is None:
            return None
        if self._search.update(event):
            return f"search: {self._search.score_text()}; {self._search.time(self._clock())}"
        if isinstance(event, ClusterChanged):
            return f"search: {cluster_text(event)}"
        if isinstance(event, TrialEnded) and event.trial.state is TrialState.FAILED:
            return f"search: trial {event.trial.candidate.number} failed: {event.trial.reason}"
        return None

    def _is_silent_for_long(self) -> bool:
        return self._clock() - self._last_line >= HEARTBEAT_SECONDS

    def _heartbeat(self, search: SearchState) -> str:
        said = (search.counts(), search.cores(), search.score_text(), search.time(self._clock()))
        return f"search: {'; '.join(said)}"


def _loud_findings(check: DataCheck) -> str | None:
    lines = [f"  {one.severity.value}: {one.check}: {one.message}" for one in check.findings if one.severity in LOUD]
    if check.suitability is Suitability.UNSUITABLE:
        lines += [f"  proposal: {one.line}  # {one.why}" for one in check.proposals]
    return "\n".join(lines) or None


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _write_from_handler(line: str) -> None:
    os.write(sys.stderr.fileno(), f"{line}\n".encode())
