"""What has to be fitted for the final check, and how one of these fits is carried out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from raysweep.config import SweepConfig
from raysweep.records.table import LearningTask, Part
from raysweep.records.trial import Candidate, FittedModel, Trial, TrialState
from raysweep.training.costs import measure_costs
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import families
from raysweep.training.learner import Floats
from raysweep.training.process_state import begin_anew
from raysweep.training.refit import fit_pipeline
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows

TRAINING, BOTH = "training", "training+testing"
SEEDS: Final = 3
CURVE_SHARES: Final = (0.25, 0.5)
_SEED_STEP: Final = 1_000_003


@dataclass(frozen=True, slots=True)
class Fit:
    """What has to be fitted.

    Attributes:
        on: training, or training+testing.
        to_its_end: a trial that the scheduler had stopped is run to its end first, since what it gave in a few rounds
            is no match for the winner.
        share: of these rows, the first of them; they stand in the order of their keys' hashes.
        in_blocks: on all rows of the parts, also where the search has a sample of them, by `search.trial.workers`.
    """

    trial: Trial
    on: str
    to_its_end: bool = False
    share: float = 1.0
    in_blocks: bool = False

    def fitted_on(self, *, is_sample: bool) -> str:
        """The rows in words.

        Args:
            is_sample: the search has a sample of the parts.
        """
        if not is_sample:
            return self.on
        return f"all {self.on}" if self.in_blocks else f"sampled {self.on}"


@dataclass(frozen=True, slots=True)
class FitRules:
    """What all fits have in common; `seed` is that of the preprocessing."""

    task: LearningTask
    rules: TrialRules
    seed: int


@dataclass(frozen=True, slots=True)
class FitPlan:
    """All fits, by what they are for.

    Attributes:
        finalists: best first.
        best: how many of the best are fitted on training rows; the finalists are the first of them.
        fits: by name: `trained_name`, `shipped_name`, `default_name`, `seed_name`.
    """

    finalists: tuple[Trial, ...]
    best: int
    fits: Mapping[str, Fit]

    @property
    def needed(self) -> frozenset[str]:
        """The fits of the finalists, without which there is no final check."""
        ranks = range(1, len(self.finalists) + 1)
        return frozenset(name for rank in ranks for name in (trained_name(rank), shipped_name(rank))) & self.fits.keys()


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a plan.

    Attributes:
        models: references to the `FittedModel` of each fit, by its name.
        before: predictions that were made before the validation rows were opened, by the name of the fit and the part.
    """

    plan: FitPlan
    models: Mapping[str, Any]
    before: Mapping[tuple[str, Part], Floats]


def plan_fits(
    ranking: Sequence[Trial], trials: Sequence[Trial], config: SweepConfig, *, is_sample: bool = False
) -> FitPlan:
    """Which fits the final check needs.

    Args:
        ranking: trials with a score, best first; not empty.
        trials: all trials, among them the families' defaults.
        config: the whole sweep.
        is_sample: the search has a sample of the rows. What is compared with the search is fitted on the sample, too;
            what ships, and the default that it is compared with, on all rows where its family takes them in blocks.
    """
    winner, confirm = ranking[0], config.confirm
    whole = [trial for trial in ranking if trial is winner or trial.rungs[-1].is_whole]
    finalists = tuple(whole[: confirm.finalists])
    best = whole[: max(config.export.top, confirm.finalists)]
    fits = {trained_name(rank): Fit(trial, TRAINING) for rank, trial in enumerate(best, start=1)}
    shipping = {shipped_name(rank): shipping_fit(trial, config, is_sample) for rank, trial in enumerate(finalists, 1)}
    fits |= {name: fit for name, fit in shipping.items() if fit is not None}
    for finalist in finalists:
        default = default_of(finalist, trials, config.search.trial.seconds)
        if default is not None and default is not finalist:
            in_blocks = fits_in_blocks(default, config, is_sample)
            fits[default_name(finalist)] = Fit(default, confirm.refit, to_its_end=True, in_blocks=in_blocks)
    fits |= {seed_name(number): Fit(_with_seed(winner, number), TRAINING) for number in range(1, SEEDS)}
    return FitPlan(finalists, len(best), fits)


