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
from dataclasses import replace
from typing import Any

from raysweep.records.journal_order import as_it_happened
from raysweep.records.trial import Candidate, RungReport, SlotSize, Trial, TrialState
from raysweep.stages.search.attempts import (
    MAX_ATTEMPTS,
    MAX_ATTEMPTS_FOR_MEMORY,
    MAX_MOVES,
    Attempt,
    Decider,
    SteeringRules,
    Tried,
    again,
)
from raysweep.stages.search.earlier import NEW_DRIVER
from raysweep.stages.search.proposals import MAX_REPEATS, Proposer
from raysweep.stages.search.trial_log import Ending, Kept, Loss, TrialLog


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
        self._open: dict[int, Tried] = {}  # proposed and not settled, by number
        self._waiting: deque[Attempt] = deque()
        self._apart: dict[int, Decider] = {}
        self._done: dict[str, Trial] = {}
        self._proposed = 0
        self._batch = 0
        self._repeats = 0  # proposed again, one after the other
        self.exhausted = False
        self.outside = 0

    def next(self) -> Attempt | None:
        """What to run next; None where nothing can be run before something that runs has ended, or at all."""
        if not self._waiting and not (self._rules.batch and self._open):
            self._propose(self._rules.batch or 1)
        return self._waiting.popleft() if self._waiting else None

    def begin(self, attempt: Attempt, slot: SlotSize | None = None) -> None:
        """It runs from now on, in a slot of that size; None: as all of them."""
        self._open[attempt.candidate.number].attempts = attempt.number
        self._log.start(attempt.candidate, attempt.number, slot)
        self._begin(attempt.candidate.number)

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing is left to be run."""
        return not self._open and (self.exhausted or self._proposed >= self._rules.trials)

    def reached(self, number: int, report: RungReport, node: str) -> bool:
        """A trial has reached a rung: whether it goes on."""
        if not self._log.is_new(number, report):  # it is tried again, and went on from this rung
            if report.is_last:
                self._conclude(number, report)
            return not report.is_last
        stops = self._decide(number, report)
        self._log.report(number, report, node, goes_on=not stops)
        if stops:
            self._conclude(number, report)
        return not stops

    def is_open(self, number: int) -> bool:
        """Whether a trial runs, or is to be run again."""
        return number in self._open and self._open[number].ended is None

    def kept(self, number: int, kept: Kept) -> bool:
        """What a trial had come to at a rung is kept: whether that is of use, since it has not ended meanwhile."""
        tried = self._open.get(number)
        if tried is None or tried.ended is not None or not any(one.rung == kept.rung for one in tried.reports):
            return False
        if tried.kept is not None and tried.kept.rung > kept.rung:  # of an attempt before this one, put late
            return False
        tried.kept = kept
        self._log.keep(number, kept)
        return True

    def begins_anew(self, number: int) -> None:
        """What a trial had come to can not be found any more: its next attempt begins from the beginning."""
        self._open[number].kept = None
        self._log.forfeit(number)

    def failed(self, number: int, reason: str, error: str = "") -> None:
        """A trial has raised an error."""
        self._end(number, Ending(TrialState.FAILED, reason, error))

    def overdue(self, number: int, reason: str, *, answers: bool = True) -> None:
        """A trial took too long, or has no node: it keeps the rungs that it has reached, and has failed without one."""
        state = TrialState.STOPPED if self._open[number].reports else TrialState.FAILED
        self._end(number, Ending(state, reason, answers=answers))

    def lost(self, number: int, loss: Loss) -> None:
        """A trial has lost its process: it is tried again, but not for ever."""
        tried = self._open[number]
        tried.moves += 0 if loss.counts else 1
        own = tried.attempts - tried.moves
        if own >= (MAX_ATTEMPTS_FOR_MEMORY if loss.alone else MAX_ATTEMPTS) or tried.moves > MAX_MOVES:
            self._end(number, Ending(TrialState.FAILED, f"{loss.reason} ({tried.attempts} attempts)", at=loss.at))
            return
        tried.alone = tried.alone or loss.alone or own == MAX_ATTEMPTS - 1
        self._log.lost(number, tried.attempts, replace(loss, alone=tried.alone))
        self._waiting.append(again(tried))

    def stop(self, reason: str) -> None:
        """The search is over: what still ran is stopped, and keeps the rungs that it has reached."""
        self._waiting.clear()
        for number, tried in list(self._open.items()):
            if tried.ended is None and self._log.is_running(number):
                self._end(number, Ending(TrialState.STOPPED, reason, answers=False))
        self._open.clear()

    def replay(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take up what an earlier driver has done; what had not ended then is run again."""
        known: dict[str, Any] = {
            "proposed": self._replay_proposed,
            "answered": self._replay_answered,
            "started": self._replay_started,
            "rung": self._replay_rung,
            "kept": self._replay_kept,
            "anew": self._replay_anew,
            "lost": self._replay_lost,
            "ended": self._replay_ended,
        }
        last, space = 0.0, ""
        for record in as_it_happened(records):
            event = str(record.get("event"))
            if event in NEW_DRIVER:
                self._cut_off(last)
            if event == "search":
                self._log.take_up_driver(record)
                space = self._begin_in(str(record["space"]), space)
            if event in known:
                with self._log.replaying(float(record["at"])):
                    known[event](record)
            last = max(last, float(record.get("at", last)))
        self._cut_off(last)
        self._begin_in(self._rules.space, space)
        self.outside = sum(not self._proposer.fits(trial.candidate) for trial in self._log.trials)
        for number in sorted(self._open):
            if number in self._open:  # it is not where the one before was the last of its batch
                self._go_on_with(number)
        if self._rules.batch and self._open and not any(tried.attempts for tried in self._open.values()):
            self._propose(self._rules.batch)  # the driver died between proposals

    def _begin_in(self, space: str, before: str) -> str:
        """A search goes on in this space: in another one than before, candidates may be new again."""
        if space != before:
            self._repeats, self.exhausted = 0, False
        return space

    def _go_on_with(self, number: int) -> None:
        """Run again what had not ended; what was only not written down as ended has."""
        tried = self._open[number]
        if tried.ended is not None:
            return
        if tried.stops:
            self._conclude(number, tried.reports[-1])
            return
        if not self._proposer.fits(tried.candidate):
            self._log.start(tried.candidate, tried.attempts + 1)
            self._end(number, Ending(TrialState.STOPPED, "dropped: the space does not hold it any more", answers=False))
            return
        self._waiting.append(again(tried))

    def _cut_off(self, at: float) -> None:
        """An earlier driver was last heard of then: what it ran has lost its process, by no fault of its own."""
        for number in self._log.cut_off(at):
            self._open[number].moves += 1

    def _propose(self, count: int) -> None:
        while len(self._waiting) < count and self._proposed < self._rules.trials and not self.exhausted:
            candidate = self._proposer.propose()
            if candidate is None:
                self.exhausted = True
                return
            known = self._tried_before(candidate) if self._rules.answer_repeats else None
            if known is None:
                self._log.propose(candidate, self._batch)
                self._add(candidate)
                self._waiting.append(Attempt(candidate))
            else:
                self._log.answer(candidate, known)
                self._answer(candidate, known)

    def _add(self, candidate: Candidate) -> None:
        self._open[candidate.number] = Tried(candidate)
        self._proposed += 1
        self._repeats = 0

    def _tried_before(self, candidate: Candidate) -> int | None:
        """The number under which the same candidate has ended, or is on its way."""
        known = self._done.get(candidate.digest)
        if known is not None:
            return known.candidate.number
        running = (number for number, tried in self._open.items() if tried.candidate.digest == candidate.digest)
        return next(running, None)

    def _answer(self, candidate: Candidate, by: int) -> None:
        """Tell the proposer of a candidate what is known of the same one; where that still runs, when it has ended."""
        self._repeats += 1
        self.exhausted = self._repeats >= MAX_REPEATS
        tried = self._open.get(by)
        if tried is not None:
            tried.echoes.append(candidate)
            return
        known = self._log.trial(by)
        self._proposer.tell(candidate, known.state, known.rungs)

    def _begin(self, number: int) -> None:
        if self._rules.batch is None:
            self._decider.begin(number)
        elif number not in self._apart:
            self._apart[number] = copy.deepcopy(self._decider)
            self._apart[number].begin(number)

    def _decide(self, number: int, report: RungReport) -> str:
        tried = self._open[number]
        tried.reports.append(report)
        tried.stops = self._ask(self._apart.get(number, self._decider), number, report)
        return tried.stops

    def _ask(self, decider: Decider, number: int, report: RungReport) -> str:
        """Why the trial does not go on. One that costs too much is no measure for others: the decider is not told."""
        aims = self._rules.aims
        outgrown = aims.outgrown(report)
        if outgrown:
            return (
                f"breaks search.constraints: {', '.join(aims.bound_text(one, report.metrics[one]) for one in outgrown)}"
            )
        return decider.decide(number, report)

    def _conclude(self, number: int, report: RungReport) -> None:
        """End a trial that does not go on from this rung."""
        if not report.is_last:
            why = self._open[number].stops
            self._end(number, Ending(TrialState.PRUNED, f"stopped at rung {report.rung}: {why}"))
            return
        aims = self._rules.aims
        broken = ", ".join(aims.bound_text(name, report.metrics[name]) for name in aims.broken(report.metrics))
        said = f"; breaks search.constraints: {broken}" if broken else ""
        self._end(number, Ending(TrialState.COMPLETE, f"ran to its end{said}"))

    def _end(self, number: int, ending: Ending) -> None:
        tried = self._open[number]
        tried.ended = self._log.end(number, ending)
        tried.answers = ending.answers
        if self._rules.batch is None:
            self._decider.end(number)
            self._settle(number)
        elif all(one.ended is not None for one in self._open.values()):
            self._settle_batch()

    def _settle(self, number: int) -> None:
        """Tell the proposer how a trial has ended, and answer with it from now on."""
        tried = self._open.pop(number)
        if tried.ended is None:
            return
        for candidate in (tried.candidate, *tried.echoes):
            self._proposer.tell(candidate, tried.ended.state, tried.ended.rungs)
        if tried.answers:
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
        self._proposer.readopt(candidate)
        self._answer(candidate, int(record["by"]))

    def _replay_started(self, record: Mapping[str, Any]) -> None:
        number = int(record["candidate"])
        tried = self._open[number]
        tried.attempts = int(record["attempt"])
        slot = record.get("slot")
        self._log.start(tried.candidate, tried.attempts, None if slot is None else SlotSize(**slot))
        self._begin(number)

    def _replay_rung(self, record: Mapping[str, Any]) -> None:
        number, report = int(record["candidate"]), RungReport(**record["report"])
        stops, tried = self._decide(number, report), self._open[number]
        tried.stops = "" if record["goes_on"] else stops or "stopped"
        self._log.report(number, report, str(record["node"]), goes_on=not tried.stops)

    def _replay_kept(self, record: Mapping[str, Any]) -> None:
        kept = Kept(int(record["rung"]), str(record["key"]), str(record["sha256"]))
        self.kept(int(record["candidate"]), kept)

    def _replay_anew(self, record: Mapping[str, Any]) -> None:
        self.begins_anew(int(record["candidate"]))

    def _replay_lost(self, record: Mapping[str, Any]) -> None:
        number = int(record["candidate"])
        loss = Loss(str(record["reason"]), counts=bool(record["counts"]), alone=bool(record.get("alone")))
        tried = self._open[number]
        tried.moves += 0 if loss.counts else 1
        tried.alone = loss.alone
        self._log.lost(number, int(record["attempt"]), loss)

    def _replay_ended(self, record: Mapping[str, Any]) -> None:
        state, reason, error = TrialState(record["state"]), str(record["reason"]), str(record["error"])
        self._end(int(record["candidate"]), Ending(state, reason, error, answers=bool(record["answers"])))
