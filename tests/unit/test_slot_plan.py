"""Slots on a cluster that changes: how they are packed, what is asked of an autoscaler, which attempt begins next."""

from __future__ import annotations

from math import inf

import pytest

from raysweep.config import PriceConfig, TrialConfig
from raysweep.records.cluster import Node, NodeUse, nodes_used
from raysweep.records.trial import Candidate, Capacity, Period, SlotSize, Trial, TrialState
from raysweep.records.usage import Usage
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.autoscaling import Refusals, Refused, count_among, growth_of_groups, may_start_nodes
from raysweep.stages.search.cluster_watch import ClusterWatch
from raysweep.stages.search.earlier import Driver, Slots, drivers_before
from raysweep.stages.search.holding import MOST_HELD, Held
from raysweep.stages.search.slot_plan import PENDING, Kind, plan_slots, sizes_for

A, B, C = Node("a", "one", 4), Node("b", "two", 8, 2), Node("c", "three", 3)


def uses_gpu(family):
    return family == "xgboost"


def sizes(*families, **trial):
    return sizes_for(families, TrialConfig(**trial), uses_gpu)


def test_without_gpus_there_is_one_kind():
    plan = plan_slots([A, B, C], sizes("xgboost", "ridge", cpus=2))
    assert plan.here == {Kind.CPU: {"a": 2, "b": 4, "c": 1}}
    assert plan.places == {(Kind.CPU, ""): 7}
    assert not plan.pending


def test_a_limit_holds_for_all_nodes_together():
    assert plan_slots([A, B, C], sizes("ridge"), 5).total == 5
    assert plan_slots([A], sizes("ridge"), 5).total == 4


def test_only_families_that_can_use_a_gpu_hold_one():
    assert sizes("xgboost", "ridge", gpus=0.5) == {Kind.GPU: SlotSize(1, 0.5), Kind.CPU: SlotSize(1)}
    assert sizes("xgboost", gpus=1) == {Kind.GPU: SlotSize(1, 1)}
    assert sizes("ridge", gpus=1) == {Kind.CPU: SlotSize(1)}


def test_slots_with_a_gpu_are_packed_first_and_the_others_into_what_is_left():
    plan = plan_slots([A, B, C], sizes("xgboost", "ridge", cpus=2, gpus=0.5))
    assert plan.here == {Kind.GPU: {"b": 4}, Kind.CPU: {"a": 2, "c": 1}}
    assert plan.places == {(Kind.GPU, ""): 4, (Kind.CPU, "a"): 2, (Kind.CPU, "c"): 1}


@pytest.mark.parametrize(
    ("nodes", "limit", "gpu", "cpu", "mixed"),
    [
        ([Node("b", "two", 2, 2)], None, 1, 1, False),  # one GPU waits, so that the others have a place at all
        ([Node("b", "two", 1, 1)], None, 1, 0, True),
        ([B], 1, 1, 0, True),
        ([B], 3, 2, 1, False),
        ([B, A], 2, 1, 1, False),
        ([A], None, 0, 4, False),
        ([], None, 0, 0, False),
    ],
)
def test_both_kinds_have_a_place_where_two_slots_fit(nodes, limit, gpu, cpu, mixed):
    plan = plan_slots(nodes, sizes("xgboost", "ridge", gpus=1), limit)
    assert (plan.count(Kind.GPU), plan.count(Kind.CPU), plan.mixed) == (gpu, cpu, mixed)


@pytest.mark.parametrize(
    ("limit", "growth", "pending"),
    [
        (None, 0.0, 0),
        (None, inf, PENDING),
        (None, 2.0, 2),
        (4, inf, 0),
        (10, inf, 6),
        (10, 3.0, 3),
        (None, 100.0, PENDING),
    ],
)
def test_what_is_asked_of_an_autoscaler(limit, growth, pending):
    plan = plan_slots([A], sizes("ridge"), limit, {Kind.CPU: growth})
    assert (plan.total, plan.pending.get(Kind.CPU, 0)) == (4, pending)
    assert plan.places == {(Kind.CPU, ""): 4 + pending}