def shipping_fit(trial: Trial, config: SweepConfig, is_sample: bool) -> Fit | None:
    """The fit of a finalist that ships; None where that is the one on training rows."""
    in_blocks = fits_in_blocks(trial, config, is_sample)
    if config.confirm.refit == BOTH or in_blocks:
        return Fit(trial, config.confirm.refit, in_blocks=in_blocks)
    return None


def fits_in_blocks(trial: Trial, config: SweepConfig, is_sample: bool) -> bool:
    """Whether what ships is fitted on rows in blocks: there are more than the search has, or several workers."""
    return (is_sample or config.search.trial.workers > 1) and families()[trial.candidate.family].takes_blocks


def trained_name(rank: int) -> str:
    """The trial of that rank on training rows."""
    return f"trained {rank}"


def shipped_name(rank: int) -> str:
    """The finalist of that rank on training and testing rows; where `confirm.refit` is training there is none."""
    return f"shipped {rank}"


def default_name(finalist: Trial) -> str:
    """The default parameters of the finalist's family, fitted like the finalists that are scored."""
    return f"default {finalist.candidate.family}"


def seed_name(number: int) -> str:
    """The winner on training rows with another seed."""
    return f"seed {number}"


def plan_curve(winner: Trial) -> dict[float, Fit]:
    """The fits of a learning curve: the winner on shares of the training rows."""
    return {share: Fit(winner, TRAINING, share=share) for share in CURVE_SHARES}


def default_of(finalist: Trial, trials: Sequence[Trial], longest_seconds: float | None) -> Trial | None:
    """The finalist's family with its default parameters; None where they failed, or take longer than a trial may."""
    for trial in trials:
        if trial.candidate.origin == "default" and trial.candidate.family == finalist.candidate.family:
            has_failed = not trial.rungs or trial.state is TrialState.FAILED
            is_stopped = trial.state is TrialState.STOPPED
            is_overdue = is_stopped and longest_seconds is not None and trial.slot_seconds >= longest_seconds
            return None if has_failed or is_overdue else trial
    return None


def count_rivals(default: Trial, trials: Sequence[Trial]) -> int:
    """How many other candidates of the default's family had a score."""
    family = default.candidate.family
    return sum(one.candidate.family == family and one.score is not None for one in trials) - 1


def carry_out(fit: Fit, rows: SearchRows, rules: FitRules) -> FittedModel:
    """Fit it."""
    started = time.perf_counter()
    block = rows.training if fit.on == TRAINING else rows.training.joined(rows.testing)
    if fit.share < 1:
        block = block.take(slice(0, max(1, round(fit.share * block.rows))))
    trial = fit.trial
    begin_anew(trial.candidate.seed)
    if fit.to_its_end and trial.state is not TrialState.COMPLETE:
        trial = replace(
            trial, rungs=tuple(evaluate(trial.candidate, PreparedRows(rules.task, rows, rules.seed), rules.rules))
        )
        begin_anew(trial.candidate.seed)
    rounds = rounds_for(trial, block.rows, rows)
    pipeline = fit_pipeline(trial.candidate, rules.task, block, rules.rules, rounds=rounds, seed=rules.seed)
    seconds = time.perf_counter() - started
    costs = measure_costs(pipeline, block.features, rules.task.aims.further)
    return FittedModel(fit.trial, pipeline, fit.fitted_on(is_sample=rows.is_sample), block.rows, seconds, costs)


def rounds_for(trial: Trial, rows: int, search: SearchRows) -> int | None:
    """The rounds that the search found, scaled by the rows: more rows carry more rounds."""
    found = trial.rungs[-1].rounds
    if found is None:
        return None
    searched_on: float = search.training.rows
    if search.folds > 1:
        searched_on = (search.training.rows + search.testing.rows) * (1 - 1 / search.folds)
    return max(1, round(found * rows / searched_on))


def fitted_rows(rows: SearchRows, on: str) -> RowBlock:
    """The rows that a fit is made on; of one on more rows than the search has, the search's."""
    return rows.training.joined(rows.testing) if on.endswith(BOTH) else rows.training


def _with_seed(trial: Trial, number: int) -> Trial:
    candidate: Candidate = replace(trial.candidate, seed=(trial.candidate.seed + number * _SEED_STEP) % 2**32)
    return replace(trial, candidate=candidate)
