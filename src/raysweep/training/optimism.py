"""Optimism: how much too good the best of many candidates looks on testing rows, by luck alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import norm

from raysweep.records.metric import Metric
from raysweep.records.model_facts import Optimism
from raysweep.training.learner import Floats
from raysweep.training.resampling import resampled_scores
from raysweep.training.testing_sample import SampledRows

_FEWEST: Final = 30
_FEWEST_OF_CLASS: Final = 5
_RESAMPLES: Final = 300
_AT_ONCE: Final = 25  # candidates whose rankings are in memory together
_GRID: Final = 100
_STEPS: Final = 20
_LEAST_WIDTH: Final = 0.1
_NOWHERE_ZERO: Final = 1e-9
_NEAREST: Final = 10  # candidates, or a tenth of them: what their noise has in common changes no choice


def selection_optimism(
    metric: Metric, sample: SampledRows, predictions: Sequence[Floats], scores: Sequence[float], seed: int
) -> Optimism | None:
    """What choosing the best of several candidates adds to its testing score (Cawley & Talbot 2010).

    The noise of each score comes from resamples that are the same for all candidates, so that noise which they share,
    which changes no choice, adds nothing (cf. Tsamardinos et al. 2018). The true scores come from the observed ones by
    empirical Bayes with a prior of any shape (Kiefer & Wolfowitz 1956; Koenker & Mizera 2014): the observed ones differ
    by noise as well, and would make the best one look better founded than it is. In each draw, true scores and noise
    are added up, and the noise of the candidate that wins counts.

    Args:
        metric: the sweep's.
        sample: of the testing rows; those that belong together are resampled together.
        predictions: of each candidate on the sample.
        scores: of each candidate on all testing rows.
        seed: of the resamples.

    Returns:
        None where there are no candidates, the metric is not defined on the sample or for some candidate, or the sample
        is too small to say anything: under 30 rows or groups, or of two classes under 5 rows of one.
    """
    observed = metric.sign * np.asarray(scores, dtype=np.float64)
    if not len(observed) or not np.isfinite(observed).all() or _is_small(sample, predictions[0]):
        return None
    share = len(sample.y) / sample.testing_rows
    noise = metric.sign * _noise(metric, sample, predictions, seed) * math.sqrt(share)
    if noise.shape[1] < _RESAMPLES / 2:
        return None
    true = _possible_truths(observed, _own_deviation(observed, noise), noise.shape[1], seed)
    winners = (true + noise).argmax(axis=0)
    expected = float(noise[winners, np.arange(noise.shape[1])].mean())
    return Optimism(len(observed), max(0.0, expected), len(sample.y))


def _is_small(sample: SampledRows, predicted: Floats) -> bool:
    units = len(sample.y) if sample.group is None else len(np.unique(sample.group))
    is_binary = predicted.ndim > 1 and predicted.shape[1] == 2  # noqa: PLR2004
    fewest = np.bincount(sample.y.astype(np.int64), minlength=2).min() if is_binary else _FEWEST_OF_CLASS
    return bool(units < _FEWEST or fewest < _FEWEST_OF_CLASS)


def _noise(metric: Metric, sample: SampledRows, predictions: Sequence[Floats], seed: int) -> Floats:
    """Deviations of the candidates' scores on resamples from their mean, shape (candidates, resamples with a score)."""
    asked = [(metric.name, predicted) for predicted in predictions]
    batches = [asked[start : start + _AT_ONCE] for start in range(0, len(asked), _AT_ONCE)]
    drawn = [
        resampled_scores(sample.y, sample.weight, batch, seed=seed, resamples=_RESAMPLES, group=sample.group)
        for batch in batches
    ]
    known = np.concatenate(drawn)
    known = known[:, np.isfinite(known).all(axis=0)]
    return known - known.mean(axis=1, keepdims=True) if known.size else known


def _own_deviation(observed: Floats, noise: Floats) -> Floats:
    """Standard deviation of each score's noise, without what it shares with the best candidates."""
    nearest = np.argsort(-observed)[: max(_NEAREST, len(observed) // 10)]
    deviation = (noise - noise[nearest].mean(axis=0)).std(axis=1)
    return np.asarray(deviation, dtype=np.float64)


def _possible_truths(observed: Floats, deviation: Floats, draws: int, seed: int) -> Floats:
    """True scores as they may be, given the observed ones, shape (candidates, draws)."""
    grid = np.linspace(observed.min(), observed.max(), _GRID)
    if grid[0] == grid[-1]:
        return np.repeat(observed[:, np.newaxis], draws, axis=1)
    posterior = _posterior(observed, np.maximum(deviation, grid[1] - grid[0]), grid)
    chances = np.random.default_rng(seed).random((len(observed), draws))
    cumulated = np.cumsum(posterior, axis=1)
    places = [np.searchsorted(below / below[-1], chance) for below, chance in zip(cumulated, chances, strict=True)]
    return np.asarray(grid[np.stack(places).clip(max=_GRID - 1)], dtype=np.float64)


def _posterior(observed: Floats, deviation: Floats, grid: Floats) -> Floats:
    """Chances of each true score on the grid, shape (candidates, grid).

    The prior starts as the normal distribution that explains the variance of the scores beyond their noise, and takes
    the shape of the data in a few steps of expectation maximization only: its maximum is too spiky for few candidates.
    """
    beyond_noise = max(0.0, observed.var(ddof=1) - float((deviation**2).mean()))
    width = math.sqrt(beyond_noise + (_LEAST_WIDTH * float(deviation.mean())) ** 2 + (grid[1] - grid[0]) ** 2)
    prior = norm.pdf(grid, np.average(observed, weights=deviation**-2), width) + _NOWHERE_ZERO
    likelihood = norm.pdf(observed[:, np.newaxis], grid, deviation[:, np.newaxis])
    for _ in range(_STEPS):
        joint = likelihood * prior
        prior = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    posterior = likelihood * prior
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True), dtype=np.float64)
