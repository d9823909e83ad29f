"""Several processes that grow one XGBoost model: their tracker, and the context in which they talk to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, Self

import xgboost as xgb
from xgboost.tracker import RabitTracker

_MEET_SECONDS: Final = 120
_TALK_SECONDS: Final = 1_800  # a process that still bins its rows is silent meanwhile


class Meeting:
    """Where the processes find each other; runs in a thread of this process until it is forgotten.

    Args:
        host: an address of this machine that all of them reach.
        workers: how many.
    """

    def __init__(self, host: str, workers: int) -> None:
        self._tracker = RabitTracker(host_ip=host, n_workers=workers, sortby="task", timeout=_MEET_SECONDS)

    def start(self) -> Self:
        """Listen."""
        self._tracker.start()
        return self

    @property
    def place(self) -> Mapping[str, Any]:
        """What a process has to know to get there."""
        return dict(self._tracker.worker_args())


def connection(place: Mapping[str, Any], number: int) -> Callable[[], AbstractContextManager[Any]]:
    """The context of one of the processes.

    Args:
        place: of the meeting.
        number: of the process, from 0.
    """
    told = {**place, "dmlc_task_id": f"{number:06d}", "dmlc_timeout": _TALK_SECONDS, "dmlc_retry": 3}
    return partial(xgb.collective.CommunicatorContext, **told)
