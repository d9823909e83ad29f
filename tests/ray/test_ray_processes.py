"""The search's processes help out while they wait, and are none the worse for it."""

from __future__ import annotations

import os
import signal

import pytest

from raysweep.config import TrialConfig
from raysweep.stages.search.ray_processes import Processes

pytestmark = pytest.mark.usefixtures("ray_session")


def process_and_sum(value, shared):
    return os.getpid(), value + shared


def die(_value, _shared):
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_were_started_early_help_out_and_are_then_taken():
    import ray

    processes = Processes(["ridge"], TrialConfig(cpus=1))
    processes.start_early(2)
    found = processes.help_out(process_and_sum, [1, 2, 3, 4], ray.put(10))
    assert [total for _, total in found] == [11, 12, 13, 14]
    taken = ray.get([processes.take().help_out.remote(process_and_sum, 0, 0) for _ in range(2)])
    assert {process for process, _ in taken} == {process for process, _ in found}


def test_nobody_helps_out_where_no_process_was_started_or_one_has_died():
    import ray

    processes = Processes(["ridge"], TrialConfig(cpus=1))
    assert processes.help_out(process_and_sum, [1], ray.put(10)) is None
    processes.start_early(1)
    assert processes.help_out(die, [1], ray.put(10)) is None
    assert ray.get(processes.take().help_out.remote(process_and_sum, 1, 10))[1] == 11
