"""A trial as Ray Tune runs it: an actor that is used again for the next candidate, and keeps the encoded rows."""

from __future__ import annotations

import contextlib
import os
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate, RungReport
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.trial_data import PreparedRows

MAX_ERROR_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class TrialContext:
    """What every trial gets, once per actor.

    Attributes:
        rows: reference to the `SearchRows` in the object store, read there without copying.
        seed: of the preprocessing.
        units: `effort_units` of the full effort.
    """

    task: LearningTask
    rows: Any
    seed: int
    rules: TrialRules
    units: int


class CandidateTrial(tune.Trainable):  # type: ignore[misc]
    """Runs one candidate after the other; takes params in, gives reports out, keeps nothing else of a candidate."""

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        """Once per actor: get hold of the rows."""
        if context is None:
            raise ValueError("a trial needs its context")
        self._context = context
        self._prepared = PreparedRows(context.task, ray.get(context.rows), context.seed)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next candidate."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Work up to the next rung. A candidate that fails is a result too: its error is reported, not raised."""
        try:
            with _quiet():
                report = next(self._reports)
        except Exception as error:  # noqa: BLE001 - a failed trial is data
            return {"failed": _describe(error), "done": True, "node": self._node()}
        return {
            "report": report,
            "score": report.score,
            "effort_units": round(report.effort * self._context.units),
            "node": self._node(),
            "done": report.is_last,
        }

    def _begin(self, config: dict[str, Any]) -> None:
        candidate: Candidate = config["candidate"]
        self._reports: Iterator[RungReport] = evaluate(candidate, self._prepared, self._context.rules)

    def _node(self) -> str:
        return os.uname().nodename


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Learners warn a lot about candidates that are merely bad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _describe(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    return text[-MAX_ERROR_CHARACTERS:]
