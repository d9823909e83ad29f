"""How many rounds a growing family needs, read from the curve of its scores on watched rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

PATIENCE_ROUNDS: Final = 50


def best_rounds(curve: Sequence[float]) -> int:
    """The first number of rounds with the best score; `curve` holds scores after 1, 2, ... rounds, more is better."""
    return int(np.argmax(curve)) + 1


def has_stalled(curve: Sequence[float]) -> bool:
    """Whether 50 rounds have brought nothing."""
    return len(curve) - best_rounds(curve) >= PATIENCE_ROUNDS


def agreed_rounds(curves: Sequence[Sequence[float]]) -> int:
    """One number of rounds for several folds: the best of their mean curve, as far as all of them go.

    A number for each fold, chosen on the rows that the fold is scored on, would flatter the score.
    """
    length = min(len(curve) for curve in curves)
    return best_rounds(np.mean([curve[:length] for curve in curves], axis=0).tolist())
