"""Shift: whether two parts' rows can be told apart, and which feature no longer tells what it told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.stats import norm

from raysweep.config import TaskKind
from raysweep.records.metric import METRICS
from raysweep.records.model_facts import Estimate
from raysweep.records.table import LearningTask
from raysweep.training.feature_alone import FeatureAlone
from raysweep.training.intervals import count_units, estimate
from raysweep.training.learner import Floats
from raysweep.training.metrics import score
from raysweep.training.probes import Folds, group_folds, no_skill, out_of_fold, trees
from raysweep.training.resampling import Groups, resampled_scores
from raysweep.training.slices import holm
from raysweep.training.trial_data import RowBlock

_MOST_ROWS: Final = 10_000  # of each part: more only take longer to tell apart
_FOLDS: Final = 3
_FEATURES: Final = 3
_RESAMPLES: Final = 300
_AT_ONCE: Final = 25
_SIGNIFICANT: Final = 0.05
_LEAST_DROP: Final = 0.1  # of ROC AUC or R2
_LEAST_SHARE: Final = 0.25  # of what the feature told on testing rows beyond nothing
_METRICS: Final = {TaskKind.BINARY: "roc_auc", TaskKind.MULTICLASS: "roc_auc_ovr", TaskKind.REGRESSION: "r2"}


@dataclass(frozen=True, slots=True)
class Told:
    """How well rows of two parts can be told apart.

    Attributes:
        auc: ROC AUC out of fold, 0.5 where they are alike.
        features: the three that tell them apart most, each with its ROC AUC alone, the best first.
    """

    auc: Estimate
    features: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class BrokenFeature:
    """A feature that alone told much more on testing rows than it does on validation rows.

    Attributes:
        testing, validation: ROC AUC (the mean over the classes, one against the rest), or R2.
        p_value: that it did not fall, Holm-adjusted over all features.
    """

    name: str
    testing: float
    validation: float
    p_value: float


def tell_apart(task: LearningTask, before: RowBlock, after: RowBlock, seed: int = 0) -> Told:
    """Tell the rows of two parts apart by a small model (the classifier two-sample test of Lopez-Paz & Oquab 2017).

    Args:
        task: of the sweep, for its inputs.
        before: rows of one part, at least a few.
        after: rows of the other part.
        seed: of the rows taken where there are many, and of the folds.
    """
    rng = np.random.default_rng(seed)
    parts = [_some(part, rng) for part in (before, after)]
    y = np.repeat([0.0, 1.0], [part.rows for part in parts])
    joined = replace(parts[0].joined(parts[1]), y=y, weight=None)
    folds = rng.permutation(np.arange(len(y)) % _FOLDS) if joined.group is None else _folds_of_groups(joined.group)
    telling = LearningTask(TaskKind.BINARY, "part", METRICS["roc_auc"], task.inputs, (False, True))
    predicted = out_of_fold(telling, joined, folds, trees())
    drawn = resampled_scores(y, None, [("roc_auc", predicted)], seed=seed, resamples=_RESAMPLES, group=joined.group)[0]
    units = count_units(y, joined.group, METRICS["roc_auc"], 2)
    auc = estimate(score("roc_auc", y, predicted), drawn, units=units)
    alone = [(name, _apart_alone(joined, name, folds)) for name in joined.features.column_names]
    return Told(auc, tuple(sorted(alone, key=lambda pair: -pair[1])[:_FEATURES]))


def broken_features(
    task: LearningTask, training: RowBlock, testing: RowBlock, validation: RowBlock, seed: int = 0
) -> tuple[BrokenFeature, ...]:
    """Features whose strength on validation rows fell: what a leak looks like that only some rows have.

    Each feature alone predicts the target by its means over training rows, and is scored on testing and on validation
    rows. It is broken where the drop is significant (bootstrap of both parts; Holm 1979), at least 0.1 and a quarter of
    what the feature told on testing rows.

    Args:
        task: of the sweep.
        training: rows to learn from: the task's inputs, targets and weights.
        testing: rows to score on.
        validation: rows to score on once more.
        seed: of the resamples.

    Returns:
        The largest drop first.
    """
    targets = np.eye(len(task.classes))[training.y.astype(np.int64)] if task.classes else training.y[:, np.newaxis]
    names = training.features.column_names
    fitted = [FeatureAlone.fit(training.features.column(name), targets) for name in names]
    scores, errors = zip(*(_strengths(task, fitted, names, part, seed) for part in (testing, validation)), strict=True)
    drops, noise = scores[0] - scores[1], np.hypot(errors[0], errors[1])
    defined = np.isfinite(drops) & np.isfinite(noise)
    chances = np.where(defined, norm.sf(np.divide(drops, noise, out=np.zeros(len(names)), where=noise > 0)), 1.0)
    p_values = holm(chances.tolist())
    least = np.maximum(_LEAST_DROP, _LEAST_SHARE * (scores[0] - no_skill(task)))
    found = [
        BrokenFeature(name, float(scores[0][place]), float(scores[1][place]), p_values[place])
        for place, name in enumerate(names)
        if defined[place] and drops[place] >= least[place] and p_values[place] < _SIGNIFICANT
    ]
    return tuple(sorted(found, key=lambda one: one.validation - one.testing))


def _some(part: RowBlock, rng: np.random.Generator) -> RowBlock:
    if part.rows <= _MOST_ROWS:
        return part
    return part.take(np.sort(rng.choice(part.rows, _MOST_ROWS, replace=False)))


def _folds_of_groups(group: Groups) -> Folds:
    return group_folds(np.unique(group, return_inverse=True)[1].astype(np.int64), _FOLDS)


def _apart_alone(joined: RowBlock, name: str, folds: Folds) -> float:
    column, predicted = joined.features.column(name), np.zeros((joined.rows, 2))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        alone = FeatureAlone.fit(column.take(outside), joined.y[outside, np.newaxis])
        predicted[inside, 1] = alone.predict(column.take(inside))[:, 0]
    return score("roc_auc", joined.y, predicted)


def _strengths(
    task: LearningTask, fitted: Sequence[FeatureAlone], names: Sequence[str], part: RowBlock, seed: int
) -> tuple[Floats, Floats]:
    """Scores of the features alone on a part, and their standard errors."""
    metric = _METRICS[task.kind]
    scores, errors = [], []
    for start in range(0, len(names), _AT_ONCE):
        chosen = range(start, min(start + _AT_ONCE, len(names)))
        predicted = [fitted[place].predict(part.features.column(names[place])) for place in chosen]
        asked = [(metric, one if task.classes else one[:, 0]) for one in predicted]
        drawn = resampled_scores(part.y, part.weight, asked, seed=seed, resamples=_RESAMPLES, group=part.group)
        scores += [score(name, part.y, one, part.weight) for name, one in asked]
        errors += [float(one[np.isfinite(one)].std()) if np.isfinite(one).any() else math.nan for one in drawn]
    return np.array(scores), np.array(errors)
