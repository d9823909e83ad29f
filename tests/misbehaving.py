# ruff: noqa: NPY002, ARG002 - global generators and the signature of a learner are what this is about
"""Learners as one would not like to meet them, and one that notices what others have left behind."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from contextlib import suppress

import numpy as np
import sklearn

from raysweep.config import TaskKind
from raysweep.training.families import Family
from raysweep.training.process_memory import available_bytes

GIB = 1024**3
BENT = "RAYSWEEP_TEST_BENT"
LEFT: list[np.ndarray] = []


class Sensitive:
    """A constant model whose score depends on its params, its seed, and on all that others might have changed."""

    def __init__(self, params, setting):
        self.rounds, self.curve, self.finished = None, [], False
        self._params, self._setting = params, setting

    def grow(self, training, share, watched=None):
        self._weights = np.random.default_rng(self._setting.seed).normal(size=training.values.shape[1])
        self._shift = float(np.random.rand()) + float(self._params.get("x", 0.0)) + len(os.environ.get(BENT, ""))

    def predict(self, matrix):
        values = np.nan_to_num(np.asarray(matrix.values, dtype=np.float64))
        positive = 1 / (1 + np.exp(-(np.tanh(values) @ self._weights + self._shift)))
        return np.column_stack([1 - positive, positive])


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self):
        raise RuntimeError("no words")


class Wild(Sensitive):
    """Does what its param `deed` says, at its first fit."""

    def grow(self, training, share, watched=None):
        super().grow(training, share, watched)
        self._training = training
        getattr(self, f"_{self._params['deed']}")()

    def _segfault(self):
        ctypes.string_at(0)

    def _hang(self):
        time.sleep(10_000)

    def _allocate(self):
        kept = []
        while True:
            kept.append(np.zeros(GIB // 8))

    def _hoard(self):
        """As `allocate`, down to the last bit, and it stays: even telling of it wants for memory."""
        for size in (GIB // 8, GIB // 4096, 100):
            with suppress(MemoryError):
                while True:
                    LEFT.append(np.zeros(size))
        raise MemoryError

    def _error(self):
        raise ValueError("this candidate is not to be had")

    def _nan(self):
        self._shift = float("nan")

    def _stdout(self):
        print("x" * 100_000)
        sys.stderr.write("y" * 100_000)

    def _exit(self):
        sys.exit(3)

    def _interrupt(self):
        raise KeyboardInterrupt

    def _mute(self):
        raise Mute

    def _blank(self):
        raise ValueError("this ends in nothing" + "\n" * 9_000)

    def _surrogate(self):
        raise OSError("no file \udcff.csv")

    def _random(self):
        np.random.seed(1)
        np.random.rand(17)

    def _bend(self):
        os.environ[BENT] = "bent"
        os.chdir("/")
        sklearn.set_config(transform_output="pandas")

    def _in_place(self):
        self._training.values[:] = 0.0
        self._training.y[:] = 1.0

    def _leak(self):
        """Leave a good part of the machine's memory behind; the score tells how often that was done in this process."""
        LEFT.append(np.ones((available_bytes() or GIB) // 16, dtype=np.uint8))
        self._shift = float(len(LEFT))


DEEDS = (
    *("segfault", "hang", "allocate", "hoard", "error", "nan", "stdout", "blank", "surrogate"),
    *("exit", "interrupt", "mute", "random", "bend", "in_place"),
)
_BINARY = frozenset({TaskKind.BINARY})
SENSITIVE = Family("sensitive", _BINARY, {"x": 0.0, "encoding": "ordinal"}, "misbehaving:Sensitive")
WILD = Family("wild", _BINARY, {"deed": "stdout", "encoding": "ordinal"}, "misbehaving:Wild")
SPACE = {
    "version": 1,
    "families": {
        "sensitive": {"params": {"x": {"float": [0.0, 3.0]}}},
        "wild": {"params": {"deed": {"choice": list(DEEDS)}}, "start": [{"deed": deed} for deed in DEEDS]},
    },
}
