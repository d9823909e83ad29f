"""How far a submitted sweep is, by what its driver has said."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from raysweep.event_lines import EventReader
from raysweep.events import (
    DataChecked,
    Event,
    SearchPlanned,
    Stage,
    StageFinished,
    StageStarted,
    SweepEnded,
    SweepFailed,
)
from raysweep.job.driver import STARTED
from raysweep.records.table import Finding
from raysweep.report.search_state import SearchState

_LAST_LINES: Final = 10
_DRIVER_LINE: Final = f'{{"event": "{STARTED}"'


@dataclass(slots=True)
class RunState:
    """What the lines of a job's log add up to; one for each job.

    Attributes:
        stage: the one that runs, or that ran last.
        search: counts and the best score, once the search was planned.
        ended, failed: how it came out; neither where the driver has not said.
        findings: of the data gate.
        pid, host: the driver's process, on its node.
        words: the last lines that are no events.
    """

    stage: Stage | None = None
    search: SearchState | None = None
    ended: SweepEnded | None = None
    failed: SweepFailed | None = None
    findings: tuple[Finding, ...] = ()
    pid: int | None = None
    host: str = ""
    words: list[str] = field(default_factory=list)
    _reader: EventReader = field(default_factory=EventReader)

    def read(self, line: str) -> Event | str | None:
        """Take in a line of the log, and give what it says: an event, words, or nothing for people."""
        if line.startswith(_DRIVER_LINE):
            self._take_driver(line)
            return None
        found = self._reader.read(line)
        if isinstance(found, str):
            self.words = [*self.words[1 - _LAST_LINES :], found]
        elif found is not None:
            self._take(found)
        return found

    def progress(self) -> str:
        """Stage, counts and the best score with the part that it was measured on, in one line."""
        said = [] if self.stage is None else [self.stage.value]
        if self.search is not None:
            said += [self.search.counts(), self.search.score_text()]
        return "; ".join(said)

    def to_document(self) -> dict[str, Any]:
        """For `--json`."""
        best = None if self.search is None else self.search.best
        score = None
        if best is not None and self.search is not None:
            plan = self.search.plan
            score = {"trial": best.candidate.number, plan.metric: best.score, "part": plan.part}
        counts = None if self.search is None else self.search.state_counts()
        return {"stage": self.stage, "trials": counts, "best": score, "driver": {"host": self.host, "pid": self.pid}}

    def _take(self, event: Event) -> None:
        match event:
            case StageStarted(stage) | StageFinished(stage):
                self.stage = stage
            case DataChecked(check):
                self.findings = check.findings
            case SearchPlanned():
                self.search = SearchState(event, 0.0)
            case SweepEnded():
                self.ended = event
            case SweepFailed():
                self.failed = event
            case _:
                if self.search is not None:
                    self.search.update(event)

    def _take_driver(self, line: str) -> None:
        try:
            found = json.loads(line)
            self.pid, self.host = int(found["pid"]), str(found["host"])
        except (ValueError, KeyError, TypeError):
            self.pid = None


def state_of(lines: Iterable[str]) -> RunState:
    """What all of a log adds up to."""
    state = RunState()
    for line in lines:
        state.read(line)
    return state
