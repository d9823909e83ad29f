"""Target values as the numbers that learners take: class codes 0, 1, ..., or the value itself; NaN where absent."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.records.table import LearningTask
from raysweep.training.learner import Floats


def target_codes(values: pa.ChunkedArray, task: LearningTask) -> Floats:
    """Codes in the order of `task.classes`, or numbers; shape (rows,).

    Args:
        values: the target column in canonical type.
        task: with its classes, for a classification.
    """
    if not task.kind.is_classification:
        numbers = values.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    found = pc.index_in(values, value_set=pa.array(task.classes, type=values.type))
    codes = pc.if_else(pc.is_null(values), pa.scalar(None, pa.int32()), found)
    return np.asarray(codes.cast(pa.float64()).to_numpy(), dtype=np.float64)
