"""Candidates, trials and their ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from raysweep.space import ParamValue

if TYPE_CHECKING:
    from raysweep.records.cluster import NodeUse

Params = Mapping[str, ParamValue]
_ROUNDING: Final = 1e-9


class TrialState(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"  # ran to the end
    PRUNED = "pruned"  # stopped by the scheduler: not promising
    STOPPED = "stopped"  # the search ended while it ran; its last rung counts
    FAILED = "failed"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come."""
        return self is not TrialState.RUNNING


@dataclass(frozen=True, slots=True)
class Candidate:
    """A choice of family and parameters.

    Attributes:
        number: position in the order of proposals, from 0.
        params: the searched and the fixed parameters that are active.
        digest: sha256 of family and params, the first 16 hex digits.
        origin: why it is tried: default, start, tpe, random, grid.
        seed: for everything random in its fits; derives from the sweep's seed and `digest`, never from `number`.
        rounds: full effort in rounds, for a family that grows in rounds.
    """

    number: int
    family: str
    params: Params
    digest: str
    origin: str
    seed: int
    rounds: int | None = None


@dataclass(frozen=True, slots=True)
class RungReport:
    """What a trial reports at a rung.

    Attributes:
        rung: from 1; the last one is full effort.
        effort: share of the full effort, in (0, 1].
        score: the sweep's metric on testing rows (or the mean over the folds so far).
        metrics: every metric of the task, on the same rows; the sweep's alone before the last rung.
        rounds: the number of rounds with the best score so far, for a family that grows in rounds.
        seconds: of wall time since the trial began, in the trial's process.
        cpu_seconds: of CPU time of the trial's process since the trial began.
        memory_bytes: the most memory that the trial's process has taken beyond what it had when the trial began.
        is_last: more effort would not help, or there is none.
        is_whole: the score is that of a model that could be shipped, on all testing rows, and may be compared with any
            other. A fit on some of the rows, or a mean over some of the folds, is not whole.
        sample: at the last rung, what it predicts for a sample of the testing rows
            (`raysweep.training.testing_sample`); else empty.
    """

    rung: int
    effort: float
    score: float
    metrics: Mapping[str, float]
    seconds: float
    cpu_seconds: float
    rounds: int | None = None
    is_last: bool = False
    is_whole: bool = True
    memory_bytes: int = 0
    sample: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SlotSize:
    """What a trial holds while it runs: cores and GPUs, of which it may have a share."""

    cpus: int = 1
    gpus: float = 0.0

    def count_on(self, cpus: float, gpus: float) -> int:
        """How many fit on what a node has."""
        slots = int(cpus / self.cpus + _ROUNDING)
        return min(slots, int(gpus / self.gpus + _ROUNDING)) if self.gpus else slots


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate being tried, or tried.

    Attributes:
        reason: why it has ended, in words.
        started: when it was first tried, seconds since the epoch.
        attempts: how often it was begun; more than once where its process or its driver died.
        slot: that of the last attempt.
        slot_seconds: for how long it has held one, over all attempts.
        core_seconds, gpu_seconds: what it has held meanwhile.
        lost_seconds: of `slot_seconds`, those of attempts that lost their process, since the last rung that is kept.
        lost_core_seconds: what it held meanwhile.
    """

    candidate: Candidate
    state: TrialState
    rungs: tuple[RungReport, ...] = ()
    reason: str = ""
    error: str = ""
    started: float = 0.0
    node: str = ""
    attempts: int = 1
    slot: SlotSize = SlotSize()
    slot_seconds: float = 0.0
    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    lost_seconds: float = 0.0
    lost_core_seconds: float = 0.0

    @property
    def score(self) -> float | None:
        """The score of the last rung."""
        return self.rungs[-1].score if self.rungs else None

    @property
    def seconds(self) -> float:
        """Wall seconds until the last report."""
        return self.rungs[-1].seconds if self.rungs else 0.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the cluster has while a sweep runs on it: the cores and GPUs of all nodes."""

    cores: float
    gpus: float = 0.0


def over_time(first: float, changes: Iterable[tuple[float, float]], seconds: float) -> float:
    """What comes together in so many seconds of something that changes from time to time.

    Args:
        first: how much of it there is a second at the beginning.
        changes: after how many seconds there is how much of it instead, in order.
        seconds: how long it goes on.
    """
    total, rate, since = 0.0, first, 0.0
    for after, now in changes:
        until = min(max(after, since), seconds)
        total, rate, since = total + (until - since) * rate, now, until
    return total + (seconds - since) * rate


@dataclass(frozen=True, slots=True)
class Period:
    """The time of one driver, in wall seconds.

    Attributes:
        capacity: when its search began, or where it came to none.
        before: from the command's start to the search.
        searching: of the search.
        after: since the search; of a driver that died it is not known, and counts as nothing.
        changes: how many seconds after the search began the cluster had another capacity, and which.
    """

    capacity: Capacity
    before: float
    searching: float = 0.0
    after: float = 0.0
    changes: tuple[tuple[float, Capacity], ...] = ()

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.before + self.searching + self.after

    @property
    def last(self) -> Capacity:
        """What the cluster had in the end."""
        return self.changes[-1][1] if self.changes else self.capacity


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What the search leaves behind.

    Attributes:
        trials: in the order of proposals.
        part: what the scores were measured on, in words, such as `testing`.
        stopped_by: why the search ended, in words.
        periods: of each driver so far, this one last; of this one what came after the search is not known yet.
        slots: how many trials could run at a time in the end.
        nodes: the machines that it ran on; empty where a journal of before does not say.
        kept_off: the ids of nodes that got no trials: they have something else installed, or nothing can be started.
    """

    trials: tuple[Trial, ...]
    part: str
    stopped_by: str
    periods: tuple[Period, ...]
    slots: int
    interrupted: bool = False
    nodes: tuple[NodeUse, ...] = ()
    kept_off: frozenset[str] = frozenset()

    @property
    def seconds(self) -> float:
        """Wall time of the search, over all drivers."""
        return sum(period.searching for period in self.periods)


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A candidate fitted on some rows, ready to predict or to be written.

    Attributes:
        learner: a `raysweep.training.pipeline.Pipeline`; opaque outside `training/`.
        fitted_on: training, or training+testing; with `all` or `sampled` before it where the search had a sample.
        rows: how many rows it was fitted on.
        seconds: how long that took.
        costs: what using it costs, by the names of `raysweep.records.metric.COSTS` that were asked for.
        seen: a small table that has the same extremes, texts and gaps as the rows, where these came in blocks.
    """

    trial: Trial
    learner: Any = field(repr=False, compare=False)
    fitted_on: str
    rows: int
    seconds: float
    costs: Mapping[str, float] = field(default_factory=dict)
    seen: Any = field(default=None, repr=False, compare=False)
