"""A slot that should have a GPU and finds none: it says so and fits on the CPU, or fails where `cuda` was asked for."""

from __future__ import annotations

import pytest

from builders import clean_table
from raysweep.errors import RayUnavailable
from raysweep.records.trial import Candidate, SlotSize
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.training.devices import why_no_gpu
from raysweep.training.evaluate import TrialRules
from split_builders import cut, table_in, task_of

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.skipif(not why_no_gpu(), reason="there is a GPU here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


@pytest.fixture
def slot():
    import ray

    started = []

    def start(*families):
        started.append(Processes(families).take(SlotSize()))
        return started[-1]

    yield start
    for one in started:
        ray.kill(one)


def context(tmp_path, device):
    frame = clean_table(400, seed=3)
    task = task_of(frame)
    split = cut(table_in(frame), task, tmp_path, folds=1)
    return SlotContext(task, split.search_data, 0, TrialRules((1.0,), 1, device))


def test_auto_falls_back_and_says_so_and_the_trial_is_no_failure(slot, tmp_path):
    import ray

    actor = slot("xgboost")
    ready = ray.get(actor.prepare.remote(context(tmp_path, "auto"), has_gpu=True))
    answer = ray.get(actor.begin.remote(Candidate(0, "xgboost", {}, "d", "default", 1, 5), None))

    assert "fits run on the CPU although search.trial.gpus asks for a GPU" in ready.said
    assert answer.report is not None
    assert answer.failed == ""


def test_cuda_fails_with_the_way_out(slot, tmp_path):
    import ray

    with pytest.raises(RayUnavailable, match=r"search\.trial\.device is cuda, but"), ray_errors_translated("searching"):
        ray.get(slot("xgboost").prepare.remote(context(tmp_path, "cuda"), has_gpu=True))


def test_slots_that_hold_no_gpu_are_not_asked(slot, tmp_path):
    import ray

    assert ray.get(slot("xgboost").prepare.remote(context(tmp_path, "cuda"))).said == ""
