"""What a scheduler may answer: go on or stop, never pause, since a trial has no checkpoint to go on from."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from raysweep.stages.search.ray_deciding import make_scheduler


class Tried(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.mark.parametrize("name", ["asha", "hyperband", "median", "none"])
def test_no_scheduler_pauses_a_trial(name):
    scheduler = make_scheduler(name, "max", 27, 0)
    waiting = SimpleNamespace(get_live_trials=lambda: [SimpleNamespace(status="PENDING")])
    for number in range(9):
        trial = Tried(trial_id=str(number))
        scheduler.on_trial_add(waiting, trial)
        for units in (1, 3, 9):
            answer = scheduler.on_trial_result(waiting, trial, {"effort_units": units, "score": 0.5 + number / 100})
            assert answer in {TrialScheduler.CONTINUE, TrialScheduler.STOP}
            if answer == TrialScheduler.STOP:
                break
