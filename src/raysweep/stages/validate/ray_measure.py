"""The small models of the data checks as Ray tasks beside one another; a little table is looked at here at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import ray

from raysweep.stages.validate.measure import Measurement, ProbeRows, attempt, carry_out_here

# Below that, a worker would take longer to import the learners than to fit them.
_WORTH_A_TASK_CELLS: Final = 100_000


def carry_out(rows: ProbeRows, measurements: Sequence[Measurement]) -> Sequence[Any]:
    """What the measurements find, each in a task of its own."""
    if rows.block.rows * max(1, len(rows.task.features)) < _WORTH_A_TASK_CELLS:
        return carry_out_here(rows, measurements)
    shared = ray.put(rows)
    task = ray.remote(num_cpus=1)(attempt)
    return list(ray.get([task.remote(one, shared) for one in measurements]))
