"""The small models of the data checks beside one another in other processes; for a little table, here at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import ray

from raysweep.stages.validate.measure import CarryOut, Measurement, ProbeRows, attempt, carry_out_here
from raysweep.training.probes import threads_given_back

# Below that, a worker would take longer to import the learners than to fit them.
_WORTH_A_TASK_CELLS: Final = 100_000

# What `work(value, shared)` gives for each value, in processes with the learners loaded; None where there are none.
HelpOut = Callable[[Callable[[Any, Any], Any], Sequence[Any], Any], list[Any] | None]


def nobody(_work: Callable[[Any, Any], Any], _values: Sequence[Any], _shared: Any) -> None:
    """There are no such processes."""


def carry_out_by(help_out: HelpOut) -> CarryOut:
    """What carries out measurements: processes that help out, else a Ray task for each."""

    def carry_out(rows: ProbeRows, measurements: Sequence[Measurement]) -> Sequence[Any]:
        if rows.block.rows * max(1, len(rows.task.features)) < _WORTH_A_TASK_CELLS:
            with threads_given_back():
                return carry_out_here(rows, measurements)
        with threads_given_back():
            found = help_out(attempt, measurements, rows)
        if found is None:
            task, shared = ray.remote(num_cpus=1)(attempt), ray.put(rows)
            found = ray.get([task.remote(one, shared) for one in measurements])
        return found

    return carry_out
