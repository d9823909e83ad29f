"""What is known of every trial while the search runs, and when it has to end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from raysweep.config import StopConfig
from raysweep.events import Event, Listener, RungReached, TrialEnded, TrialStarted
from raysweep.records.aims import Aims, Standing
from raysweep.records.trial import Candidate, RungReport, Trial, TrialState

# What the first records of a driver are: the journal's own, and that of the search; the driver before has died by then.
NEW_DRIVER: Final = frozenset({"resumed", "search"})

Record = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """When the search ends.

    Attributes:
        trials: how many candidates may be tried.
        started: when the search began, seconds since the epoch; earlier by what it had spent before it was resumed.
        cost_per_second: of all slots.
    """

    trials: int
    stop: StopConfig
    started: float
    cost_per_second: float = 0.0

    @property
    def deadline(self) -> float:
        """When time is up, seconds since the epoch; infinity for no limit."""
        return self.started + self.stop.seconds if self.stop.seconds is not None else float("inf")

    @property
    def document(self) -> dict[str, Any]:
        """The limits as JSON values."""
        return {"trials": self.trials, **self.stop.model_dump(mode="json")}


def seconds_spent(records: Iterable[Mapping[str, Any]]) -> float:
    """How long the search has run already, by its journal: from each beginning to what that driver wrote last."""
    spent, began, last = 0.0, None, 0.0
    for record in records:
        if record.get("event") in NEW_DRIVER:
            spent += 0.0 if began is None else last - began
            began = float(record["at"]) if record["event"] == "search" else None
            last = began or last
        elif began is not None and "at" in record:
            last = float(record["at"])
    return spent + (0.0 if began is None else last - began)


def why_over(records: Iterable[Mapping[str, Any]], limits: Limits) -> str | None:
    """Why the search that these records tell of is over with these limits; None where it is not, or has others."""
    last: Mapping[str, Any] = {}
    for record in records:
        if record.get("event") in {"search", "searched"}:
            last = record
    return str(last["stopped_by"]) if last.get("limits") == limits.document else None


class TrialLog:
    """Keeps every trial's state; tells the journal and then the listener of each change before anyone acts on it."""

    def __init__(self, aims: Aims, part: str, limits: Limits, tell: Listener, record: Record) -> None:
        self._aims = aims
        self._part = part
        self._limits = limits
        self._listener = tell
        self._journal = record
        self._replayed_at: float | None = None
        self._began: dict[int, float] = {}
        self._trials: dict[int, Trial] = {}
        self._front: list[Standing] = []  # what no later trial has matched; with the metric alone, the best one
        self._gained_at = 0
        self._ended = 0

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in the order of proposals."""
        return tuple(self._trials[number] for number in sorted(self._trials))

    def trial(self, number: int) -> Trial:
        """The trial of the candidate with this number."""
        return self._trials[number]

    @contextlib.contextmanager
    def replaying(self, at: float) -> Iterator[None]:
        """While a record of that time is taken up: nothing is written again, and nobody told again."""
        self._replayed_at = at
        try:
            yield
        finally:
            self._replayed_at = None

    def begin(self, said: Mapping[str, Any]) -> None:
        """The search begins, or goes on."""
        aims = self._aims
        objectives, constraints = [one.name for one in aims.objectives], dict(aims.constraints)
        asked: dict[str, Any] = {"metric": aims.metric.name, "objectives": objectives, "constraints": constraints}
        self._record("search", None, part=self._part, **asked, **said)

    def finish(self, stopped_by: str) -> None:
        """The search is over, by limits that would stop it again at once."""
        self._record("searched", stopped_by=stopped_by, limits=self._limits.document)

    def propose(self, candidate: Candidate, batch: int) -> None:
        """A candidate was proposed."""
        self._record("proposed", candidate=asdict(candidate), batch=batch)

    def answer(self, candidate: Candidate, by: int) -> None:
        """A candidate that was proposed again has its score from an earlier trial."""
        self._record("answered", candidate=asdict(candidate), by=by)

    def start(self, candidate: Candidate, attempt: int) -> None:
        """A candidate is tried, or tried again: it keeps the rungs that it has reached."""
        at = self._now()
        before = self._trials.get(candidate.number, Trial(candidate, TrialState.RUNNING, started=at))
        trial = replace(before, attempts=attempt)
        self._trials[candidate.number] = trial
        self._began[candidate.number] = at
        self._record("started", at, candidate=candidate.number, attempt=attempt)
        self._tell(TrialStarted(trial))

    def report(self, number: int, report: RungReport, node: str, *, goes_on: bool) -> None:
        """A trial has reached a rung, and goes on from there or not."""
        known = self._trials[number]
        trial = replace(known, rungs=(*known.rungs, report), node=node)
        self._trials[number] = trial
        self._record("rung", candidate=number, node=node, report=asdict(report), goes_on=goes_on)
        self._note_gain(trial)
        self._tell(RungReached(trial, report))

    def lost(self, number: int, attempt: int, reason: str, *, counts: bool, alone: bool = False) -> None:
        """A trial has lost its process and will be tried again.

        Args:
            number: of the candidate.
            attempt: the one that was lost.
            reason: what became of the process, in words.
            counts: it may have been its own fault.
            alone: nothing else may run beside the next attempt.
        """
        at = self._now()
        self._trials[number] = self._held(number, at)
        self._record("lost", at, candidate=number, attempt=attempt, reason=reason, counts=counts, alone=alone)

    def cut_off(self, at: float) -> tuple[int, ...]:
        """The driver has died, last heard of then: what ran has held its slot until then; gives the candidates."""
        running = tuple(self._began)
        for number in running:
            self._trials[number] = self._held(number, at)
        return running

    def end(self, number: int, state: TrialState, reason: str, error: str = "") -> Trial:
        """A trial is over; `reason` says why in words."""
        at = self._now()
        trial = replace(self._held(number, at), state=state, reason=reason, error=error)
        self._trials[number] = trial
        self._ended += 1
        if self._front and self._front[-1].number == number:
            self._gained_at = self._ended
        self._record("ended", at, candidate=number, state=state, reason=reason, error=error)
        self._tell(TrialEnded(trial))
        return trial

    def is_running(self, number: int) -> bool:
        """Whether the trial has started and not ended."""
        return number in self._trials and not self._trials[number].state.has_ended

    def is_new(self, number: int, report: RungReport) -> bool:
        """Whether the report is not in the log yet; it is where the trial is tried again."""
        return all(known.rung != report.rung for known in self._trials[number].rungs)

    def why_stop(self, now: float) -> str | None:
        """The limit that is met, in words, or None."""
        stop = self._limits.stop
        if now >= self._limits.deadline:
            return f"search.stop.seconds: {stop.seconds:g} s are over"
        if stop.cost is not None and (now - self._limits.started) * self._limits.cost_per_second >= stop.cost:
            return f"search.stop.cost: {stop.cost:g} is spent"
        metric = self._aims.metric
        scores = [one.score for one in self._front] if stop.score is not None else []
        reached = [score for score in scores if not metric.is_better(stop.score or 0.0, score)]
        if reached:
            return f"search.stop.score: {reached[0]:.6g} reaches {stop.score:g}"
        if stop.patience is not None and self._ended - self._gained_at >= stop.patience:
            return f"search.stop.patience: no gain in {stop.patience} trials"
        return None

    def _held(self, number: int, until: float) -> Trial:
        """The trial with the time for which this attempt has held its slot."""
        trial = self._trials[number]
        return replace(trial, slot_seconds=trial.slot_seconds + until - self._began.pop(number, until))

    def _now(self) -> float:
        return time.time() if self._replayed_at is None else self._replayed_at

    def _record(self, event: str, at: float | None = None, **said: Any) -> None:
        if self._replayed_at is None:
            self._journal({"event": event, "at": self._now() if at is None else at, **said})

    def _tell(self, event: Event) -> None:
        if self._replayed_at is None:
            self._listener(event)

    def _note_gain(self, trial: Trial) -> None:
        """Keep what nothing has matched so far, and when the last such trial came; it stands last."""
        standing = Standing.of(trial)
        if standing is None or not self._aims.advances(standing, self._front):
            return
        others = (other for other in self._front if other.number != standing.number)
        self._front = [*(other for other in others if self._aims.advances(other, [standing])), standing]
        self._gained_at = self._ended
