"""What a search is after: its metric, what is weighed against it, and the bounds that a model has to keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from raysweep.config import SearchConfig, TaskKind
from raysweep.errors import RequestInvalid
from raysweep.records.metric import COSTS, Direction, Metric, check_metric_name, find_metric, fitting, metric_for
from raysweep.records.trial import RungReport, Trial, TrialState


@dataclass(frozen=True, slots=True)
class Aims:
    """What makes one trial better than another.

    Attributes:
        metric: ranks them.
        objectives: weighed against it: trials that no other beats in all of them are the Pareto front.
        constraints: name of a metric or cost -> the bound, which a model that may win keeps.
    """

    metric: Metric
    objectives: tuple[Metric, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def named(cls, metric: str, objectives: Iterable[str] = (), constraints: Mapping[str, float] | None = None) -> Aims:
        """The aims by the names of what they are about.

        Raises:
            RequestInvalid: there is no metric or cost of a name.
        """
        found = tuple(find_metric(name, "search.objectives") for name in objectives)
        return cls(find_metric(metric, "search.metric"), found, dict(constraints or {}))

    @property
    def further(self) -> tuple[str, ...]:
        """The names of what is measured beside the metric, each once."""
        names = (*(one.name for one in self.objectives), *self.constraints)
        return tuple(dict.fromkeys(name for name in names if name != self.metric.name))

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which end is better, of the metric and of each objective."""
        return self.metric.direction, *(one.direction for one in self.objectives)

    def values(self, report: RungReport) -> tuple[float, ...]:
        """The score and the value of each objective."""
        return report.score, *(report.metrics[one.name] for one in self.objectives)

    def excess(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """For each constraint how far beyond its bound the value is, as a share of it; not above 0 where it is kept.

        Args:
            metrics: by name; a constraint on what was not measured is left out.
        """
        over: dict[str, float] = {}
        for name, bound in self.constraints.items():
            if name in metrics:
                sign = find_metric(name, "search.constraints").sign
                share = sign * (bound - metrics[name]) / (abs(bound) or 1.0)
                over[name] = math.inf if math.isnan(share) else share
        return over

    def broken(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """The constraints that these values do not keep."""
        return tuple(name for name, over in self.excess(metrics).items() if over > 0)

    def outgrown(self, report: RungReport) -> tuple[str, ...]:
        """The bounds on costs that are exceeded already: with more effort a model only grows."""
        return tuple(name for name in self.broken(report.metrics) if name in COSTS)

    def bound_text(self, name: str, value: float) -> str:
        """`size_bytes 45,620 (at most 40,000)`."""
        side = "at least" if find_metric(name, "search.constraints").direction is Direction.MAXIMIZE else "at most"
        return f"{name} {value:,.6g} ({side} {self.constraints[name]:,.6g})"

    def front(self, standings: Iterable[Standing]) -> frozenset[int]:
        """The numbers of the trials that are on the Pareto front; with the metric alone, of the best ones."""
        known = ((self._gains(one), one.number) for one in standings if self.may_win(one))
        front: list[tuple[tuple[float, ...], int]] = []  # a later one is nowhere better in the first value
        for gains, number in sorted(known, reverse=True):
            if not any(_matches(other, gains) and other != gains for other, _ in front):
                front.append((gains, number))
        return frozenset(number for _, number in front)

    def advances(self, one: Standing, others: Iterable[Standing]) -> bool:
        """Whether it may win, and is better in something than each of the others."""
        if not self.may_win(one):
            return False
        gains = self._gains(one)
        return not any(_matches(self._gains(other), gains) for other in others)

    def may_win(self, one: Standing) -> bool:
        """Whether its score may be compared with any other, and it keeps every constraint."""
        return one.is_whole and not self.broken(one.metrics)

    def ordered(self, standings: Iterable[Standing]) -> list[int]:
        """The numbers of the trials, best first; ties go to the earlier proposal.

        Those that keep every constraint come first, then by how little they break. Among these whole scores come
        first. With further objectives the Pareto front comes before what it beats.
        """
        known = list(standings)
        front = self.front(known) if self.objectives else frozenset()

        def place(one: Standing) -> tuple[float, bool, bool, float, float, int]:
            excess = sum(over for over in self.excess(one.metrics).values() if over > 0)
            effort = 0.0 if one.is_whole else -one.effort
            return excess, not one.is_whole, one.number not in front, effort, -self.metric.sign * one.score, one.number

        return [one.number for one in sorted(known, key=place)]

    def _gains(self, one: Standing) -> tuple[float, ...]:
        """The values, with more always better."""
        further = (other.sign * one.metrics[other.name] for other in self.objectives)
        return self.metric.sign * one.score, *further


@dataclass(frozen=True, slots=True)
class Standing:
    """What a trial's rank depends on.

    Attributes:
        number: of its candidate.
        is_whole: its score may be compared with any other. That of a trial which ended early may where it had fewer
            rounds, since those rounds are what would be shipped; not where it had fewer rows or folds.
        effort: share of the full effort, in (0, 1].
        metrics: every metric and cost that was measured, by name.
    """

    number: int
    score: float
    is_whole: bool
    effort: float
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, trial: Trial) -> Standing | None:
        """That of a trial; None where it has no score, or has failed."""
        if not trial.rungs or trial.state is TrialState.FAILED:
            return None
        last = trial.rungs[-1]
        return cls(trial.candidate.number, last.score, last.is_whole, last.effort, last.metrics)


def ranked(trials: Iterable[Trial], aims: Aims) -> list[Trial]:
    """Trials with a score, best first, as `Aims.ordered` has them."""
    known = {trial.candidate.number: trial for trial in trials}
    return [known[number] for number in aims.ordered(standings_of(known.values()))]


def standings_of(trials: Iterable[Trial]) -> list[Standing]:
    """What is known of the trials that have a score."""
    return [standing for trial in trials if (standing := Standing.of(trial)) is not None]


def check_aims(search: SearchConfig) -> None:
    """Refuse metrics that do not exist, which can be said before the data are read.

    Raises:
        RequestInvalid: naming the closest one.
    """
    check_metric_name(search.metric)
    for name in search.objectives:
        find_metric(name, "search.objectives")
    for name, bound in search.constraints.items():
        find_metric(name, "search.constraints")
        if name in COSTS and bound <= 0:
            raise RequestInvalid(
                f"search.constraints.{name}: no model costs as little as {bound:g}; give a bound above 0"
            )


def aims_for(search: SearchConfig, task: TaskKind) -> Aims:
    """The aims that the sweep file asks for, with the default metric of the task where it names none.

    Raises:
        RequestInvalid: something is no metric, or does not fit the task.
    """
    check_aims(search)
    metric = metric_for(search.metric, task)
    aims = Aims.named(metric.name, search.objectives, search.constraints)
    for one in aims.objectives:
        fitting(one, task, "search.objectives")
    for name in aims.constraints:
        fitting(find_metric(name, "search.constraints"), task, "search.constraints")
    if metric in aims.objectives:
        raise RequestInvalid(f"search.objectives: {metric.name} is the metric already; name something beside it")
    return aims


def _matches(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether `one` is nowhere worse."""
    return all(mine >= theirs for mine, theirs in zip(one, other, strict=True))
