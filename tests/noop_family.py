"""A family that does nothing, or computes for so many seconds: what is left of a trial is what the search costs."""

from __future__ import annotations

import time

import numpy as np

from raysweep.config import TaskKind
from raysweep.training.families import Family


class NoOp:
    """Predicts 0; computes for as long as its param `seconds` says, measured in CPU time."""

    def __init__(self, params, setting):  # noqa: ARG002 - a learner's signature
        self.rounds, self.curve, self.finished = None, [], False
        self._seconds = float(params.get("seconds", 0.0))
        self._x = float(params["x"])

    def grow(self, training, share, watched=None):  # noqa: ARG002 - a learner's signature
        until = time.process_time() + self._seconds * share
        while time.process_time() < until:
            pass

    def predict(self, matrix):
        return np.full(len(matrix.y), self._x)


FAMILY = Family(
    "noop",
    frozenset({TaskKind.REGRESSION}),
    {"x": 0.0, "seconds": 0.0, "encoding": "ordinal"},
    "noop_family:NoOp",
)
SPACE = {"version": 1, "families": {"noop": {"params": {"x": {"float": [0.0, 1.0]}}}}}
