# ruff: noqa: NPY002 - the global generator is what these tests are about
"""What a process may take and change: memory that is measured and limited, state that is watched."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from raysweep.stages.search.memory_plan import MemoryPlan
from raysweep.training.process_memory import MemoryWatch, available_bytes
from raysweep.training.process_state import ProcessState, begin_anew

MIB = 1024 * 1024
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured and limited on Linux only")


@linux_only
def test_the_peak_counts_from_the_beginning():
    first = np.ones(30 * MIB // 8)
    watch = MemoryWatch()
    second = np.ones(40 * MIB // 8)
    del second
    assert 38 * MIB < watch.peak_bytes() < 60 * MIB
    assert MemoryWatch().peak_bytes() < 8 * MIB
    assert first[0] == 1


@linux_only
def test_there_is_memory():
    assert 64 * MIB < available_bytes() < 2**50


@linux_only
def test_growth_is_refused_beyond_the_limit_and_allowed_again():
    code = """
import numpy as np
from raysweep.training.process_memory import limit_growth
limit_growth(100 * 2**20)
kept = np.ones(5 * 2**20)
try:
    np.ones(40 * 2**20)
except MemoryError:
    print("refused")
limit_growth(None)
print(len(np.ones(40 * 2**20)) // 2**20)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["refused", "40"]


def test_what_has_not_been_tried_may_begin_and_what_would_not_fit_waits():
    plan = MemoryPlan()
    assert plan.fits("forest", ["forest"], 100)
    plan.learn("forest", 60)
    plan.learn("forest", 40)
    plan.learn("linear", 30)
    assert plan.need("forest") == 60
    assert not plan.fits("forest", ["forest"], 100)
    assert plan.fits("linear", ["forest"], 100)
    assert not plan.fits("linear", ["forest", "linear"], 100)
    assert plan.fits("forest", [], 10), "alone, everything may be tried"
    assert plan.fits("forest", ["forest"], None)


def test_a_change_of_the_process_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path):
    before = ProcessState()
    assert before.changed() == ()
    monkeypatch.setenv("RAYSWEEP_TEST_CHANGE", "1")
    assert before.changed() == ("environment variables",)
    monkeypatch.chdir(tmp_path)
    with np.errstate(all="raise"):
        assert before.changed() == ("environment variables", "the working folder", "numpy's error handling")


def test_settings_and_threads_that_stay_are_named():
    import sklearn

    before, stop = ProcessState(), threading.Event()
    with sklearn.config_context(transform_output="pandas"):
        assert before.changed() == ("the settings of scikit-learn",)
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert before.changed() == ("threads that still run",)
    stop.set()
    thread.join()
    assert before.changed() == ()


def test_a_candidate_draws_the_same_numbers_whatever_ran_before():
    def drawn():
        return random.random(), float(np.random.rand()), os.environ.get("HOME")

    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with warnings.catch_warnings():
            begin_anew(2**40 + 3)
            first = drawn()
            np.random.rand(100)
            begin_anew(2**40 + 3)
            assert drawn() == first
            begin_anew(4)
            assert drawn() != first
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


def test_a_program_of_the_users_has_its_threads_back():
    code = """
from threadpoolctl import threadpool_info
from raysweep.training.evaluate import limit_threads
from raysweep.training.probes import threads_given_back
threads = lambda: {one["filepath"]: one["num_threads"] for one in threadpool_info()}
with threads_given_back():
    before = threads()
    limit_threads("any", 1)
    assert set(threads().values()) == {1}
assert threads() == before, (before, threads())
print(max(before.values()))
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("2", "")