def test_an_autoscaler_is_asked_for_both_kinds():
    plan = plan_slots([], sizes("xgboost", "ridge", gpus=1), 6, {Kind.GPU: inf, Kind.CPU: inf})
    assert plan.pending == {Kind.GPU: 3, Kind.CPU: 3}
    assert not plan.mixed


def test_how_far_groups_of_nodes_may_grow():
    wanted = sizes("xgboost", "ridge", cpus=2, gpus=1)
    groups = [({"CPU": 4.0}, 3), ({"CPU": 8.0, "GPU": 2.0}, 2), ({"CPU": 1.0}, -1)]
    assert growth_of_groups(groups, wanted, [A, B]) == {Kind.GPU: 2.0, Kind.CPU: 8.0}
    assert growth_of_groups([({"CPU": 4.0}, -1)], wanted, []) == {Kind.GPU: 0.0, Kind.CPU: inf}


def test_what_an_autoscaler_says_of_itself():
    assert count_among(SlotSize(2), [{"CPU": 1.0}, {"CPU": 2.0, "GPU": 0.0}, {"CPU": 2.0}]) == 2
    assert count_among(SlotSize(2, 1), [{"CPU": 2.0}]) == 0
    assert not may_start_nodes({"autoscaler_report": {"active_nodes": {"node_12ab": 1}}})
    assert may_start_nodes({"autoscaler_report": {"active_nodes": {"head-group": 1}}})
    assert not may_start_nodes({"autoscaler_report": None})


def test_what_an_autoscaler_refuses_is_not_asked_for_again_and_again():
    refusals = Refusals()
    nothing = Refused(0, 9)
    assert refusals.growth(Kind.CPU, 0, nothing, 0.0) == inf
    assert refusals.growth(Kind.CPU, 4, Refused(1, 1), 1.0) == 3, "it may start three more"
    assert refusals.growth(Kind.CPU, 3, Refused(1, 2), 2.0) == 3, "it speaks of what was asked before"
    assert refusals.growth(Kind.CPU, 3, Refused(1, 1), 17.0) == 3, "it has not looked since, and brings them yet"
    assert refusals.growth(Kind.CPU, 3, Refused(3, 7), 20.0) == 0, "they are there by now"
    assert refusals.growth(Kind.CPU, 0, nothing, 79.0) == 0
    assert refusals.growth(Kind.GPU, 0, nothing, 79.0) == inf
    assert refusals.growth(Kind.CPU, 0, nothing, 81.0) == inf, "somebody may have allowed it more"


class Room:
    """Idle slots by kind; `tight` families find no room beside what runs."""

    def __init__(self, gpu, cpu, tight=()):
        self.idle = {Kind.GPU: gpu, Kind.CPU: cpu}
        self.tight = set(tight)

    @property
    def has_idle(self):
        return any(self.idle.values())

    def has_idle_for(self, attempt):
        return self.idle[kind_of(attempt)] > 0

    def can_begin(self, attempt):
        return self.has_idle_for(attempt) and attempt.candidate.family not in self.tight


def kind_of(attempt):
    return Kind.GPU if uses_gpu(attempt.candidate.family) else Kind.CPU


def attempts(*families):
    """A source of these attempts, then of none; and how many were taken from it."""
    waiting = [Attempt(Candidate(number, family, {}, str(number), "tpe", 1)) for number, family in enumerate(families)]
    return lambda: waiting.pop(0) if waiting else None, waiting


def numbers(held, room, count):
    found = []
    for _ in range(count):
        attempt = held.take(room)
        found.append(None if attempt is None else attempt.candidate.number)
        if attempt is not None:
            room.idle[kind_of(attempt)] -= 1
    return found


def test_cores_do_not_wait_for_what_waits_for_a_gpu():
    held, room = Held(attempts("xgboost", "xgboost", "xgboost", "ridge", "ridge")[0]), Room(1, 2)
    assert numbers(held, room, 4) == [0, 3, 4, None]
    room.idle[Kind.GPU] = 1
    assert numbers(held, room, 2) == [1, None]


def test_no_more_than_a_few_are_proposed_ahead():
    source, left = attempts(*["xgboost"] * 20, "ridge")
    held, room = Held(source), Room(0, 1)
    assert numbers(held, room, 3) == [None] * 3
    assert len(left) == 21 - MOST_HELD


