"""What is known of trials, when a search has to end, and the order of the leaderboard."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from raysweep.config import PriceConfig, SearchConfig, StopConfig
from raysweep.documents import canonical_json, plain_record
from raysweep.events import RungReached, TrialEnded, TrialStarted
from raysweep.records.aims import Aims, ranked
from raysweep.records.trial import Candidate, Capacity, Period, RungReport, SlotSize, Trial, TrialState
from raysweep.records.usage import Seconds, Usage
from raysweep.report.wording import usage_line
from raysweep.stages.search.earlier import Slots
from raysweep.stages.search.plan import Plan
from raysweep.stages.search.rungs import efforts_for, max_units
from raysweep.stages.search.trial_log import Ending, Limits, Loss, TrialLog

AUC, RMSE = Aims.named("roc_auc"), Aims.named("rmse")


def candidate(number):
    return Candidate(number, "ridge", {"alpha": float(number)}, f"digest{number}", "random", seed=1)


def report(score, rung=1, effort=1.0):
    return RungReport(rung, effort, score, {"roc_auc": score}, rung * 1.0, 0.5)


class Watched:
    """A trial log with what it told and what it recorded."""

    def __init__(self, aims=AUC, **stop):
        self.events, self.records = [], []
        limits = Limits(StopConfig(**stop), 1_000.0)
        self.log = TrialLog(aims, "testing", limits, self.events.append, self.records.append)

    def run(self, number, *scores, state=TrialState.COMPLETE):
        self.log.start(candidate(number), 1)
        for rung, score in enumerate(scores, start=1):
            self.log.report(number, report(score, rung), "node", goes_on=True)
        return self.log.end(number, Ending(state, "why"))


def test_a_trial_from_start_to_end():
    watched = Watched()
    watched.log.propose(candidate(3), 0)
    watched.log.start(candidate(3), 1)
    assert watched.log.is_running(3)
    assert watched.log.is_new(3, report(0.5))
    watched.log.report(3, report(0.5), "node-a", goes_on=False)
    assert not watched.log.is_new(3, report(0.5))
    ended = watched.log.end(3, Ending(TrialState.PRUNED, "not promising"))
    assert not watched.log.is_running(3)
    assert ended == watched.log.trials[0]
    assert (ended.score, ended.seconds, ended.node, ended.reason) == (0.5, 1.0, "node-a", "not promising")
    assert [type(event) for event in watched.events] == [TrialStarted, RungReached, TrialEnded]
    assert [record["event"] for record in watched.records] == ["proposed", "started", "rung", "ended"]
    for record in watched.records:
        canonical_json(record)


def test_the_journal_comes_before_the_listener():
    order = []
    log = TrialLog(
        AUC, "testing", Limits(StopConfig(), 0.0), lambda _: order.append("told"), lambda _: order.append("recorded")
    )
    log.start(candidate(0), 1)
    log.report(0, report(0.5), "node", goes_on=False)
    log.end(0, Ending(TrialState.COMPLETE, "why"))
    assert order == ["recorded", "told"] * 3


def test_trials_stand_in_the_order_of_proposals():
    watched = Watched()
    for number in (5, 1, 3):
        watched.run(number, 0.5)
    assert [trial.candidate.number for trial in watched.log.trials] == [1, 3, 5]


def test_no_limit():
    watched = Watched()
    watched.run(0, 0.999)
    assert watched.log.why_stop(1e12) is None


def test_seconds():
    watched = Watched(seconds=60)
    assert watched.log.why_stop(1_059.9) is None
    assert "60 s are over" in str(watched.log.why_stop(1_060.0))


@pytest.mark.parametrize(
    ("metric", "goal", "short", "enough"), [(AUC, 0.9, 0.89, 0.9), (RMSE, 2.0, 2.1, 2.0), (RMSE, 2.0, 2.1, 1.0)]
)
def test_score(metric, goal, short, enough):
    watched = Watched(metric, score=goal)
    assert watched.log.why_stop(0) is None
    watched.run(0, short)
    assert watched.log.why_stop(0) is None
    watched.run(1, enough)
    assert "search.stop.score" in str(watched.log.why_stop(0))


def test_patience():
    watched = Watched(patience=3)
    watched.run(0, 0.5)
    watched.run(1, 0.6)
    for number in (2, 3):
        watched.run(number, 0.6)
        assert watched.log.why_stop(0) is None
    watched.run(4, state=TrialState.FAILED)
    assert "no gain in 3 trials" in str(watched.log.why_stop(0))
    watched.run(5, 0.7)
    assert watched.log.why_stop(0) is None


def trial(number, score, *, state=TrialState.COMPLETE, effort=1.0):
    return Trial(candidate(number), state, () if score is None else (report(score, 1, effort),))


def test_cost():
    limits = Limits(StopConfig(cost=0.5), 1_000.0, 100.0, 0.2, 0.01)
    log = TrialLog(AUC, "testing", limits, lambda _: None, lambda _: None)
    assert log.why_stop(1_029.9) is None
    assert log.why_stop(1_030.1) == "search.stop.cost: 0.5 is spent"


def test_the_plan_is_told_by_trials_that_ran_to_their_end():
    def tried(number, seconds, state=TrialState.COMPLETE):
        return replace(trial(number, 0.5, state=state), slot_seconds=seconds)

    config = SearchConfig(trials=100)
    price, told = PriceConfig(cpu=0.9), []

    def slots():
        return Slots(4, SlotSize())

    plan = Plan(config, slots, price, told.append)
    plan.tell(lambda: [trial(0, None, state=TrialState.RUNNING)], 60.0)
    plan.tell(lambda: [trial(0, 0.5, state=TrialState.RUNNING, effort=0.1)], 2.0)
    assert told == [], "too early"
    for _ in range(2):
        plan.tell(lambda: [trial(0, 0.5, state=TrialState.RUNNING, effort=0.1)], 9.0)
    (said,) = told
    assert said.startswith("plan: a trial at full effort takes about 10 s, 100 of them 4 min, 0.0 GiB of memory each")
    assert said.endswith("at most so far, about 0.25 by cluster.price_per_hour (1 tried)")
    for _ in range(2):
        plan.tell(lambda: [tried(0, 3.0), tried(1, 5.0), tried(2, 0.1, TrialState.PRUNED)], 10.0)
    said = told[1]
    assert len(told) == 2
    assert "about 4 s, 100 of them 100 s" in said
    assert "about 0.10 by cluster.price_per_hour (2 tried)" in said
    short = Plan(SearchConfig(trials=100, stop=StopConfig(seconds=20)), slots, None, told.append)
    assert "20 or more of 100 fit into 20 s" in short.sentence(4.0, [tried(0, 4.0)])
    cheap = Plan(SearchConfig(trials=100, stop=StopConfig(cost=0.05)), slots, price, told.append)
    said = cheap.sentence(4.0, [tried(0, 4.0)])
    assert "50 or more of 100 fit into 50 s" in said
    assert "about 0.05 by" in said
    short.tell(lambda: [tried(0, 4.0)], 0.0)
    assert len(told) == 3, "a search that goes on knows at once"


def test_a_failed_trial_is_no_gain():
    watched = Watched(patience=3, score=0.85)
    watched.run(0, 0.5)
    watched.run(1, 0.9, state=TrialState.FAILED)
    for number, score in ((2, 0.6), (3, 0.7), (4, 0.8)):
        watched.run(number, score)
        assert watched.log.why_stop(0) is None
    for number in (5, 6, 7):
        watched.run(number, 0.1)
    assert "no gain in 3 trials" in str(watched.log.why_stop(0))


def test_what_a_trial_holds_adds_up_over_attempts_and_slots_of_any_size():
    log = Watched().log
    for begin, attempt, slot in ((10.0, 1, SlotSize(1)), (20.0, 2, SlotSize(2, 0.5))):
        log.take_up_driver({"slot": {"cpus": slot.cpus, "gpus": slot.gpus}})
        with log.replaying(begin):
            log.start(candidate(0), attempt)
        with log.replaying(begin + 2.5):
            if attempt == 1:
                log.lost(0, 1, Loss("its node is gone", counts=False))
            else:
                log.end(0, Ending(TrialState.FAILED, "why"))
    (found,) = log.trials
    assert (found.slot_seconds, found.started, found.attempts) == (5.0, 10.0, 2)
    assert (found.core_seconds, found.gpu_seconds) == (7.5, 1.25)


def test_a_trial_holds_its_slot_until_its_process_died():
    watched = Watched()
    with watched.log.replaying(10.0):
        watched.log.start(candidate(0), 1)
    watched.log.lost(0, 1, Loss("its node is gone", counts=False, at=12.0))
    assert watched.log.trial(0).slot_seconds == 2.0
    assert watched.records[-1]["at"] == 12.0


def test_what_a_sweep_used_adds_up_over_its_drivers():
    trials = (
        replace(trial(0, None, state=TrialState.FAILED), core_seconds=10.0),
        replace(trial(1, 0.5), core_seconds=96.0, gpu_seconds=6.0),
    )
    before = Period(Capacity(16), 1.0, 10.0)
    last = Period(Capacity(5, 1), 3.0, 10.0, 7.0)
    usage = Usage.of((before, last), trials, PriceConfig(cpu=0.72, gpu=3.6))
    assert usage.core_seconds == Seconds(276, preparation=31, trials=96, failed=10, idle=104, final_check=35)
    assert usage.gpu_seconds == Seconds(20, preparation=3, trials=6, failed=0, idle=4, final_check=7)
    for seconds in (usage.core_seconds, usage.gpu_seconds):
        assert sum(getattr(seconds, field.name) for field in fields(seconds)) == 2 * seconds.total
    assert (usage.fitting, usage.cost) == (0.5, pytest.approx(0.0752))
    assert Usage.read(plain_record(usage)) == usage
    said = usage_line(usage)
    assert said.startswith(
        "276 core-seconds: 11.2 % preparation, 34.8 % trials (0.2 % in fit and predict), 3.6 % failed"
    )
    assert "; 20 GPU-seconds: 15 % preparation, 30 % trials, 20 % idle while the search ran, 35 % final check;" in said
    assert said.endswith("; 0.0752 by cluster.price_per_hour")
    early = Usage.of((Period(Capacity(2), 3.0, after=1.0),), ())
    assert early.core_seconds == Seconds(8, preparation=6, trials=0, failed=0, idle=0, final_check=2)
    assert early.cost is None


def test_the_leaderboard():
    trials = (
        trial(0, 0.7),
        trial(1, 0.9, state=TrialState.PRUNED, effort=0.1),
        trial(2, 0.8),
        trial(3, 0.99, state=TrialState.FAILED),
        trial(4, None, state=TrialState.STOPPED),
        trial(5, 0.8),
        trial(6, 0.75, state=TrialState.STOPPED, effort=0.4),
    )
    assert [one.candidate.number for one in ranked(trials, AUC)] == [1, 2, 5, 6, 0]
    assert [one.candidate.number for one in ranked(trials, RMSE)] == [0, 6, 2, 5, 1]
    folded = tuple(replace(one, rungs=tuple(replace(r, is_whole=r.effort == 1) for r in one.rungs)) for one in trials)
    assert [one.candidate.number for one in ranked(folded, AUC)] == [2, 5, 0, 6, 1]
    assert ranked((), AUC) == []


def test_rungs():
    assert efforts_for(1) == pytest.approx((1 / 27, 1 / 9, 1 / 3, 1.0))
    assert efforts_for(5) == pytest.approx((0.2, 0.4, 0.6, 0.8, 1.0))
    assert (max_units(1), max_units(5)) == (27, 5)
