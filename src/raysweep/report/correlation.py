"""Rank correlation between the columns of numbers, on a part of the sample that bounds the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raysweep.report.feature_bins import Floats

MAX_ROWS: Final = 20_000
MAX_CELLS: Final = 2_000_000
MIN_PAIRS: Final = 20
SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Correlations:
    """Spearman's correlation of each pair; NaN where there are too few rows with both values.

    Attributes:
        chosen_from: how many columns there were.
    """

    names: tuple[str, ...]
    matrix: Floats
    chosen_from: int


def rows_for(columns: int) -> int:
    """How many rows to look at."""
    return min(MAX_ROWS, MAX_CELLS // max(1, columns))


def correlations(names: Sequence[str], columns: Sequence[Floats]) -> Correlations | None:
    """The correlations of these columns, of the most correlated ones where they are many.

    Args:
        names: of the columns.
        columns: their values, NaN where missing.

    Returns:
        None where fewer than two columns vary.
    """
    ranked = [(name, _ranks(values)) for name, values in zip(names, columns, strict=True)]
    ranked = [(name, ranks) for name, ranks in ranked if np.nanmax(ranks, initial=-1) > np.nanmin(ranks, initial=1)]
    if len(ranked) < 2:  # noqa: PLR2004
        return None
    values = _pairwise(np.column_stack([ranks for _, ranks in ranked]))
    strengths = np.where(np.eye(len(ranked), dtype=np.bool_), 0.0, np.nan_to_num(np.abs(values))).max(axis=1)
    chosen = np.sort(np.argsort(-strengths, kind="stable")[:SHOWN])
    return Correlations(
        tuple(ranked[place][0] for place in chosen), values[np.ix_(chosen, chosen)], chosen_from=len(ranked)
    )


def _ranks(values: Floats) -> Floats:
    """The ranks from -1 to 1, the mean one for equal values; NaN where missing."""
    ranks = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    if known.any():
        _, codes, counts = np.unique(values[known], return_inverse=True, return_counts=True)
        middles = np.cumsum(counts) - (counts - 1) / 2
        ranks[known] = 2 * middles[codes] / (len(codes) + 1) - 1
    return ranks


def _pairwise(ranks: Floats) -> Floats:
    """Pearson's correlation of each pair of columns, over the rows that have both."""
    present = ~np.isnan(ranks)
    x, m = np.where(present, ranks, 0.0), present.astype(np.float64)
    pairs, sums, squares = m.T @ m, x.T @ m, (x**2).T @ m
    n = np.maximum(pairs, 1)
    both = x.T @ x / n - (sums / n) * (sums.T / n)
    spread = np.maximum(squares / n - (sums / n) ** 2, 0.0)
    scale = np.sqrt(spread * spread.T)
    known = (pairs >= MIN_PAIRS) & (scale > 1e-9)  # noqa: PLR2004 - below lies what rounding leaves
    found = np.divide(both, scale, out=np.full(both.shape, np.nan), where=known)
    return np.asarray(np.clip(found, -1.0, 1.0), np.float64)
