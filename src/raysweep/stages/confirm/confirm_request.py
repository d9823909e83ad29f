"""What the final check is given, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from raysweep.events import Listener, Said
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import LabelConflicts, LearningTask, Split
from raysweep.records.trial import FittedModel, SearchOutcome, Trial
from raysweep.runtime.ray_crew import Crew
from raysweep.space import SearchSpace
from raysweep.stages.confirm.production import ChampionModel
from raysweep.storage.store import Store
from raysweep.training.sealed_rows import Seal
from raysweep.training.trial_data import RowBlock


@dataclass(frozen=True, slots=True)
class ConfirmRequest:
    """What the final check is given beside the config.

    Attributes:
        goes_on: the run started from what a published one had tried, whose score was seen.
        ranking: trials with a score, best first; not empty.
        space: that was searched.
        seal: of the validation rows.
        conflicts: equal features with different targets, in the whole table.
        ledger: of openings: the store that holds it.
        clock: date and time in UTC.
        champion: the model in production; None where none is named.
        crew: takes the calls that are long.
    """

    run_id: str
    goes_on: bool
    ranking: Sequence[Trial]
    search: SearchOutcome
    space: SearchSpace
    task: LearningTask
    split: Split
    seal: Seal = field(repr=False)
    conflicts: LabelConflicts | None
    ledger: Store
    clock: Callable[[], datetime]
    tell: Listener
    champion: ChampionModel | None = None
    crew: Crew = field(default_factory=Crew, repr=False)

    def say(self, sentence: str) -> None:
        """Tell the user."""
        self.tell(Said(sentence))


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the final check leaves behind.

    Attributes:
        shipped: the fit that ships, as `confirm.refit` says.
        best: the `export.top` best trials fitted on training rows, the winner first.
        training: the training rows.
        seen: the inputs of the rows that the shipped fit was made on, an Arrow table.
    """

    check: FinalCheck
    shipped: FittedModel
    best: tuple[FittedModel, ...]
    training: RowBlock
    seen: Any = field(repr=False)
