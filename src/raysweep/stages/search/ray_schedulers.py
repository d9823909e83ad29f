"""Ray Tune's schedulers, as the sweep file names them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from raysweep.stages.search.rungs import REDUCTION

_BRACKETS: Final = 3
_MEDIAN_STARTUP: Final = 5
_OPTIONS: Final[dict[str, Any]] = {"time_attr": "effort_units", "metric": "score"}


class SeededBrackets(ASHAScheduler):  # type: ignore[misc]
    """ASHA with several brackets, drawn from the sweep's seed and not from numpy's global state."""

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._generator = np.random.default_rng(seed)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002 - called by Tune
        """Assign a bracket; as in hyperband, those that stop earlier get more of the trials."""
        sizes = np.array([len(bracket._rungs) for bracket in self._brackets])  # noqa: SLF001 - no public view
        weights = np.exp(sizes - sizes.max())
        drawn = self._generator.choice(len(self._brackets), p=weights / weights.sum())
        self._trial_info[trial.trial_id] = self._brackets[drawn]


def make_scheduler(name: str, mode: str, max_units: int, seed: int) -> TrialScheduler:
    """The scheduler called `name`.

    Args:
        name: asha, hyperband, median or none.
        mode: max or min.
        max_units: effort units at full effort; a trial ends by itself there.
        seed: for the assignment of brackets.
    """
    halving = {
        **_OPTIONS,
        "mode": mode,
        "max_t": max(1, max_units),
        "grace_period": 1,
        "reduction_factor": REDUCTION,
    }
    if max_units <= 1:
        return FIFOScheduler()
    if name == "asha":
        return ASHAScheduler(**halving)
    if name == "hyperband":
        brackets = min(_BRACKETS, int(np.log(max_units) / np.log(REDUCTION)) + 1)
        return SeededBrackets(seed, brackets=brackets, **halving)
    if name == "median":
        return MedianStoppingRule(
            **_OPTIONS,
            mode=mode,
            grace_period=1,
            min_samples_required=_MEDIAN_STARTUP,
            hard_stop=True,
            min_time_slice=float("inf"),  # never pause a trial: that would need a checkpoint
        )
    return FIFOScheduler()
