"""Bootstrap of scores: every metric on many weighted resamples of the same predictions at once.

A resample is a weight for each row, drawn from a Poisson distribution of mean 1 (Hanley & MacGibbon 2006; Chamandy et
al. 2012): rows are sorted once, and each metric becomes sums over weights. Where rows belong together, a weight is
drawn for each group, so that a group comes as a whole or not at all (Field & Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson

from raysweep.training.learner import Floats
from raysweep.training.weighted_scores import WeightedScores

Groups = npt.NDArray[np.uint64]
Drawn = npt.NDArray[np.uint8]

RESAMPLES: Final = 1_000
_CHUNK_CELLS: Final = 200_000  # what is made of them stays in the cache, and in memory that is used again
# The Poisson distribution of mean 1 as 65,536 equally likely values: several times as fast as drawing from it.
_POISSON: Final = poisson.ppf((np.arange(2**16) + 0.5) / 2**16, 1.0).astype(np.uint8)
_DRAWS_A_WORD: Final = 4


def resampled_scores(  # noqa: PLR0913 - what is scored, and how it is drawn
    y: Floats,
    weight: Floats | None,
    scored: Sequence[tuple[str, Floats]],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    group: Groups | None = None,
    chunk: tuple[int, int] | None = None,
) -> Floats:
    """Scores on the same resamples, so that their differences are paired.

    Args:
        y: class codes or numbers, shape (rows,).
        weight: row weights, or None.
        scored: pairs of a metric's name and predictions, as `raysweep.training.metrics.score` takes them. What metrics
            of the same array of predictions share is worked out once.
        seed: of the resamples.
        resamples: how many.
        group: equal where rows belong together, shape (rows,); None where every row stands for itself.
        chunk: start and stop of the resamples to take, for several processes: chunks side by side are the whole.

    Returns:
        Array of shape (len(scored), resamples), or of a chunk's length; NaN where a resample lacks what the metric
        needs, such as one of two classes.
    """
    start, stop = chunk or (0, resamples)
    scores = WeightedScores(y, weight, scored)
    chunks = [scores.on(drawn) for drawn in drawn_weights(len(y), seed, start, stop, group)]
    return np.concatenate([np.empty((len(scored), 0)), *chunks], axis=1)


def drawn_weights(rows: int, seed: int, start: int, stop: int, group: Groups | None = None) -> Iterator[Drawn]:
    """The weights of resamples `start` to `stop`, some resamples at a time, each of shape (resamples, rows).

    They depend on the seed and the number of the resample alone, not on where one begins.
    """
    units, member = (rows, None) if group is None else _members(group)
    words = -(-units // _DRAWS_A_WORD)
    stream = np.random.PCG64(seed).advance(start * words)
    size = max(1, _CHUNK_CELLS // max(1, rows))
    for first in range(start, stop, size):
        count = min(size, stop - first)
        random = np.asarray(stream.random_raw(count * words)).astype("<u8", copy=False)
        drawn = _POISSON.take(random.view("<u2").reshape(count, -1)[:, :units])
        yield drawn if member is None else drawn.take(member, axis=1)


def _members(group: Groups) -> tuple[int, npt.NDArray[np.intp]]:
    known, member = np.unique(group, return_inverse=True)
    return len(known), member
