"""Rung arithmetic: at which shares of the full effort trials are compared (successive halving, Li et al. 2020)."""

from __future__ import annotations

from typing import Final

REDUCTION: Final = 3
LEVELS: Final = 4


def efforts_for(folds: int) -> tuple[float, ...]:
    """Shares of the full effort at the rungs.

    Args:
        folds: 1 for one testing part: 1/27, 1/9, 1/3 and all of the rounds (or rows). More for cross-validation: a
            rung a fold.
    """
    if folds == 1:
        return tuple(REDUCTION ** float(level - LEVELS + 1) for level in range(LEVELS))
    return tuple((fold + 1) / folds for fold in range(folds))


def max_units(folds: int) -> int:
    """The full effort as a whole number, of which each rung is `REDUCTION` times the one before; with folds, theirs."""
    return int(REDUCTION ** (LEVELS - 1)) if folds == 1 else folds