def test_nobody_overtakes_what_waits_for_memory():
    source, left = attempts("forest", "ridge", "ridge")
    held, room = Held(source), Room(1, 2, tight=["forest"])
    assert numbers(held, room, 2) == [None, None]
    assert len(left) == 2
    room.tight.clear()
    assert numbers(held, room, 2) == [0, 1]


def test_a_full_room_is_asked_for_nothing():
    source, left = attempts("ridge")
    assert Held(source).take(Room(0, 0)) is None
    assert len(left) == 1


def test_what_has_changed_is_said_once():
    kinds = sizes("ridge", cpus=2)
    watch = ClusterWatch(kinds, PriceConfig(cpu=0.9))

    def see(nodes, leaving=()):
        taking = [node for node in nodes if node.id not in leaving]
        return watch.see(nodes, leaving, plan_slots(taking, kinds))

    assert see([A]).slots == Slots(2, SlotSize(2))
    assert watch.cost_per_second == pytest.approx(0.001)
    assert see([A]) is None
    joined = see([A, B])
    assert (joined.words, joined.slots.count, joined.capacity) == ("two (8 CPUs, 2 GPUs) joined", 6, Capacity(12, 2))
    going = see([A, B], ["b"])
    assert (going.words, going.slots.count) == ("two (8 CPUs, 2 GPUs) is about to leave", 2)
    assert going.capacity == Capacity(12, 2), "it is paid for until it is gone"
    assert see([A, B], ["b"]) is None
    assert see([A]).words == "two (8 CPUs, 2 GPUs) left"


def changed(at, slots, cores, *, joined=(), left=()):
    def documents(nodes):
        return [{"id": node.id, "name": node.name, "cpus": node.cpus, "gpus": node.gpus} for node in nodes]

    capacity = {"cores": cores, "gpus": 0.0}
    return {
        "event": "cluster",
        "at": at,
        "slots": slots,
        "capacity": capacity,
        "joined": documents(joined),
        "left": documents(left),
    }


def begun(at, slots, cores, *nodes):
    driver = Driver(Period(Capacity(cores), 5.0), Slots(slots, SlotSize(2)))
    there = changed(at, slots, cores, joined=nodes)["joined"]
    return {"event": "search", "at": at, "slot": {"cpus": 2, "gpus": 0.0}, **driver.document, "nodes": there}


def test_capacity_and_cost_are_added_up_over_a_cluster_that_changes():
    records = [
        begun(100.0, 2, 4, A),
        changed(110.0, 6, 12, joined=[B]),
        changed(130.0, 4, 8, left=[A]),
        {"event": "ended", "at": 140.0},
    ]
    (driver,) = drivers_before(records)
    period = driver.period
    assert (period.searching, period.last) == (40.0, Capacity(8))
    assert driver.cost(PriceConfig(cpu=3600)) == 2 * (10 * 2 + 20 * 6 + 10 * 4)
    usage = Usage.of([period], ())
    assert usage.core_seconds.preparation == 5 * 4
    assert usage.core_seconds.idle == 10 * 4 + 20 * 12 + 10 * 8
    cut_short = drivers_before(records[:2])[0].period
    assert Usage.of([cut_short], ()).core_seconds.idle == 10 * 4


def test_a_journal_of_before_tells_of_no_nodes():
    record = begun(100.0, 2, 4)
    del record["nodes"]
    assert nodes_used([record], ()) == ()


def test_the_machines_that_a_search_ran_on():
    def on(node):
        return Trial(Candidate(0, "ridge", {}, "d", "tpe", 1), TrialState.COMPLETE, node=node)

    again = Node("d", "one", 4)
    records = [
        begun(100.0, 2, 4, A),
        changed(110.0, 6, 12, joined=[B], left=[A]),
        changed(120.0, 6, 12, joined=[again]),
        begun(200.0, 2, 3, C),
    ]
    used = nodes_used(records, [on("one"), on("one"), on("three"), on("")])
    assert used == (NodeUse("one", 4, 0, 2), NodeUse("three", 3, 0, 1), NodeUse("two", 8, 2, 0))
