"""What a scheduler may answer: go on or stop, never pause, since a trial has no checkpoint to go on from."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from raysweep.records.trial import RungReport
from raysweep.stages.search.ray_deciding import TuneDecider, make_scheduler


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


def reached(units, score):
    return RungReport(1, units / 27, score, {}, 0.1, 0.1, is_last=units == 27)


@pytest.mark.parametrize("name", ["asha", "hyperband", "median", "none"])
def test_a_trial_that_went_on_though_it_would_be_stopped_counts_for_others(name):
    decider = TuneDecider(make_scheduler(name, "max", 27, 0), 27)
    for number in range(30):
        decider.begin(number)
        for units in (1, 3, 9, 27):
            decider.decide(number, reached(units, -float(number)))
        decider.end(number)
    decider.begin(99)
    stopped = decider.decide(99, reached(1, -99.0)) or decider.decide(99, reached(3, -99.0))
    assert bool(stopped) == (name != "none")


@pytest.mark.parametrize(("mode", "sign"), [("max", -1), ("min", 1)])
def test_why_a_trial_is_stopped(mode, sign):
    decider = TuneDecider(make_scheduler("asha", mode, 27, 0), 27)
    said = []
    for number in range(4):
        decider.begin(number)
        said.append(decider.decide(number, reached(3, sign * float(1 + number))))
    assert said[0] == ""
    assert said[3] == f"{sign * 4} is not among the best third of 4 there (from {sign * 1.66667} on)"


def test_why_the_median_rule_stops_a_trial():
    decider = TuneDecider(make_scheduler("median", "max", 27, 0), 27)
    for number in range(7):
        decider.begin(number)
        said = decider.decide(number, reached(3, -float(number)))
        decider.end(number)
    assert said == "-6 is worse than the median of the others so far"
