"""How far two lots of predictions of the same rows are apart, on the scale on which the model tells rows apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from raysweep.training.learner import Floats

ORDINARY: Final = frozenset({"training row", "made up"})
_FINEST: Final = 2.0**24 * float(np.finfo(np.float64).eps)
_TWO: Final = 2


def ordinary_rows(said: Sequence[object]) -> npt.NDArray[np.bool_]:
    """Which golden rows are such as the model was fitted on, by what golden.parquet says that each of them is."""
    return np.array([isinstance(one, str) and one in ORDINARY for one in said], dtype=np.bool_)


def gap(found: Floats, wanted: Floats, ordinary: npt.NDArray[np.bool_] | None = None) -> Floats:
    """The difference of each row: of probabilities as it is, of numbers over the spread of those that are wanted.

    The spread is the standard deviation over the ordinary rows, so that neither the unit of a target nor what all its
    values share hides a difference. Where they are all the same, it is the largest of them (1 where all are 0). Rows
    that are not ordinary may lie far outside: for them it is how far they lie from the ordinary ones' mean, where that
    is more. No scale is finer than numbers are: at a tolerance of 1e-6, sixteen units in the last place may differ.

    Args:
        found: shape (rows,) or (rows, 1) for numbers, (rows, classes) for probabilities.
        wanted: the same of the model that they are held against.
        ordinary: shape (rows,), which rows the spread is taken over; None for all.

    Returns:
        Shape (rows,): 0 only where the row's numbers are equal, infinite where one is not a number or `found` has
        another shape.
    """
    rows = len(wanted)
    if found.size != wanted.size or len(found) != rows or rows == 0:
        return np.full(rows, np.inf)
    one, two = (np.asarray(each, dtype=np.float64).reshape(rows, -1) for each in (found, wanted))
    with np.errstate(all="ignore"):  # of numbers near the largest there are
        apart = np.abs(one - two)
        if two.shape[1] < _TWO:
            apart = apart / _scale(two, ordinary)
    apart = np.where(one == two, 0.0, np.maximum(apart, np.finfo(np.float64).tiny))
    return np.asarray(np.where(np.isnan(apart), np.inf, apart).max(axis=1), dtype=np.float64)


def _scale(wanted: Floats, ordinary: npt.NDArray[np.bool_] | None) -> Floats:
    """Of each row, shape (rows, 1)."""
    if ordinary is None or not ordinary.any():
        ordinary = np.ones(len(wanted), dtype=np.bool_)
    plain = wanted[ordinary]
    largest = float(np.abs(plain).max())
    spread = float(plain.std()) if np.ptp(plain) > 0 else largest or 1.0
    scale = np.maximum(spread, _FINEST * np.abs(wanted))
    return np.where(ordinary[:, None], scale, np.maximum(scale, np.abs(wanted - plain.mean())))
