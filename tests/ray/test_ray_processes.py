"""The search's processes help out while they wait, and are none the worse for it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from raysweep.records.trial import SlotSize
from raysweep.stages.search.ray_processes import Processes

pytestmark = pytest.mark.usefixtures("ray_session")


def process_and_sum(value, shared):
    time.sleep(0.1)
    return os.getpid(), value + shared


def die(_value, _shared):
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_were_started_early_help_out_and_are_then_taken():
    import ray

    processes = Processes(["ridge"])
    processes.start_early(1)
    processes.start_early(2)
    processes.help_out(process_and_sum, [0, 0], 0)
    found = processes.help_out(process_and_sum, [1, 2, 3, 4, 5, 6], 10)
    assert [total for _, total in found] == [11, 12, 13, 14, 15, 16]
    taken = ray.get([processes.take(SlotSize()).help_out.remote(process_and_sum, 0, 0) for _ in range(2)])
    helpers = {process for process, _ in taken}
    assert len(helpers) == 2
    assert {process for process, _ in found} == {*helpers, os.getpid()}


def test_while_they_load_the_work_is_done_here():
    processes = Processes(["ridge"])
    processes.start_early(1)
    found = processes.help_out(process_and_sum, [1, 2, 3], 10)
    assert [process == os.getpid() for process, _ in found] == [False, True, True]


def test_nobody_helps_out_where_no_process_was_started_or_one_has_died():
    import ray

    processes = Processes(["ridge"])
    assert processes.help_out(process_and_sum, [1], 10) is None
    processes.start_early(1)
    assert processes.help_out(die, [1], 10) is None
    assert ray.get(processes.take(SlotSize()).help_out.remote(process_and_sum, 1, 10))[1] == 11
