"""The leaderboard as rows of text, for the terminal, the report and the notebook alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.records.aims import Aims, standings_of
from raysweep.records.trial import Trial
from raysweep.report.wording import cost_text, params_text, score_text

SHOWN_PARAMS = 4
IMPORTANT_PARAMS = (
    "learning_rate",
    "max_depth",
    "max_leaf_nodes",
    "min_child_weight",
    "min_samples_leaf",
    "C",
    "alpha",
    "n_neighbors",
    "encoding",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A trial as the leaderboard needs it, wherever it was read from."""

    number: int
    family: str
    state: str
    score: float | None
    seconds: float
    params: Mapping[str, object]
    effort: float | None = None
    rounds: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the leaderboard.

    Attributes:
        further: what else was asked for, in the order of `Aims.further`.
        state: and whether the trial is on the Pareto front, or which constraints it breaks.
        params: the few that tell the trials of a family apart, or matter most.
    """

    rank: str
    family: str
    score: str
    further: tuple[str, ...]
    effort: str
    seconds: str
    state: str
    params: str
    trial: str


def leaderboard(ranking: Sequence[Trial], aims: Aims, count: int | None = None) -> list[Row]:
    """Rows for the first `count` of the trials, which are best first; all of them where it is None."""
    front = aims.front(standings_of(ranking))
    return leaderboard_rows([_entry(trial) for trial in ranking[:count]], aims, front)


def leaderboard_rows(entries: Sequence[Entry], aims: Aims, front: Collection[int]) -> list[Row]:
    """Rows for entries, best first.

    Args:
        entries: the trials.
        aims: what they were after.
        front: the numbers of those on the Pareto front; only said where there are further objectives.
    """
    telling = {
        family: _telling_params(entry.params for entry in entries if entry.family == family)
        for family in {entry.family for entry in entries}
    }
    return [
        Row(
            rank=str(rank),
            family=entry.family,
            score=score_text(entry.score),
            further=tuple(cost_text(name, entry.metrics.get(name)) for name in aims.further),
            effort=_effort_text(entry),
            seconds=f"{entry.seconds:.1f}",
            state=_state_text(entry, aims, front),
            params=params_text({name: entry.params[name] for name in telling[entry.family] if name in entry.params}),
            trial=str(entry.number),
        )
        for rank, entry in enumerate(entries, start=1)
    ]


def _entry(trial: Trial) -> Entry:
    last = trial.rungs[-1] if trial.rungs else None
    return Entry(
        number=trial.candidate.number,
        family=trial.candidate.family,
        state=trial.state.value,
        score=trial.score,
        seconds=trial.seconds,
        params=trial.candidate.params,
        effort=last.effort if last else None,
        rounds=last.rounds if last else None,
        metrics=last.metrics if last else {},
    )


def _state_text(entry: Entry, aims: Aims, front: Collection[int]) -> str:
    broken = aims.broken(entry.metrics)
    if broken:
        return f"{entry.state}, breaks {', '.join(broken)}"
    return f"{entry.state}, on the front" if aims.objectives and entry.number in front else entry.state


def _telling_params(all_params: Iterable[Mapping[str, object]]) -> list[str]:
    """The first few names whose values differ; where none does, the first few of all. The important ones come first."""
    values: dict[str, set[str]] = {}
    for params in all_params:
        for name, value in params.items():
            values.setdefault(name, set()).add(repr(value))
    differing = [name for name, seen in values.items() if len(seen) > 1]
    return sorted(differing or values, key=_importance)[:SHOWN_PARAMS]


def _importance(name: str) -> int:
    return IMPORTANT_PARAMS.index(name) if name in IMPORTANT_PARAMS else len(IMPORTANT_PARAMS)


def _effort_text(entry: Entry) -> str:
    said = [] if entry.effort is None else [f"{entry.effort:.0%}"]
    said += [] if entry.rounds is None else [f"{entry.rounds:,} rounds"]
    return ", ".join(said)
