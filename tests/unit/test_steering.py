"""The course of a search without processes: proposals, decisions, second attempts, and going on from the journal."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.config import PriceConfig, SearchConfig
from raysweep.records.aims import Aims
from raysweep.records.trial import Capacity, Period, SlotSize, TrialState
from raysweep.space import load_space
from raysweep.stages.search import proposals
from raysweep.stages.search.earlier import (
    Driver,
    Slots,
    drivers_before,
    limits_document,
    why_over,
)
from raysweep.stages.search.trial_log import Kept, Loss
from steered_search import RUNGS, SPACE, Search, report_of


def test_one_slot_gives_the_same_search_again():
    first, second = Search(), Search()
    first.run()
    second.run()
    assert first.outcome == second.outcome
    assert len(first.outcome) == 30
    assert {trial.state for trial in first.log.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert first.decider.running == set()


@pytest.mark.parametrize("algorithm", ["tpe", "random"])
def test_in_batches_slots_and_order_do_not_matter(algorithm):
    outcomes = []
    for slots, order in ((1, 0), (2, 1), (4, 2), (4, 3), (8, 4)):
        search = Search(batch=8, algorithm=algorithm)
        search.run(slots, order)
        outcomes.append(search.outcome)
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert {state for _, _, state, _ in outcomes[0]} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_without_batches_the_order_does_matter():
    outcomes = []
    for order in range(4):
        search = Search()
        search.run(4, order)
        outcomes.append(search.outcome)
    assert any(outcome != outcomes[0] for outcome in outcomes)


@pytest.mark.parametrize("batch", [None, 8])
@pytest.mark.parametrize("slots", [1, 3])
def test_a_search_that_is_cut_off_anywhere_ends_as_an_undisturbed_one(batch, slots):
    whole = Search(batch=batch)
    whole.run(slots)
    for cut in range(0, len(whole.records), 37):
        earlier = whole.records[:cut]
        resumed = Search(batch=batch, earlier=earlier)
        ended = {one["candidate"] for one in earlier if one["event"] == "ended"}
        concluded = {one["candidate"] for one in earlier if one["event"] == "rung" and not one["goes_on"]}
        again = resumed.run(slots)
        assert not (ended | concluded) & set(again), "no finished trial is run again"
        assert len(resumed.log.trials) == 30
        assert all(trial.state.has_ended for trial in resumed.log.trials)
        if batch or slots == 1:
            assert resumed.outcome == whole.outcome
        known = {(one["candidate"], one["report"]["rung"]): one["goes_on"] for one in earlier if one["event"] == "rung"}
        later = [one for one in resumed.records if one["event"] == "rung"]
        assert not known.keys() & {(one["candidate"], one["report"]["rung"]) for one in later}
        joined = earlier + resumed.records
        assert Search(batch=batch, earlier=joined).steering.is_over, "the joined journal tells of the whole search"


def test_the_scheduler_of_a_resumed_search_knows_the_rungs_of_the_journal():
    whole = Search()
    whole.run(3, stop_after=40)
    resumed = Search(earlier=whole.records)
    assert resumed.decider.seen == whole.decider.seen


def test_more_trials_go_on_from_where_it_was():
    short, long = Search(trials=12), Search(trials=30)
    short.run()
    long.run()
    more = Search(trials=30, earlier=short.records)
    assert more.run() == [trial.candidate.number for trial in long.log.trials[12:]]
    assert more.outcome == long.outcome


def test_a_search_that_is_cut_off_after_tpe_has_forgotten_ends_as_an_undisturbed_one(monkeypatch):
    monkeypatch.setattr(proposals, "MAX_KNOWN", 20)
    monkeypatch.setattr(proposals, "KEPT_BEST", 4)
    monkeypatch.setattr(proposals, "KEPT_LATEST", 6)
    monkeypatch.setattr(proposals, "KEPT_OTHERS", 4)
    options = {"trials": 60, "space": {"ridge": SPACE["ridge"]}}
    whole = Search(**options)
    whole.run()
    begun = [position for position, one in enumerate(whole.records) if one["event"] == "proposed"]
    for cut in (19, 23, 37, 58):
        resumed = Search(**options, earlier=whole.records[: begun[cut]])
        resumed.run()
        assert resumed.outcome == whole.outcome


def test_a_space_that_has_changed_keeps_what_was_tried():
    short = Search(trials=12)
    short.run()
    alpha = {"float": [1.0, 10.0], "log": True}
    narrow = {"ridge": {"params": {**SPACE["ridge"]["params"], "alpha": alpha}}}
    more = Search(trials=20, earlier=short.records, space=narrow)
    more.run()
    assert more.outcome[:12] == short.outcome
    assert len(more.outcome) == 20
    assert all(trial.candidate.family == "ridge" for trial in more.log.trials[12:])
    assert all(trial.candidate.params["alpha"] >= 1 for trial in more.log.trials[12:])
    assert more.steering.outside == sum(
        trial.candidate.family != "ridge" or not 1 <= trial.candidate.params["alpha"] <= 10
        for trial in short.log.trials
        if (trial.candidate.family, trial.candidate.origin) != ("ridge", "default")
    )


@pytest.mark.parametrize("batch", [None, 4])
def test_what_ran_and_lies_outside_of_the_space_now_is_dropped_with_its_reason(batch):
    short = Search(trials=30, batch=batch)
    short.run(slots=4, stop_after=25)
    running = [trial.candidate for trial in short.log.trials if not trial.state.has_ended]
    alpha = {"float": [1.0, 10.0], "log": True}
    narrow = {"ridge": {"params": {**SPACE["ridge"]["params"], "alpha": alpha}}}
    more = Search(trials=30, batch=batch, earlier=short.records, space=narrow)
    dropped = [one for one in more.log.trials if "dropped: the space does not hold it any more" in one.reason]
    assert len(dropped) >= 2
    assert {one.candidate.digest for one in dropped} <= {one.digest for one in running}
    assert {one.state for one in dropped} == {TrialState.STOPPED}
    assert all(one.candidate.family != "ridge" or not 1 <= one.candidate.params["alpha"] <= 10 for one in dropped)
    assert not set(more.run(slots=2)) & {one.candidate.number for one in dropped}
    again = Search(trials=30, batch=batch, earlier=[*short.records, *more.records], space=narrow)
    assert again.steering.is_over
    assert again.outcome == more.outcome


def test_a_trial_that_loses_its_process_is_tried_twice_more_and_at_last_alone():
    search = Search(trials=1)
    attempt = search.take()
    for number, alone in ((2, False), (3, True)):
        search.steering.lost(0, Loss("its process died"))
        again = search.take()
        assert (again.candidate, again.number, again.alone) == (attempt.candidate, number, alone)
    search.steering.lost(0, Loss("its process died"))
    assert search.steering.is_over
    (trial,) = search.log.trials
    assert (trial.state, trial.attempts, trial.reason) == (TrialState.FAILED, 3, "its process died (3 attempts)")
    assert [one["event"] for one in search.records][-4:] == ["started", "lost", "started", "ended"]


def test_a_lost_node_is_no_fault_of_the_trial():
    search = Search(trials=1)
    for number in range(1, 6):
        assert search.take().number == number
        search.steering.lost(0, Loss("its node is gone", counts=False))
    resumed = Search(trials=1, earlier=search.records)
    resumed.run()
    assert [trial.state for trial in resumed.log.trials] == [TrialState.COMPLETE]


def test_a_trial_that_needs_the_memory_of_all_is_tried_alone():
    search = Search(trials=2)
    search.take()
    search.steering.lost(0, Loss("out of memory", alone=True))
    assert search.take().alone


def test_a_trial_that_is_to_run_alone_does_so_also_after_its_node_or_the_driver_was_lost():
    search = Search(trials=1)
    search.take()
    search.steering.lost(0, Loss("out of memory", alone=True))
    assert Search(trials=1, earlier=search.records).steering.next().alone
    search.take()
    search.steering.lost(0, Loss("its node is gone", counts=False))
    assert search.take().alone
    resumed = Search(trials=1, earlier=search.records)
    assert resumed.take().alone
    resumed.steering.lost(0, Loss("out of memory", alone=True))
    assert [trial.state for trial in resumed.log.trials] == [TrialState.FAILED], "it has had its two attempts"


def test_drivers_that_die_are_no_fault_of_what_they_ran():
    records = []
    for _ in range(4):
        search = Search(trials=1, earlier=records)
        search.take()
        records += [*search.records, {"event": "resumed"}]
    last = Search(trials=1, earlier=records)
    last.take()
    for number in (6, 7):
        last.steering.lost(0, Loss("its process died"))
        assert last.take().number == number, "two more, as for any other"
    last.steering.lost(0, Loss("its process died"))
    assert last.steering.is_over


def test_a_process_that_was_lost_before_the_driver_counts_once():
    search = Search(trials=1)
    search.take()
    search.steering.lost(0, Loss("its process died"))
    resumed = Search(trials=1, earlier=search.records)
    for _ in range(2):
        resumed.take()
        resumed.steering.lost(0, Loss("its process died"))
    assert resumed.steering.is_over


@pytest.mark.parametrize("batch", [None, 8])
def test_the_time_without_a_driver_is_nobodys(batch):
    search = Search(batch=batch)
    concluded, running = search.take(), search.take()
    for rung in range(1, RUNGS + 1):
        search.steering.reached(concluded.candidate.number, report_of(concluded.candidate, rung), "node")
    killed = [one for one in search.records if one["event"] != "ended"]
    day_before = [{**one, "at": one["at"] - 86_400} for one in killed]
    resumed = Search(batch=batch, earlier=[*day_before, {"event": "resumed"}])
    resumed.steering.stop("time is over")
    first, second = (resumed.log.trial(one.candidate.number) for one in (concluded, running))
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.STOPPED)
    assert max(first.slot_seconds, second.slot_seconds) < 60
    journal = [*day_before, {"event": "resumed"}, *resumed.records]
    assert searched(journal) < 60
    again = Search(batch=batch, earlier=[*journal, {"event": "resumed"}])
    assert max(trial.slot_seconds for trial in again.log.trials) < 60


def test_an_overlong_trial_keeps_its_rungs_and_one_without_has_failed():
    search = Search(trials=2)
    first, second = search.take(), search.take()
    search.steering.reached(0, report_of(first.candidate, 1), "node")
    search.steering.overdue(0, "too long")
    search.steering.overdue(second.candidate.number, "too long")
    assert [trial.state for trial in search.log.trials] == [TrialState.STOPPED, TrialState.FAILED]


def test_what_runs_when_the_search_stops_keeps_its_rungs():
    for batch in (None, 8):
        search = Search(batch=batch)
        running = [search.take() for _ in range(3)]
        search.steering.reached(0, report_of(running[0].candidate, 1), "node")
        search.steering.stop("time is over")
        assert [trial.state for trial in search.log.trials] == [TrialState.STOPPED] * 3
        assert search.log.trials[0].reason == "time is over"


def test_a_candidate_that_is_proposed_again_is_answered_from_the_log():
    tiny = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}}}}
    search = Search(space=tiny, algorithm="random")
    search.run()
    assert len(search.log.trials) == 2
    assert search.steering.exhausted
    answered = [one for one in search.records if one["event"] == "answered"]
    assert answered
    assert {one["by"] for one in answered} <= {trial.candidate.number for trial in search.log.trials}
    assert Search(space=tiny, algorithm="random", earlier=search.records).log.trials == search.log.trials


def searched(records):
    """Seconds of all drivers."""
    return sum(one.period.searching for one in drivers_before(records))


def begun_at(moment, **said):
    driver = Driver(Period(Capacity(4), 2.5), Slots(2, SlotSize(2)))
    return {"event": "search", "at": moment, "slot": {"cpus": 2, "gpus": 0.0}, **driver.document, **said}


def test_the_time_that_was_spent_adds_up_over_drivers():
    def at(event, *moments):
        return [{"event": event, "at": moment} for moment in moments]

    records = [begun_at(100.0), *at("rung", 103.0, 110.0), {"event": "resumed"}, begun_at(500.0)]
    assert drivers_before([]) == ()
    assert searched(records) == 10
    assert searched([*records, *at("ended", 507.5)]) == 17.5
    first, second = drivers_before(records)
    assert first == Driver(Period(Capacity(4), 2.5, 10.0), Slots(2, SlotSize(2)))
    assert second.period.searching == 0
    assert first.slots.cost_per_second(PriceConfig(cpu=0.9)) == pytest.approx(0.001)


def limits_of(space=None, **search):
    loaded = load_space({"version": 1, "families": space or SPACE}, base=Path())
    return limits_document(SearchConfig(**search), None, loaded)


def test_a_search_that_is_over_stays_so_until_its_limits_change():
    search = Search(trials=3)
    search.run()
    limits = limits_of(trials=3)
    assert why_over(search.records, limits) is None, "the driver died before it said so"
    search.log.finish("search.trials: all 3 were tried", {"limits": limits, "interrupted": False})
    assert why_over(search.records, limits) == "search.trials: all 3 were tried"
    assert why_over(search.records, limits_of(trials=4)) is None
    assert why_over(search.records, limits_of(trials=3, stop={"seconds": 9})) is None
    assert why_over(search.records, limits_of({"ridge": SPACE["ridge"]}, trials=3)) is None
    assert why_over([*search.records, begun_at(0.0)], limits) is None
    assert why_over([*search.records, {"event": "sweep"}], limits) is not None


def test_a_search_that_the_user_ended_goes_on_when_the_run_is_asked_for_again():
    search, limits = Search(trials=3), limits_of(trials=3)
    search.log.finish("interrupted by the user", {"limits": limits, "interrupted": True})
    assert why_over(search.records, limits) == "interrupted by the user"
    assert why_over([*search.records, {"event": "sweep"}], limits) is None


def test_a_space_that_was_used_up_and_is_wider_now_is_searched_on():
    narrow = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}}}}
    wide = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}, "n_neighbors": {"int": [1, 9]}}}}
    first = Search(space=narrow, algorithm="random")
    first.run()
    assert first.steering.exhausted
    assert Search(space=narrow, algorithm="random", earlier=first.records).run() == []
    more = Search(space=wide, algorithm="random", earlier=first.records, trials=8)
    assert len(more.run()) == 6


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize("seed", [1, 3])
def test_a_space_with_few_candidates_ends_alike_wherever_it_is_cut_off(batch, seed):
    space = {
        "k_neighbors": {
            "params": {"n_neighbors": {"int": [1, 6]}, "weights": {"choice": ["uniform", "distance"]}},
            "start": [{"n_neighbors": 5, "weights": "uniform"}, {"n_neighbors": 2, "weights": "uniform"}],
        },
        "ridge": {"params": {"alpha": {"choice": [1.0, 2.0, 3.0]}}, "start": [{"alpha": 1.0}, {"alpha": 3.0}]},
    }
    options = {"batch": batch, "seed": seed, "algorithm": "random", "space": space}
    whole = Search(**options)
    whole.run()
    assert whole.steering.exhausted
    for cut in range(0, len(whole.records), 41):
        resumed = Search(**options, earlier=whole.records[:cut])
        resumed.run()
        assert resumed.outcome == whole.outcome, cut


def test_a_candidate_that_runs_is_not_run_beside_itself():
    tiny = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}}}}
    search = Search(space=tiny, algorithm="random")
    begun = search.run(slots=8)
    assert len(begun) == len({trial.candidate.digest for trial in search.log.trials}) == 2
    told = search.steering._proposer.told()
    assert set(told) == {"COMPLETE"} or set(told) == {"COMPLETE", "PRUNED"}
    assert sum(told.values()) == 2 + sum(one["event"] == "answered" for one in search.records)


def test_a_candidate_that_has_failed_is_not_tried_again():
    tiny = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}}}}
    search = Search(space=tiny, algorithm="random")
    while (attempt := search.take()) is not None:
        search.steering.failed(attempt.candidate.number, "ValueError: no")
    assert len(search.log.trials) == 2
    assert search.steering.is_over


def test_a_candidate_that_waits_for_room_has_not_begun():
    search = Search(trials=2)
    waiting = search.steering.next()
    search.take()
    assert [trial.candidate.number for trial in search.log.trials] == [1]
    search.steering.stop("time is over")
    assert [one["event"] for one in search.records].count("started") == 1
    assert waiting.number == 1


def test_a_second_attempt_may_end_earlier_than_the_first_had_come():
    search = Search(trials=1)
    candidate = search.take().candidate
    assert search.steering.reached(0, report_of(candidate, 1), "node")
    search.steering.lost(0, Loss("its process died"))
    search.take()
    assert not search.steering.reached(0, replace(report_of(candidate, 1), is_last=True), "node")
    assert [trial.state for trial in search.log.trials] == [TrialState.COMPLETE]
    assert search.steering.is_over


def test_a_space_that_was_widened_stays_so_after_a_crash():
    narrow = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}}}}
    wide = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}, "n_neighbors": {"int": [1, 9]}}}}
    options = {"algorithm": "random", "trials": 12}
    first = Search(space=narrow, **options)
    first.run()
    second = Search(space=wide, **options, earlier=first.records)
    second.run(stop_after=2)
    third = Search(space=wide, **options, earlier=[*first.records, *second.records])
    third.run()
    undisturbed = Search(space=wide, **options, earlier=first.records)
    undisturbed.run()
    assert third.outcome == undisturbed.outcome
    assert len(third.outcome) == 12


def test_a_candidate_that_takes_too_long_is_not_tried_again():
    space = {"k_neighbors": {"params": {"weights": {"choice": ["uniform", "distance"]}}}}
    search = Search(space=space, algorithm="random")
    while (attempt := search.take()) is not None:
        search.steering.reached(attempt.candidate.number, report_of(attempt.candidate, 1), "node")
        search.steering.overdue(attempt.candidate.number, "too long")
    assert [trial.state for trial in search.log.trials] == [TrialState.STOPPED] * 2
    resumed = Search(space=space, algorithm="random", earlier=search.records)
    assert resumed.run() == []


def test_what_was_found_unput_counts_for_the_driver_that_wrote_it():
    search = Search(trials=2)
    first = search.take()
    search.steering.reached(first.candidate.number, report_of(first.candidate, 1), "node")
    begun, proposed, started, rung = ({**one, "at": 100.0} for one in search.records)
    late = {**rung, "at": 900.0}
    in_order = [begun, proposed, started, late, {"event": "resumed", "unput": 0}]
    adopted = [begun, proposed, {"event": "resumed", "unput": 2}, started, late]
    for records in (in_order, adopted):
        assert searched(records) == 800
        resumed = Search(trials=2, earlier=records)
        assert resumed.log.trial(0).slot_seconds == 800


def test_time_does_not_run_back():
    records = [begun_at(0.0), {"event": "ended", "at": 100.0}, {"event": "lost", "at": 45.0}]
    assert searched(records) == 100


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize("stop_after", [None, 3, 11, 20])
def test_a_grid_ends_when_it_is_through_also_after_a_crash(batch, stop_after):
    space = {"k_neighbors": {"params": {"n_neighbors": {"int": [1, 6]}, "weights": {"choice": ["uniform"]}}}}
    options = {"batch": batch, "algorithm": "grid", "space": space, "trials": 100}
    first = Search(**options)
    first.run(slots=2, stop_after=stop_after)
    later = Search(**options, earlier=first.records)
    later.run(slots=2)
    assert later.steering.is_over
    assert later.steering.exhausted
    tried = [trial.candidate.params["n_neighbors"] for trial in later.log.trials]
    assert tried[0] == 5
    assert sorted(tried) == [1, 2, 3, 4, 5, 6]
    undisturbed = Search(**options)
    undisturbed.run()
    assert [trial.candidate for trial in later.log.trials] == [trial.candidate for trial in undisturbed.log.trials]


@pytest.mark.parametrize("batch", [None, 4])
def test_what_costs_too_much_is_stopped_and_is_no_measure_for_others(batch):
    def sized(candidate, rung):
        size = 100.0 * candidate.params["alpha"] * rung
        return replace(report_of(candidate, rung), metrics={"r2": 0.0, "size_bytes": size})

    aims = Aims.named("r2", (), {"size_bytes": 150})
    search = Search(space={"ridge": SPACE["ridge"]}, aims=aims, batch=batch, trials=20)
    while (attempt := search.take()) is not None:
        rung = 1
        while search.steering.reached(attempt.candidate.number, sized(attempt.candidate, rung), "node"):
            rung += 1
    over = [one for one in search.log.trials if aims.broken(one.rungs[-1].metrics)]
    assert 2 < len(over) < 20
    for one in over:
        words = f"breaks search.constraints: size_bytes {one.rungs[-1].metrics['size_bytes']:,.6g} (at most 150)"
        last = one.rungs[-1]
        if last.is_last:
            assert (one.state, one.reason) == (TrialState.COMPLETE, f"ran to its end; {words}")
        else:
            assert (one.state, one.reason) == (TrialState.PRUNED, f"stopped at rung {last.rung}: {words}")
        assert all(one.candidate.number not in search.decider.seen.get(rung, {}) for rung in (last.rung,))
    assert not search.decider.running
    resumed = Search(space={"ridge": SPACE["ridge"]}, aims=aims, batch=batch, trials=20, earlier=search.records)
    assert resumed.outcome == search.outcome


KEPT = Kept(1, "journal/kept/000001/000000-1.state", "sha")


def begun(search):
    """A search whose first trial has reached its first rung, which is kept."""
    attempt = search.take()
    search.steering.reached(0, report_of(attempt.candidate, 1), "node")
    assert search.steering.kept(0, KEPT)
    return attempt


def test_a_trial_that_lost_its_process_goes_on_from_what_is_kept():
    search = Search(trials=3)
    assert begun(search).start is None
    search.steering.lost(0, Loss("its node is gone", counts=False))
    again = search.take()
    assert (again.candidate.number, again.number, again.start) == (0, 2, KEPT)


def test_a_driver_that_goes_on_takes_it_up_as_well():
    search = Search(trials=3)
    begun(search)
    resumed = Search(trials=3, earlier=search.records)
    assert resumed.take().start == KEPT


def test_what_comes_too_late_or_was_never_reached_is_not_kept():
    search = Search(trials=3)
    begun(search)
    assert not search.steering.kept(0, replace(KEPT, rung=2))
    search.steering.failed(0, "broke")
    assert not search.steering.kept(0, KEPT)


def test_what_an_earlier_attempt_put_late_does_not_take_the_place_of_a_later_rung():
    search = Search(trials=1)
    candidate = search.take().candidate
    for rung in (1, 2):
        search.steering.reached(0, report_of(candidate, rung), "node")
    assert search.steering.kept(0, replace(KEPT, rung=2))
    assert not search.steering.kept(0, KEPT)
    search.steering.begins_anew(0)
    assert search.steering.kept(0, KEPT)


def after_forty_seconds(monkeypatch):
    """A clock to be set, and a search whose one candidate has worked so long for its first rung."""
    clock = [1_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    search = Search(trials=1)
    candidate = search.take().candidate
    clock[0] += 40
    search.steering.reached(0, report_of(candidate, 1), "node")
    return clock, search, candidate


def test_what_was_lost_before_anything_was_kept_is_no_measure_for_what_is_kept_later(monkeypatch):
    clock, search, candidate = after_forty_seconds(monkeypatch)
    search.steering.lost(0, Loss("its node is gone", counts=False))
    clock[0] += 60
    search.take()
    clock[0] += 40
    search.steering.reached(0, report_of(candidate, 1), "node")
    search.steering.kept(0, KEPT)
    clock[0] += 5
    search.steering.lost(0, Loss("its node is gone", counts=False))
    trial = search.log.trial(0)
    assert (trial.slot_seconds, trial.lost_seconds) == (85, 45)


def test_one_that_ended_for_want_of_a_node_is_tried_again_when_it_is_proposed_again():
    search = Search(trials=3)
    candidate = search.take().candidate
    search.steering.overdue(0, "no node has had a GPU", answers=False)
    assert search.log.trial(0).state is TrialState.FAILED
    assert candidate.digest not in search.steering._done


def test_lost_work_is_what_was_done_since_the_last_kept_rung(monkeypatch):
    clock, search, candidate = after_forty_seconds(monkeypatch)
    clock[0] += 2
    search.steering.kept(0, KEPT)  # it took two seconds to put it: it is safe since it was reported
    clock[0] += 5
    search.steering.lost(0, Loss("its node is gone", counts=False))
    assert search.log.trial(0).lost_seconds == 7
    search.take()
    clock[0] += 11
    search.steering.lost(0, Loss("its node is gone", counts=False))
    trial = search.log.trial(0)
    assert (trial.lost_seconds, trial.lost_core_seconds, trial.slot_seconds) == (18, 18, 58)
    search.steering.begins_anew(0)  # what the first attempt had come to is gone: its 40 seconds are lost, too
    trial = search.log.trial(0)
    assert (trial.lost_seconds, trial.lost_core_seconds, trial.slot_seconds) == (58, 58, 58)
    search.take()
    clock[0] += 3
    resumed = Search(trials=1, earlier=search.records)
    resumed.take()
    clock[0] += 1
    for rung in (2, 3):
        resumed.steering.reached(0, report_of(candidate, rung), "node")
    ended = resumed.log.trial(0)
    assert ended.state is TrialState.COMPLETE
    assert ended.lost_seconds == 58, "the driver was last heard of when that attempt began"
