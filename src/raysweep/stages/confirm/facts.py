"""What is found out about the model that ships beside its score: what is chosen on testing, judged on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from raysweep.config import SweepConfig, TaskKind
from raysweep.documents import shorten
from raysweep.records.model_facts import Calibration, Optimism, Slice, Threshold
from raysweep.records.table import LearningTask, Part
from raysweep.records.trial import Trial
from raysweep.training.calibration import calibrate_numbers, calibrate_probabilities
from raysweep.training.declared_slices import declared_slices
from raysweep.training.learner import Floats
from raysweep.training.optimism import selection_optimism
from raysweep.training.sealed_rows import SealedRows
from raysweep.training.slice_tree import found_slices
from raysweep.training.slices import JudgedRows, Members, judge_slices, unexpected_losses
from raysweep.training.testing_sample import sample_targets, unpack
from raysweep.training.threshold import choose_threshold, criterion_of, judge_threshold
from raysweep.training.trial_data import RowBlock, SearchRows

MIN_COMPARED = 2
Found = TypeVar("Found")
Say = Callable[[str], None]


def measured(what: str, measure: Callable[[], Found], say: Say) -> Found | None:
    """What was measured, or None where that failed, which is said: it must not cost the score that it stands beside."""
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - whatever a table of somebody's makes of a statistic
        say(f"{what} could not be measured: {type(error).__name__}: {shorten(str(error), 200)}")
        return None


@dataclass(frozen=True, slots=True)
class FactRows:
    """Rows with predictions.

    Attributes:
        trained_testing: of the fit on training rows, on testing rows.
        validation: of the fit that ships, on validation rows.
        dummy: on validation rows.
    """

    testing: RowBlock
    sealed: SealedRows
    trained_testing: Floats
    validation: Floats
    dummy: Floats


def calibration_of(rows: FactRows, task: LearningTask, level: float) -> Calibration:
    """Whether predictions mean what they say, on validation rows."""
    block = rows.sealed.block
    calibrate = calibrate_probabilities if task.kind.is_classification else calibrate_numbers
    return calibrate(block.y, rows.validation, block.weight, level=level, group=block.group)


def threshold_of(rows: FactRows, task: LearningTask) -> Threshold | None:
    """The threshold chosen on testing rows, judged on validation rows; None for what is not binary."""
    if task.kind is not TaskKind.BINARY:
        return None
    testing, block = rows.testing, rows.sealed.block
    chosen = choose_threshold(testing.y, rows.trained_testing, testing.weight, criterion_of(task.metric))
    return None if chosen is None else judge_threshold(chosen, block.y, rows.validation, block.weight)


def slices_of(rows: FactRows, task: LearningTask, config: SweepConfig, say: Say) -> tuple[Slice, ...]:
    """Declared slices, and those that were found on testing rows; all judged on validation rows.

    Args:
        rows: with predictions.
        task: what is learned.
        config: with `confirm.slices`.
        say: is told what could not be measured, which costs nothing but itself: `slices_gate` sees which declared
            columns have no slice.
    """
    block = rows.sealed.block
    members = list[Members]()
    for name in config.confirm.slices:
        members += measured(f"slices of {shorten(name)}", partial(_declared, rows, name), say) or ()
    members += measured("slices that nobody named", lambda: _found(rows, task, config.split.seed), say) or ()
    judged = JudgedRows(block.y, rows.validation, rows.dummy, block.weight, block.group)
    return measured("slices", lambda: judge_slices(members, judged, task.metric, config.confirm.slices), say) or ()


def _declared(rows: FactRows, name: str) -> list[Members]:
    """With values and edges of testing rows where the column is an input, since sealed ones would be published."""
    inputs = rows.sealed.block.features
    if name in inputs.column_names:
        return declared_slices(inputs.select([name]), rows.testing.features.select([name]))
    return declared_slices(rows.sealed.further.select([name]))


def _found(rows: FactRows, task: LearningTask, seed: int) -> list[Members]:
    testing = rows.testing
    losses = unexpected_losses(task.metric, testing.y, rows.trained_testing)
    return found_slices(testing.features, losses, testing.weight, rows.sealed.block.features, seed)


def optimism_of(
    trials: Sequence[Trial], task: LearningTask, rows: SearchRows, seed: int, part: str = Part.TESTING
) -> Optimism | None:
    """How much of the best score is luck, from what all trials predict for the same rows.

    Args:
        trials: in any order.
        task: what is learned.
        rows: of the search.
        seed: of the resamples.
        part: what the scores were measured on, in words (`SearchOutcome.part`).
    """
    known = [trial for trial in trials if trial.rungs and trial.rungs[-1].sample and trial.rungs[-1].is_whole]
    if len(known) < MIN_COMPARED:
        return None
    sample = sample_targets(task, rows)
    predictions = [unpack(task, trial.rungs[-1].sample) for trial in known]
    scores = [trial.rungs[-1].score for trial in known]
    found = selection_optimism(task.metric, sample, predictions, scores, seed)
    return None if found is None else replace(found, part=str(part))
