"""How long a search waits for a kind of slots: the clock is given, and no Ray is needed."""

from __future__ import annotations

import pytest

from raysweep.config import TrialConfig
from raysweep.errors import RayUnavailable
from raysweep.records.cluster import Node
from raysweep.records.trial import Candidate, SlotSize
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.ray_nodes import Cluster
from raysweep.stages.search.ray_slot import Slot, SlotRules
from raysweep.stages.search.ray_waiting import Waiting
from raysweep.stages.search.slot_plan import Kind, SlotPlan

SIZES = {Kind.GPU: SlotSize(1, 1.0), Kind.CPU: SlotSize(1)}
CLUSTER = Cluster((Node("a", "one", 1),), frozenset(), {})
WITHOUT_GPU = SlotPlan({Kind.GPU: {}, Kind.CPU: {"a": 1}})
IDLE = Slot((Kind.CPU, "a"), None, None, node="a")
BUSY = Slot((Kind.CPU, "a"), None, None, node="a", attempt=Attempt(Candidate(0, "ridge", {}, "", "", 0, None)))


@pytest.fixture
def said() -> list[str]:
    return []


def waiting(said: list[str], *, sizes=SIZES, may_lack=True) -> Waiting:
    rules = SlotRules(
        sizes, lambda _: Kind.CPU, TrialConfig(gpus=1), look=lambda _: CLUSTER, plan=lambda _: WITHOUT_GPU,
        say=said.append, saw=lambda *_: None, lack_seconds=600, may_lack=may_lack,
    )  # fmt: skip
    return Waiting(rules)


def test_a_kind_that_does_not_come_is_given_up_and_taken_back_when_it_comes(said: list[str]):
    one = waiting(said)
    one.look([IDLE], WITHOUT_GPU, CLUSTER, 0)
    one.look([IDLE], WITHOUT_GPU, CLUSTER, 599)
    assert not one.given_up
    one.look([IDLE], WITHOUT_GPU, CLUSTER, 600)
    one.look([IDLE], WITHOUT_GPU, CLUSTER, 700)
    assert one.given_up == {Kind.GPU}
    (told,) = [sentence for sentence in said if "end without" in sentence]
    assert told.startswith("no node has had 1 CPUs and 1 GPUs for a trial in 10 minutes")
    one.look([IDLE], SlotPlan({Kind.GPU: {"b": 1}, Kind.CPU: {"a": 1}}), CLUSTER, 701)
    assert not one.given_up
    one.look([IDLE], WITHOUT_GPU, CLUSTER, 702)
    one.look([IDLE], WITHOUT_GPU, CLUSTER, 1_301)
    assert not one.given_up, "it waits anew"


@pytest.mark.parametrize(
    ("plan", "cluster"),
    [
        (SlotPlan(WITHOUT_GPU.here, {Kind.GPU: 1}), CLUSTER),
        (WITHOUT_GPU, Cluster(CLUSTER.nodes, frozenset(), {}, asked=frozenset({"b"}))),
    ],
)
def test_what_an_autoscaler_may_bring_or_a_node_may_turn_out_to_have_is_waited_for(said, plan, cluster):
    one = waiting(said, may_lack=False)
    for now in (0, 700, 1_400):
        one.look([IDLE], plan, cluster, now)
    assert not one.given_up
    assert all(sentence.startswith("still waiting for") for sentence in said)


def test_where_no_candidate_may_be_passed_over_the_search_ends_once_nothing_runs(said: list[str]):
    one = waiting(said, may_lack=False)
    one.look([BUSY], WITHOUT_GPU, CLUSTER, 0)
    one.look([BUSY], WITHOUT_GPU, CLUSTER, 900)
    assert not one.given_up, "its candidates would fail"
    with pytest.raises(RayUnavailable, match=r"in 10 minutes.*search\.deterministic"):
        one.look([IDLE], WITHOUT_GPU, CLUSTER, 901)


def test_a_search_without_any_node_ends(said: list[str]):
    one = waiting(said, sizes={Kind.CPU: SlotSize(1)})
    one.look([IDLE], SlotPlan({Kind.CPU: {"a": 1}}), CLUSTER, 0)
    one.look([], SlotPlan({Kind.CPU: {}}), CLUSTER, 10)
    with pytest.raises(RayUnavailable, match="add one, and go on with the run"):
        one.look([], SlotPlan({Kind.CPU: {}}), CLUSTER, 610)
