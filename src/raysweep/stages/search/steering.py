"""What a search does next: proposes, decides at rungs, tries again, remembers. It knows nothing of processes.

Everything that it is told goes into the journal first, and `replay` takes it up from there: a search that goes on after
a crash stands where it stood.

With batches, what is proposed and decided in a batch depends on the batches before it alone, so that the order in which
its trials report does not matter, and one slot or many give the same candidates, decisions and scores.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from raysweep.records.aims import Aims
from raysweep.records.trial import Candidate, RungReport, Trial, TrialState
from raysweep.stages.search.proposals import MAX_REPEATS, Proposer
from raysweep.stages.search.trial_log import NEW_DRIVER, TrialLog

MAX_ATTEMPTS: Final = 2
MAX_MOVES: Final = 20


class Decider(Protocol):
    """Decides at each rung whether a trial goes on."""

    def begin(self, number: int) -> None:
        """A trial begins."""

    def decide(self, number: int, report: RungReport) -> bool:
        """Whether it goes on from this rung; it does not from its last one."""

    def end(self, number: int) -> None:
        """It is over."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A candidate that a slot shall run now.

    Attributes:
        number: which attempt at it this is, from 1.
        alone: nothing else may run beside it.
    """

    candidate: Candidate
    number: int = 1
    alone: bool = False


@dataclass(frozen=True, slots=True)
class SteeringRules:
    """How far a search goes.

    Attributes:
        trials: how many candidates may be tried.
        batch: how many are proposed and decided about together; None: each as soon as it can be.
        answer_repeats: a candidate that ran to its end, or was pruned, is answered with that, not with another trial.
        aims: with the bounds beyond which no trial goes on.
    """

    trials: int
    aims: Aims
    batch: int | None = None
    answer_repeats: bool = True


@dataclass(slots=True)
class _Tried:
    """A candidate that was proposed and is not settled yet."""

    candidate: Candidate
    attempts: int = 0
    moves: int = 0
    alone: bool = False
    reports: list[RungReport] = field(default_factory=list)
    goes_on: bool = True
    ended: Trial | None = None


class Steering:
    """The course of one search.

    Attributes:
        exhausted: the space has no further candidates.
        outside: how many candidates of earlier drivers the space does not hold any more.
    """

    def __init__(self, proposer: Proposer, decider: Decider, log: TrialLog, rules: SteeringRules) -> None:
        self._proposer = proposer
        self._decider = decider
        self._log = log
        self._rules = rules
        self._open: dict[int, _Tried] = {}  # proposed and not settled, by number
        self._waiting: deque[Attempt] = deque()
        self._apart: dict[int, Decider] = {}
        self._done: dict[str, Trial] = {}
        self._proposed = 0
        self._batch = 0
        self.exhausted = False
        self.outside = 0

    def next(self) -> Attempt | None:
        """What to run now; None where nothing can be run before something that runs has ended, or at all."""
        if not self._waiting and not (self._rules.batch and self._open):
            self._propose(self._rules.batch or 1)
        if not self._waiting:
            return None
        attempt = self._waiting.popleft()
        tried = self._open[attempt.candidate.number]
        tried.attempts = attempt.number
        self._log.start(attempt.candidate, attempt.number)
        self._begin(attempt.candidate.number)
        return attempt

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing is left to be run."""
        return not self._open and (self.exhausted or self._proposed >= self._rules.trials)

    def reached(self, number: int, report: RungReport, node: str) -> bool:
        """A trial has reached a rung: whether it goes on."""
        if not self._log.is_new(number, report):  # it is tried again, and went on from this rung
            return True
        goes_on = self._decide(number, report)
        self._log.report(number, report, node, goes_on=goes_on)
        if not goes_on:
            self._conclude(number, report)
        return goes_on

    def failed(self, number: int, reason: str, error: str = "") -> None:
        """A trial has raised an error."""
        self._end(number, TrialState.FAILED, reason, error)

    def overdue(self, number: int, reason: str) -> None:
        """A trial took too long, and was killed: it keeps the rungs that it has reached, and has failed without one."""
        state = TrialState.STOPPED if self._open[number].reports else TrialState.FAILED
        self._end(number, state, reason)

    def lost(self, number: int, reason: str, *, counts: bool = True, alone: bool = False) -> None:
        """A trial has lost its process: it is tried again, but not for ever.

        Args:
            number: of the candidate.
            reason: what became of the process, in words.
            counts: whether that may be the candidate's own fault.
            alone: try it again with nothing else beside it.
        """
        tried = self._open[number]
        tried.moves += 0 if counts else 1
        if tried.attempts - tried.moves >= MAX_ATTEMPTS or tried.moves > MAX_MOVES:
            self._end(number, TrialState.FAILED, f"{reason} ({tried.attempts} attempts)")
            return
        tried.alone = tried.alone or alone
        self._log.lost(number, tried.attempts, reason, counts=counts, alone=tried.alone)
        self._waiting.append(Attempt(tried.candidate, tried.attempts + 1, tried.alone))

    def stop(self, reason: str) -> None:
        """The search is over: what still ran is stopped, and keeps the rungs that it has reached."""
        self._waiting.clear()
        for number, tried in list(self._open.items()):
            if tried.ended is None and self._log.is_running(number):
                self._end(number, TrialState.STOPPED, reason)
        self._open.clear()

    def replay(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take up what an earlier driver has done; what had not ended then is run again."""
        known: dict[str, Any] = {
            "proposed": self._replay_proposed,
            "answered": self._replay_answered,
            "started": self._replay_started,
            "rung": self._replay_rung,
            "lost": self._replay_lost,
            "ended": self._replay_ended,
        }
        last = 0.0
        for record in records:
            event = str(record.get("event"))
            if event in NEW_DRIVER:
                self._cut_off(last)
            if event in known:
                with self._log.replaying(float(record["at"])):
                    known[event](record)
            last = float(record.get("at", last))
        self._cut_off(last)
        self.outside = sum(not self._proposer.fits(trial.candidate) for trial in self._log.trials)
        for number in sorted(self._open):
            if number in self._open:  # it is not where the one before was the last of its batch
                self._go_on_with(number)
        if self._rules.batch and self._open and not any(tried.attempts for tried in self._open.values()):
            self._propose(self._rules.batch)  # the driver died between proposals

    def _go_on_with(self, number: int) -> None:
        """Run again what had not ended; what was only not written down as ended has."""
        tried = self._open[number]
        if tried.ended is not None:
            return
        if tried.reports and not tried.goes_on:
            self._conclude(number, tried.reports[-1])
            return
        if not self._proposer.fits(tried.candidate):
            self._log.start(tried.candidate, tried.attempts + 1)
            self._end(number, TrialState.STOPPED, "dropped: the space does not hold it any more")
            return
        self._waiting.append(Attempt(tried.candidate, tried.attempts + 1, tried.alone))

    def _cut_off(self, at: float) -> None:
        """An earlier driver was last heard of then: what it ran has lost its process, by no fault of its own."""
        for number in self._log.cut_off(at):
            self._open[number].moves += 1

    def _propose(self, count: int) -> None:
        repeats = 0
        while len(self._waiting) < count and self._proposed < self._rules.trials and not self.exhausted:
            candidate = self._proposer.propose()
            if candidate is None:
                self.exhausted = True
                return
            known = self._done.get(candidate.digest) if self._rules.answer_repeats else None
            if known is None:
                self._log.propose(candidate, self._batch)
                self._add(candidate)
                self._waiting.append(Attempt(candidate))
                continue
            self._log.answer(candidate, known.candidate.number)
            self._proposer.tell(candidate, known.state, known.rungs)
            repeats += 1
            self.exhausted = repeats >= MAX_REPEATS

    def _add(self, candidate: Candidate) -> None:
        self._open[candidate.number] = _Tried(candidate)
        self._proposed += 1

    def _begin(self, number: int) -> None:
        if self._rules.batch is None:
            self._decider.begin(number)
        elif number not in self._apart:
            self._apart[number] = copy.deepcopy(self._decider)
            self._apart[number].begin(number)

    def _decide(self, number: int, report: RungReport) -> bool:
        tried = self._open[number]
        tried.reports.append(report)
        tried.goes_on = self._ask(self._apart.get(number, self._decider), number, report)
        return tried.goes_on

    def _ask(self, decider: Decider, number: int, report: RungReport) -> bool:
        """Whether the trial goes on. One that costs too much is no measure for others: the decider is not told."""
        return not self._rules.aims.outgrown(report) and decider.decide(number, report)

    def _conclude(self, number: int, report: RungReport) -> None:
        """End a trial that does not go on from this rung."""
        aims = self._rules.aims
        broken = aims.broken(report.metrics) if report.is_last else aims.outgrown(report)
        bounds = ", ".join(aims.bound_text(name, report.metrics[name]) for name in broken)
        said = f"; breaks search.constraints: {bounds}" if broken else ""
        if report.is_last:
            self._end(number, TrialState.COMPLETE, f"ran to its end{said}")
        elif broken:
            self._end(number, TrialState.PRUNED, f"stopped at rung {report.rung}{said}")
        else:
            self._end(number, TrialState.PRUNED, f"stopped by the scheduler at rung {report.rung}")

    def _end(self, number: int, state: TrialState, reason: str, error: str = "") -> None:
        tried = self._open[number]
        tried.ended = self._log.end(number, state, reason, error)
        if self._rules.batch is None:
            self._decider.end(number)
            self._settle(number)
        elif not self._waiting and all(one.ended is not None for one in self._open.values()):
            self._settle_batch()

    def _settle(self, number: int) -> None:
        """Tell the proposer how a trial has ended, and answer with it from now on."""
        tried = self._open.pop(number)
        if tried.ended is None:
            return
        self._proposer.tell(tried.candidate, tried.ended.state, tried.ended.rungs)
        if tried.ended.state in {TrialState.COMPLETE, TrialState.PRUNED}:
            self._done[tried.candidate.digest] = tried.ended

    def _settle_batch(self) -> None:
        """All trials of the batch are over: what they have shown counts from now on, in the order of proposals."""
        for number in sorted(self._open):
            self._decider.begin(number)
            for report in self._open[number].reports:
                self._ask(self._decider, number, report)
            self._decider.end(number)
            self._settle(number)
        self._apart.clear()
        self._batch += 1

    def _replay_proposed(self, record: Mapping[str, Any]) -> None:
        candidate = Candidate(**record["candidate"])
        self._batch = int(record["batch"])
        self._proposer.readopt(candidate)
        self._add(candidate)

    def _replay_answered(self, record: Mapping[str, Any]) -> None:
        candidate = Candidate(**record["candidate"])
        known = self._log.trial(int(record["by"]))
        self._proposer.readopt(candidate)
        self._proposer.tell(candidate, known.state, known.rungs)

    def _replay_started(self, record: Mapping[str, Any]) -> None:
        number = int(record["candidate"])
        tried = self._open[number]
        tried.attempts = int(record["attempt"])
        self._log.start(tried.candidate, tried.attempts)
        self._begin(number)

    def _replay_rung(self, record: Mapping[str, Any]) -> None:
        number, report = int(record["candidate"]), RungReport(**record["report"])
        self._decide(number, report)
        self._open[number].goes_on = bool(record["goes_on"])
        self._log.report(number, report, str(record["node"]), goes_on=self._open[number].goes_on)

    def _replay_lost(self, record: Mapping[str, Any]) -> None:
        number, counts = int(record["candidate"]), bool(record["counts"])
        tried = self._open[number]
        tried.moves += 0 if counts else 1
        tried.alone = bool(record.get("alone"))
        self._log.lost(number, int(record["attempt"]), str(record["reason"]), counts=counts, alone=tried.alone)

    def _replay_ended(self, record: Mapping[str, Any]) -> None:
        self._end(int(record["candidate"]), TrialState(record["state"]), str(record["reason"]), str(record["error"]))
