"""A family that does nothing, computes or sleeps for so many seconds: what is left is what the search costs."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np

from raysweep.config import TaskKind
from raysweep.training.families import Family
from raysweep.training.trial_data import SearchRows


class NoOp:
    """Predicts `x`; computes for as long as its param `seconds` says, measured in CPU time, and sleeps for `sleep`."""

    def __init__(self, params, setting):
        self.rounds, self.curve, self.finished = None, [], False
        self._seconds = float(params.get("seconds", 0.0))
        self._sleep = float(params.get("sleep", 0.0))
        self._slept = 0.0
        self._x = float(params["x"])
        if setting.device != "cpu":
            self._x = ON_GPU

    def grow(self, training, share, watched=None):  # noqa: ARG002 - a learner's signature
        time.sleep(max(0.0, self._sleep * share - self._slept))
        self._slept = self._sleep * share
        until = time.process_time() + self._seconds * share
        while time.process_time() < until:
            pass

    def predict(self, matrix):
        return np.full(len(matrix.y), self._x)


def read_rows(*parts):
    """The rows of a search, where the node is not broken in this way."""
    if os.environ.get(BROKEN) == "rows":
        raise OSError("the rows cannot be read here")
    return BrittleRows(*parts)


class BrittleRows(SearchRows):
    """Rows that some nodes cannot read."""

    def __reduce__(self):
        return read_rows, (self.training, self.testing, self.fold_of_row, self.folds)


BROKEN = "NOOP_BROKEN"  # on a node: what happens to every process there
if os.environ.get(BROKEN) == "dies":
    os._exit(1)

ON_GPU = 1_000.0  # is predicted on a GPU
FAMILY = Family(
    "noop",
    frozenset({TaskKind.REGRESSION}),
    {"x": 0.0, "seconds": 0.0, "sleep": 0.0, "encoding": "ordinal"},
    "noop_family:NoOp",
)
GPU_FAMILY = replace(FAMILY, name="noop_gpu", uses_gpu=True)
SPACE = {"version": 1, "families": {"noop": {"params": {"x": {"float": [0.0, 1.0]}}}}}
