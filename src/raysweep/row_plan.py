"""How many rows the search gets, decided once for a run: by what its cluster has room for, or as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from raysweep.config import SweepConfig
from raysweep.records.room import Room
from raysweep.records.table import LearningTask, Split
from raysweep.runtime.ray_room import find_room
from raysweep.stages.split.row_budget import budget_for, size_of
from raysweep.training.process_memory import available_bytes

_BINS_SHARE: Final = 0.5  # of a trial's memory; the rest is for gradients, and for what is read


@dataclass(frozen=True, slots=True)
class RowPlan:
    """How many rows the search gets.

    Attributes:
        config: the sweep with `search.rows` as a number, or `all`.
        said: why that is so; empty where all are taken.
    """

    config: SweepConfig
    room: Room
    said: str = ""

    def of(self, split: Split) -> Split:
        """The split with what a fit on all rows may hold of them."""
        if split.sample is None:
            return split
        return replace(split, sample=replace(split.sample, bins_bytes=int(self.room.trial * _BINS_SHARE)))


def plan_rows(config: SweepConfig, task: LearningTask, rows: int, decided: int | str | None) -> RowPlan:
    """How many rows the search gets.

    Args:
        config: the sweep.
        task: with its inputs.
        rows: of the whole table.
        decided: what was decided when the run began; None: nothing yet.
    """
    room = find_room(config.search, available_bytes())
    parts = config.split.parts
    budget = budget_for(
        config.search.rows if decided is None else decided,
        size_of(rows, parts.training + parts.testing, task.inputs),
        room,
    )
    search = config.search.model_copy(update={"rows": "all" if budget.rows is None else budget.rows})
    return RowPlan(config.model_copy(update={"search": search}), room, budget.why)


def sentences(plan: RowPlan, split: Split) -> Iterator[str]:
    """What the user should know of it."""
    sample = split.sample
    if sample is None:
        return
    yield f"candidates are compared on {sample}: {plan.said}"
    for label, ours, every in sample.raised:
        yield f"of class {label!r}, which is rare, {ours:,} of {every:,} rows are in the sample, and count less each"
