"""What may be watched while a sweep runs: event records, and the Listener that gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from raysweep.records.aims import Aims
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import DataCheck
from raysweep.records.trial import RungReport, Trial
from raysweep.records.usage import Usage


class Stage(StrEnum):
    """The seven stages, in order."""

    SOURCE = "source"
    PROFILE = "profile"
    VALIDATE = "validate"
    SPLIT = "split"
    SEARCH = "search"
    CONFIRM = "confirm"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage is done; `summary` says in one line what it found."""

    stage: Stage
    seconds: float
    summary: str


@dataclass(frozen=True, slots=True)
class Said:
    """Something that the user should know, such as what was inferred."""

    message: str


@dataclass(frozen=True, slots=True)
class DataChecked:
    """The data gate has decided."""

    check: DataCheck


@dataclass(frozen=True, slots=True)
class SearchPlanned:
    """The search begins: its limits and slots.

    Attributes:
        part: what scores are measured on, in words.
        higher_is_better: the direction of `metric`.
        objectives, constraints: what counts beside the metric, by name.
        spent_seconds: what drivers before this one have searched.
        known: the trials of theirs.
    """

    trials: int
    seconds: float | None
    slots: int
    cpus_per_trial: int
    metric: str
    part: str
    higher_is_better: bool
    objectives: tuple[str, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    spent_seconds: float = 0.0
    known: tuple[Trial, ...] = field(default=(), repr=False)

    @property
    def aims(self) -> Aims:
        """What makes one trial better than another."""
        return Aims.named(self.metric, self.objectives, self.constraints)


@dataclass(frozen=True, slots=True)
class ClusterChanged:
    """Nodes have come or gone while the search runs.

    Attributes:
        slots: how many trials can run at a time now.
        nodes, cores, gpus: of the whole cluster now.
        words: what has happened.
    """

    slots: int
    nodes: int
    cores: float
    gpus: float
    words: str


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A trial begins."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class RungReached:
    """A trial reported."""

    trial: Trial
    report: RungReport


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial is complete, pruned, stopped or failed."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class SweepEnded:
    """The bundle is published, and this is what it came to: all that is said of it at the end.

    Attributes:
        metric, objectives, constraints: what made one trial better than another, by name.
        part: what the trials' scores were measured on, in words.
        leaders: the best trials, best first.
        scored: how many trials have a score.
        without_model: why no model is published; empty where one is.
        document: as `raysweep run --json` prints it.
    """

    run_id: str
    bundle_url: str
    metric: str
    part: str
    leaders: tuple[Trial, ...]
    scored: int
    final_check: FinalCheck
    usage: Usage
    objectives: tuple[str, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    without_model: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def aims(self) -> Aims:
        """What made one trial better than another."""
        return Aims.named(self.metric, self.objectives, self.constraints)


@dataclass(frozen=True, slots=True)
class SweepFailed:
    """The command has no result.

    Attributes:
        kind: the class of the error, such as `DataUnsuitable`.
        exit_code: of the command.
        bundle_url: where what was found until then is published, if anywhere.
    """

    kind: str
    message: str
    exit_code: int
    problems: tuple[str, ...] = ()
    bundle_url: str | None = None


Event = (
    StageStarted
    | StageFinished
    | Said
    | DataChecked
    | SearchPlanned
    | ClusterChanged
    | TrialStarted
    | RungReached
    | TrialEnded
    | SweepEnded
    | SweepFailed
)
Listener = Callable[[Event], None]


def ignore(_: Event) -> None:
    """A Listener that does nothing."""


def broadcast(listeners: Iterable[Listener]) -> Listener:
    """One Listener that hands every event to each of `listeners`."""
    all_listeners = tuple(listeners)

    def tell(event: Event) -> None:
        for listener in all_listeners:
            listener(event)

    return tell
