"""What a candidate may change in its process, and what is done about it before the next candidate runs there."""

from __future__ import annotations

import locale
import os
import random
import signal
import sys
import threading
import warnings
from typing import Any, Final

import numpy as np
from threadpoolctl import ThreadpoolController

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD)


class ProcessState:
    """What code outside of a candidate may depend on, as it was when this was made.

    Libraries should be loaded by then: what they change while they are imported is theirs.
    """

    def __init__(self) -> None:
        self._libraries = ThreadpoolController()
        self._before = self._now()

    def changed(self) -> tuple[str, ...]:
        """What is different now, in words."""
        now = self._now()
        return tuple(name for name, value in self._before.items() if now[name] != value)

    def _now(self) -> dict[str, Any]:
        return {
            "environment variables": dict(os.environ),
            "the working folder": _working_folder(),
            "sys.path": tuple(sys.path),
            "the locale": locale.setlocale(locale.LC_ALL),
            "numpy's error handling": tuple(sorted(np.geterr().items())),
            "signal handlers": tuple(signal.getsignal(number) for number in _SIGNALS),
            "the number of threads": tuple(one["num_threads"] for one in self._libraries.info()),
            "standard output": (sys.stdout, sys.stderr),
            "the recursion limit": sys.getrecursionlimit(),
            "threads that still run": threading.active_count(),
            "the cores that it may use": _cores(),
            "the settings of scikit-learn": sys.modules["sklearn"].get_config() if "sklearn" in sys.modules else {},
        }


def begin_anew(seed: int) -> None:
    """Give a candidate the same random numbers and warnings whatever ran before it in this process."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what a candidate's own code may draw from
    warnings.resetwarnings()
    warnings.simplefilter("ignore")  # learners warn a lot about candidates that are merely bad


def _cores() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - Path.cwd() is the same, slower
    except FileNotFoundError:
        return ""
