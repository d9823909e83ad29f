"""What is known of every trial while the search runs, and when it has to end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from raysweep.config import StopConfig
from raysweep.events import Event, Listener, RungReached, TrialEnded, TrialStarted
from raysweep.records.aims import Aims, Standing, standings_of
from raysweep.records.trial import Candidate, RungReport, SlotSize, Trial, TrialState

Record = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """When the search ends.

    Attributes:
        began: when this driver began to search, seconds since the epoch.
        spent_seconds: what drivers before it have searched.
        spent_cost: what that has cost.
        cost_per_second: of all slots of this one.
        rated: since when they have cost that, seconds since the epoch; None: since it began.
    """

    stop: StopConfig
    began: float
    spent_seconds: float = 0.0
    spent_cost: float = 0.0
    cost_per_second: float = 0.0
    rated: float | None = None

    @property
    def deadline(self) -> float:
        """When time is up, seconds since the epoch; infinity for no limit."""
        return float("inf") if self.stop.seconds is None else self.began - self.spent_seconds + self.stop.seconds

    def cost(self, now: float) -> float:
        """What the search has cost until now."""
        return self.spent_cost + (now - (self.began if self.rated is None else self.rated)) * self.cost_per_second

    def at_rate(self, cost_per_second: float, now: float) -> Limits:
        """The same where the slots cost something else from now on."""
        return replace(self, spent_cost=self.cost(now), cost_per_second=cost_per_second, rated=now)


@dataclass(frozen=True, slots=True)
class Loss:
    """A trial has lost its process.

    Attributes:
        reason: what became of the process, in words.
        counts: it may have been the candidate's own fault.
        alone: nothing else may run beside it when it is tried again.
        at: when the process was seen to be gone, seconds since the epoch; None: now.
    """

    reason: str
    counts: bool = True
    alone: bool = False
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a trial has ended.

    Attributes:
        reason: why, in words.
        error: with its traceback, where there is one.
        answers: the same candidate, proposed again, is answered with it. What only the end of the search has stopped,
            or another space has dropped, is tried again.
        at: when, seconds since the epoch; None: now.
    """

    state: TrialState
    reason: str
    error: str = ""
    answers: bool = True
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A rung from which a trial can go on in another process.

    Attributes:
        key: where its state lies in the run's place.
        sha256: of the state.
    """

    rung: int
    key: str
    sha256: str


class TrialLog:
    """Keeps every trial's state; tells the journal and then the listener of each change before anyone acts on it."""

    def __init__(self, aims: Aims, part: str, limits: Limits, tell: Listener, record: Record) -> None:
        self._aims = aims
        self._part = part
        self._limits = limits
        self._listener = tell
        self._journal = record
        self._replayed_at: float | None = None
        self._slot = SlotSize()
        self._began: dict[int, float] = {}
        self._reached: dict[int, dict[int, float]] = {}  # when each rung was reported, of trials that have not ended
        self._safe: dict[int, float] = {}  # until when nothing of a trial can be lost
        self._kept_seconds: dict[int, tuple[float, float]] = {}  # of attempts lost, and core seconds: to go on from
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

    def begin(self, slot: SlotSize, said: Mapping[str, Any]) -> None:
        """The search begins, or goes on, with slots of that size."""
        self._slot = slot
        aims = self._aims
        objectives, constraints = [one.name for one in aims.objectives], dict(aims.constraints)
        asked: dict[str, Any] = {"metric": aims.metric.name, "objectives": objectives, "constraints": constraints}
        self._record("search", self._limits.began, part=self._part, slot=asdict(slot), **asked, **said)

    def take_up_driver(self, record: Mapping[str, Any]) -> None:
        """Another driver had begun to search: what follows was tried in slots of its size."""
        self._slot = SlotSize(**record["slot"])

    def finish(self, stopped_by: str, said: Mapping[str, Any]) -> None:
        """The search is over."""
        self._record("searched", stopped_by=stopped_by, **said)

    def propose(self, candidate: Candidate, batch: int) -> None:
        """A candidate was proposed."""
        self._record("proposed", candidate=asdict(candidate), batch=batch)

    def answer(self, candidate: Candidate, by: int) -> None:
        """A candidate that was proposed again has its score from an earlier trial."""
        self._record("answered", candidate=asdict(candidate), by=by)

    def change_cluster(self, said: Mapping[str, Any], cost_per_second: float) -> None:
        """The cluster is another one from now on, and its slots cost something else."""
        at = self._now()
        self._limits = self._limits.at_rate(cost_per_second, at)
        self._record("cluster", at, **said)

    def start(self, candidate: Candidate, attempt: int, slot: SlotSize | None = None) -> None:
        """A candidate is tried, or tried again: it keeps the rungs that it has reached.

        Args:
            candidate: what is tried.
            attempt: the number of the attempt.
            slot: what it holds, where that is not what the search's slots hold.
        """
        at = self._now()
        before = self._trials.get(candidate.number, Trial(candidate, TrialState.RUNNING, started=at))
        held = self._slot if slot is None else slot
        trial = replace(before, attempts=attempt, slot=held)
        if candidate.number not in self._safe:  # it begins anew: its rungs are reached once more
            self._reached.pop(candidate.number, None)
        self._trials[candidate.number] = trial
        self._began[candidate.number] = at
        said = {} if held == self._slot else {"slot": asdict(held)}
        self._record("started", at, candidate=candidate.number, attempt=attempt, **said)
        self._tell(TrialStarted(trial))

    def report(self, number: int, report: RungReport, node: str, *, goes_on: bool) -> None:
        """A trial has reached a rung, and goes on from there or not."""
        known = self._trials[number]
        trial = replace(known, rungs=(*known.rungs, report), node=node)
        self._trials[number] = trial
        at = self._now()
        self._reached.setdefault(number, {})[report.rung] = at
        self._record("rung", at, candidate=number, node=node, report=asdict(report), goes_on=goes_on)
        self._note_gain(trial)
        self._tell(RungReached(trial, report))

    def keep(self, number: int, kept: Kept) -> None:
        """What a trial had come to at a rung is kept: nothing up to there can be lost any more."""
        self._safe[number] = self._reached.get(number, {}).get(kept.rung, self._now())
        self._record("kept", candidate=number, **asdict(kept))

    def forfeit(self, number: int) -> None:
        """What was kept of a trial's lost attempts is of no use: it is lost, too."""
        seconds, core_seconds = self._kept_seconds.pop(number, (0.0, 0.0))
        self._safe.pop(number, None)
        self._reached.pop(number, None)
        trial = self._trials[number]
        self._trials[number] = replace(
            trial,
            lost_seconds=trial.lost_seconds + seconds,
            lost_core_seconds=trial.lost_core_seconds + core_seconds,
        )
        self._record("anew", candidate=number)

    def lost(self, number: int, attempt: int, loss: Loss) -> None:
        """A trial has lost its process in this attempt, and will be tried again."""
        at = self._now() if loss.at is None else loss.at
        self._trials[number] = self._held(number, at, is_lost=True)
        said = {"reason": loss.reason, "counts": loss.counts, "alone": loss.alone}
        self._record("lost", at, candidate=number, attempt=attempt, **said)

    def cut_off(self, at: float) -> tuple[int, ...]:
        """The driver has died, last heard of then: what ran has held its slot until then; gives the candidates."""
        running = tuple(self._began)
        for number in running:
            self._trials[number] = self._held(number, at, is_lost=True)
        return running

    def end(self, number: int, ending: Ending) -> Trial:
        """A trial is over."""
        at = self._now() if ending.at is None else ending.at
        said: dict[str, Any] = {"state": ending.state, "reason": ending.reason, "error": ending.error}
        trial = replace(self._held(number, at), **said)
        self._trials[number] = trial
        self._ended += 1
        self._reached.pop(number, None)
        self._safe.pop(number, None)
        self._kept_seconds.pop(number, None)
        if ending.state is TrialState.FAILED:
            self._forget_gain(number)
        elif self._front and self._front[-1].number == number:
            self._gained_at = self._ended
        self._record("ended", at, candidate=number, answers=ending.answers, **said)
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
        if stop.cost is not None and self._limits.cost(now) >= stop.cost:
            return f"search.stop.cost: {stop.cost:g} is spent"
        metric = self._aims.metric
        scores = [one.score for one in self._front] if stop.score is not None else []
        reached = [score for score in scores if not metric.is_better(stop.score or 0.0, score)]
        if reached:
            return f"search.stop.score: {reached[0]:.6g} reaches {stop.score:g}"
        if stop.patience is not None and self._ended - self._gained_at >= stop.patience:
            return f"search.stop.patience: no gain in {stop.patience} trials"
        return None

    def _held(self, number: int, until: float, *, is_lost: bool = False) -> Trial:
        """The trial with the time for which this attempt has held its slot, or has for nothing."""
        trial = self._trials[number]
        began = self._began.pop(number, until)
        seconds = max(0.0, until - began)
        lost = max(0.0, until - max(began, self._safe.get(number, began))) if is_lost else 0.0
        if is_lost:
            kept, kept_core = self._kept_seconds.get(number, (0.0, 0.0))
            self._kept_seconds[number] = kept + seconds - lost, kept_core + (seconds - lost) * trial.slot.cpus
        return replace(
            trial,
            slot_seconds=trial.slot_seconds + seconds,
            core_seconds=trial.core_seconds + seconds * trial.slot.cpus,
            gpu_seconds=trial.gpu_seconds + seconds * trial.slot.gpus,
            lost_seconds=trial.lost_seconds + lost,
            lost_core_seconds=trial.lost_core_seconds + lost * trial.slot.cpus,
        )

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

    def _forget_gain(self, number: int) -> None:
        """What a trial has shown that failed in the end is no gain: the others stand as if it had not been."""
        if all(one.number != number for one in self._front):
            return
        known = standings_of(self._trials.values())
        best = self._aims.front(known)
        self._front = [one for one in known if one.number in best]
        self._gained_at = self._ended  # when the others gained is not known any more: patience begins anew
