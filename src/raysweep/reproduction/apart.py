"""How far the predictions of the published model and of the one fitted here are apart, on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.documents import shorten
from raysweep.training.agreement import gap
from raysweep.training.learner import Floats

Predicted = Floats | str


@dataclass(frozen=True, slots=True)
class Apart:
    """Two models on the same rows.

    Attributes:
        rows: how many.
        gap: the largest difference of a row, as `raysweep.training.agreement.gap`; 0 only where all are the same.
        refused: which of the two cannot take these rows, and why; empty where both can.
    """

    rows: int
    gap: float
    refused: str = ""


def predicted(
    whose: str, predict: Callable[[pa.Table], Floats], wanted: Sequence[str], features: pa.Table
) -> Predicted:
    """What a model predicts; or why it cannot take these rows, such as those of another table.

    Args:
        whose: the model, for the message.
        predict: its predictions of such a table.
        wanted: the columns that it needs.
        features: the rows.
    """
    missing = [shorten(name) for name in wanted if name not in features.column_names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"without {missing[0]!r}{more}, which {whose} needs"
    try:
        return predict(features)
    except (KeyError, ValueError, pa.ArrowException) as error:
        why = error.args[0] if error.args else type(error).__name__
        return f"{whose} cannot take these rows: {shorten(str(why), 200)}"


def how_far(then: Predicted, now: Predicted, rows: int, ordinary: npt.NDArray[np.bool_] | None = None) -> Apart:
    """The largest difference between what two models predict.

    Args:
        then: of the published model.
        now: of the one that was fitted here.
        rows: how many they are.
        ordinary: as in `raysweep.training.agreement.gap`.
    """
    for said in (then, now):
        if isinstance(said, str):
            return Apart(rows, float("inf"), said)
    if rows == 0:
        return Apart(rows, 0.0)
    return Apart(rows, float(np.max(gap(np.asarray(now), np.asarray(then), ordinary))))
