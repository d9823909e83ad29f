"""Fitting a candidate that was chosen once more, at full effort, on the rows that its model shall have seen."""

from __future__ import annotations

from dataclasses import replace

from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.training.evaluate import TrialRules, new_learner
from raysweep.training.families import families
from raysweep.training.learner import OnDevice
from raysweep.training.pipeline import Pipeline
from raysweep.training.trial_data import RowBlock, encode


def fit_pipeline(
    candidate: Candidate,
    task: LearningTask,
    rows: RowBlock,
    rules: TrialRules,
    *,
    rounds: int | None,
    seed: int,
) -> Pipeline:
    """Fit a candidate at full effort.

    Args:
        candidate: family and parameters.
        task: what is to be learned.
        rows: to fit on.
        rules: threads and device; the rungs are not used.
        rounds: the number of rounds found in the search, for a family that grows in rounds.
        seed: of the preprocessing, the same for all candidates of a sweep.
    """
    family = families()[candidate.family]
    encoding = str(candidate.params.get("encoding", "ordinal"))
    encoded = encode(task, rows, None, encoding, scaled=family.scaled, seed=seed)
    learner = new_learner(replace(candidate, rounds=rounds), task, rules, candidate.seed)
    learner.grow(encoded.fit, 1.0)
    if isinstance(learner, OnDevice):
        learner.leave_gpu()
    return Pipeline(candidate.family, encoded.preparation, encoded.preprocessor, learner)
