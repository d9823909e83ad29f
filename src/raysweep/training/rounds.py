"""How many rounds a growing family needs, read from the curve of its scores on watched rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

PATIENCE_ROUNDS: Final = 50
_LOOKS: Final = 200


def look_every(rounds: int) -> int:
    """After how many rounds to score the watched rows, where full effort is so many.

    On many rows a score takes longer than a round. Two hundred looks find the best number of rounds to half a percent.
    """
    return max(1, rounds // _LOOKS)


def best_rounds(curve: Sequence[float], every: int = 1) -> int:
    """The first number of rounds with the best score.

    Args:
        curve: scores after `every`, twice as many, ... rounds; more is better.
        every: how many rounds lie between them.
    """
    return (int(np.argmax(curve)) + 1) * every


def has_stalled(curve: Sequence[float], every: int = 1) -> bool:
    """Whether 50 rounds have brought nothing."""
    return len(curve) * every - best_rounds(curve, every) >= PATIENCE_ROUNDS


def agreed_rounds(curves: Sequence[Sequence[float]], every: int = 1) -> int:
    """One number of rounds for several folds: the best of their mean curve, as far as all of them go.

    A number for each fold, chosen on the rows that the fold is scored on, would flatter the score.
    """
    length = min(len(curve) for curve in curves)
    return best_rounds(np.mean([curve[:length] for curve in curves], axis=0).tolist(), every)
