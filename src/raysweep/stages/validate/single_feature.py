"""How well one column alone predicts the target: cross-fitted means by bin or category.

The mean of the target in a bin is taken from the other folds, so that a category with another value in each
row predicts nothing. Rows are in the order of their hashes; folds are stretches of it, which keep copies
together.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FOLDS: Final = 5
_BINS: Final = 64


def codes_of(column: pa.ChunkedArray) -> Codes:
    """A code for each value, in order of first appearance; -1 for null."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def numbers_of(column: pa.ChunkedArray) -> Floats:
    """Numbers, booleans and instants as float64, with NaN for null."""
    array = column.combine_chunks()
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def bins_of(column: pa.ChunkedArray) -> Codes:
    """A bin for each value: 0 for null, then categories, or up to 64 quantile bins of numbers.

    Categories that occur once share a bin: alone they have nothing to say about other rows.
    """
    if pa.types.is_large_string(column.type):
        codes = codes_of(column)
        counts = np.bincount(codes + 1)
        return np.where(counts[codes + 1] == 1, 1, np.where(codes < 0, 0, codes + 2))
    numbers = numbers_of(column)
    present = np.sort(numbers[~np.isnan(numbers)])
    edges = np.unique(present)
    if len(edges) > _BINS:
        edges = np.unique(present[(np.arange(1, _BINS) * len(present)) // _BINS])
    bins = np.searchsorted(edges, numbers, side="left") + 1
    return np.where(np.isnan(numbers), 0, bins).astype(np.int64)


def class_strength(bins: Codes, classes: Codes) -> float:
    """ROC AUC of each class against the rest, weighted by the classes' shares.

    Args:
        bins: of the column, shape (rows,).
        classes: codes of the target's classes, 0 and up, at least two of them.
    """
    folds = _folds(len(bins))
    shares = np.bincount(classes) / len(classes)
    if len(shares) == 2:  # noqa: PLR2004 - both classes of two have the same AUC
        return _cross_fitted_auc(bins, folds, (classes == 1).astype(np.float64))
    return sum(
        float(share) * _cross_fitted_auc(bins, folds, (classes == label).astype(np.float64))
        for label, share in enumerate(shares)
        if share
    )


def number_strength(bins: Codes, numbers: Floats | None, target: Floats) -> float:
    """R2 of the bins' means, or of a straight line where that is better (bins are coarse in long tails).

    Args:
        bins: of the column, shape (rows,).
        numbers: its values with NaN for null; None for text.
        target: finite numbers, not all the same.
    """
    scaled = target / np.abs(target).max()
    means, _, _ = _other_folds(bins, _folds(len(bins)), scaled)
    best = _r2(scaled, means[_folds(len(bins)), bins])
    return best if numbers is None else max(best, _r2(scaled, _line(numbers, scaled)))


def _folds(rows: int) -> Codes:
    return np.arange(rows) * _FOLDS // max(rows, 1)


def _other_folds(bins: Codes, folds: Codes, outcome: Floats) -> tuple[Floats, Floats, Floats]:
    """For each fold and bin: the mean in the other folds, drawn to the prior; and its own rows and sum."""
    size = int(bins.max()) + 1
    cells = folds * size + bins
    rows = _cell_sums(cells, np.ones(len(cells)), size)
    sums = _cell_sums(cells, outcome, size)
    means = (sums.sum(axis=0) - sums + outcome.mean()) / (rows.sum(axis=0) - rows + 1)
    return means, rows, sums


def _cell_sums(cells: Codes, weights: Floats, size: int) -> Floats:
    sums = np.bincount(cells, weights=weights, minlength=_FOLDS * size).reshape(_FOLDS, size)
    return np.asarray(sums, dtype=np.float64)


def _cross_fitted_auc(bins: Codes, folds: Codes, outcome: Floats) -> float:
    means, rows, sums = _other_folds(bins, folds, outcome)
    _, ranks = np.unique(means.ravel(), return_inverse=True)
    positives = np.bincount(ranks.ravel(), weights=sums.ravel())
    negatives = np.bincount(ranks.ravel(), weights=(rows - sums).ravel())
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum()
    return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else 0.5


def _line(numbers: Floats, target: Floats) -> Floats:
    """Least squares on finite numbers; other rows get their own mean."""
    predicted = np.full(len(target), target.mean())
    finite = np.isfinite(numbers)
    if not finite.any():
        return predicted
    x: Any = numbers[finite] / max(float(np.abs(numbers[finite]).max()), np.finfo(np.float64).tiny)
    x = x - x.mean()
    spread = float((x * x).sum())
    slope = float((x * target[finite]).sum()) / spread if spread else 0.0
    predicted[finite] = target[finite].mean() + slope * x
    if not finite.all():
        predicted[~finite] = target[~finite].mean()
    return predicted


def _r2(target: Floats, predicted: Floats) -> float:
    total = float(((target - target.mean()) ** 2).sum())
    return 1 - float(((target - predicted) ** 2).sum()) / total if total else 0.0
