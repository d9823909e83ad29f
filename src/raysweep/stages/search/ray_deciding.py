"""Ray Tune's schedulers, as the sweep file names them, asked whether a trial goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from raysweep.records.trial import RungReport
from raysweep.stages.search.rungs import REDUCTION

_BRACKETS: Final = 3
_MEDIAN_STARTUP: Final = 5
_OPTIONS: Final[dict[str, Any]] = {"time_attr": "effort_units", "metric": "score"}


@dataclass(frozen=True, slots=True)
class _Trial:
    """What a scheduler knows of a trial: by what to tell it from others."""

    trial_id: str


class TuneDecider:
    """A scheduler of Ray Tune's as a `raysweep.stages.search.steering.Decider`.

    It is told of trials as Tune's own controller tells it, and holds nothing but what it was told, so that it can be
    copied, and brought back by telling it the same again.
    """

    def __init__(self, scheduler: TrialScheduler, units: int) -> None:
        self._scheduler = scheduler
        self._units = units
        self._running: set[int] = set()

    def begin(self, number: int) -> None:
        """A trial begins; a second time, when it is tried again, does nothing."""
        if number not in self._running:
            self._running.add(number)
            self._scheduler.on_trial_add(None, _Trial(str(number)))

    def decide(self, number: int, report: RungReport) -> str:
        """Why it does not go on from this rung, in words; "" where it does."""
        trial = _Trial(str(number))
        result = {"effort_units": round(report.effort * self._units), "score": report.score}
        if report.is_last:
            self._scheduler.on_trial_complete(None, trial, result)
            self._running.discard(number)
            return "it was the last one"
        if self._scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE:
            return ""
        return f"{report.score:.6g} is {_short_of(self._scheduler, trial, result)}"

    def end(self, number: int) -> None:
        """It is over."""
        if number in self._running:
            self._running.discard(number)
            self._scheduler.on_trial_remove(None, _Trial(str(number)))


def _short_of(scheduler: TrialScheduler, trial: _Trial, result: Mapping[str, float]) -> str:
    """What a score did not reach, in words."""
    if not isinstance(scheduler, ASHAScheduler):
        return "worse than the median of the others so far"
    bracket = scheduler._trial_info[trial.trial_id]  # noqa: SLF001 - no public view
    seen = next(known for units, known in bracket._rungs if result["effort_units"] >= units)  # noqa: SLF001
    others = [score for identity, score in seen.items() if identity != trial.trial_id]
    cutoff = scheduler._metric_op * np.percentile(others, 100 - 100 / REDUCTION)  # noqa: SLF001 - Tune negates what is minimized
    return f"not among the best third of {len(seen)} there (from {cutoff:.6g} on)"


class LastingMedian(MedianStoppingRule):  # type: ignore[misc]
    """The median rule, which also hears of trials that went on though it would have stopped them.

    In a batch trials are decided about by what was known before it, and count for those after it.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Any) -> str:
        """Whether it goes on; called by Tune."""
        if trial in self._stopped_trials:
            self._results[trial].append(result)
            return str(TrialScheduler.STOP)
        return str(super().on_trial_result(tune_controller, trial, result))


class SeededBrackets(ASHAScheduler):  # type: ignore[misc]
    """ASHA with several brackets, drawn from the sweep's seed and the trial's number, not from numpy's global state."""

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._seed = seed

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002 - called by Tune
        """Assign a bracket; as in hyperband, those that stop earlier get more of the trials."""
        sizes = np.array([len(bracket._rungs) for bracket in self._brackets])  # noqa: SLF001 - no public view
        weights = np.exp(sizes - sizes.max())
        generator = np.random.default_rng([self._seed, int(trial.trial_id)])
        drawn = generator.choice(len(self._brackets), p=weights / weights.sum())
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
        return LastingMedian(
            **_OPTIONS,
            mode=mode,
            grace_period=1,
            min_samples_required=_MEDIAN_STARTUP,
            hard_stop=True,
            min_time_slice=float("inf"),  # never pause a trial: that would need a checkpoint
        )
    return FIFOScheduler()
