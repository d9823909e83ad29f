"""What is known of every trial while the search runs, and when it has to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from raysweep.config import StopConfig
from raysweep.events import Listener, RungReached, TrialEnded, TrialStarted
from raysweep.records.metric import Metric
from raysweep.records.trial import Candidate, RungReport, Trial, TrialState

Record = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """When the search ends.

    Attributes:
        trials: how many candidates may be tried.
        deadline: seconds since the epoch, or None.
        started: when the search began, seconds since the epoch.
    """

    trials: int
    stop: StopConfig
    started: float

    @property
    def deadline(self) -> float:
        """When time is up, seconds since the epoch; infinity for no limit."""
        return self.started + self.stop.seconds if self.stop.seconds is not None else float("inf")


class TrialLog:
    """Keeps every trial's state; tells the listener and the journal of each change before anyone acts on it."""

    def __init__(self, metric: Metric, part: str, limits: Limits, tell: Listener, record: Record) -> None:
        self._metric = metric
        self._part = part
        self._limits = limits
        self._tell = tell
        self._record = record
        self._trials: dict[int, Trial] = {}
        self._best: Trial | None = None
        self._best_at = 0
        self._ended = 0

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in the order of proposals."""
        return tuple(self._trials[number] for number in sorted(self._trials))

    def start(self, candidate: Candidate, now: float) -> None:
        """A candidate was handed to a trial."""
        trial = Trial(candidate, TrialState.RUNNING, started=now)
        self._trials[candidate.number] = trial
        measured = {"metric": self._metric.name, "part": self._part}
        self._record({"event": "started", "at": now, **measured, "candidate": asdict(candidate)})
        self._tell(TrialStarted(trial))

    def report(self, number: int, report: RungReport, node: str) -> None:
        """A trial reached a rung."""
        known = self._trials[number]
        trial = replace(known, rungs=(*known.rungs, report), node=node)
        self._trials[number] = trial
        self._record({"event": "rung", "candidate": number, "node": node, "report": asdict(report)})
        if self._is_best(trial):
            self._best, self._best_at = trial, self._ended
        self._tell(RungReached(trial, report))

    def end(self, number: int, state: TrialState, reason: str, error: str = "") -> Trial:
        """A trial is over; `reason` says why in words."""
        trial = replace(self._trials[number], state=state, reason=reason, error=error)
        self._trials[number] = trial
        self._ended += 1
        if self._best is not None and self._best.candidate.number == number:
            self._best_at = self._ended
        self._record({"event": "ended", "candidate": number, "state": state, "reason": reason, "error": error})
        self._tell(TrialEnded(trial))
        return trial

    def is_running(self, number: int) -> bool:
        """Whether the trial has started and not ended."""
        return number in self._trials and not self._trials[number].state.has_ended

    def is_new(self, number: int, report: RungReport) -> bool:
        """Whether the report is not in the log yet (Tune hands over the last one twice)."""
        return all(known.rung != report.rung for known in self._trials[number].rungs)

    def why_stop(self, now: float) -> str | None:
        """The limit that is met, in words, or None."""
        stop = self._limits.stop
        if now >= self._limits.deadline:
            return f"search.stop.seconds: {stop.seconds:g} s are over"
        best = self._best.whole_score if self._best is not None else None
        if stop.score is not None and best is not None and not self._metric.is_better(stop.score, best):
            return f"search.stop.score: {best:.6g} reaches {stop.score:g}"
        if stop.patience is not None and self._ended - self._best_at >= stop.patience:
            return f"search.stop.patience: no gain in {stop.patience} trials"
        return None

    def _is_best(self, trial: Trial) -> bool:
        score, best = trial.whole_score, self._best.whole_score if self._best is not None else None
        return score is not None and (best is None or self._metric.is_better(score, best))


def ranked(trials: tuple[Trial, ...], metric: Metric) -> list[Trial]:
    """Trials with a score, best first; ties go to the earlier proposal.

    Whole scores come first. That of a trial which ended early is whole where it had fewer rounds, since those
    rounds are what would be shipped; not where it had fewer rows or folds.
    """
    scored = [trial for trial in trials if trial.score is not None and trial.state is not TrialState.FAILED]
    return sorted(
        scored,
        key=lambda trial: (
            trial.whole_score is None,
            0.0 if trial.whole_score is not None else -trial.rungs[-1].effort,
            -metric.sign * (trial.score or 0.0),
            trial.candidate.number,
        ),
    )
