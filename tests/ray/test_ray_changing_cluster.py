"""A search on nodes that join, are drained and die, and on one with a GPU that not every family can use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import raysweep
from noop_family import ON_GPU

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the searches of `changing_cluster.py` came to; a process of its own, since another Ray runs in this one."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    document = tmp_path_factory.mktemp("cluster") / "told.json"
    done = subprocess.run(
        [sys.executable, str(TESTS / "changing_cluster.py"), str(document)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3_000:]
    return json.loads(document.read_text())


def events(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [one for one in told["records"] if one["event"] == name]


def most_at_a_time(told: dict[str, Any], begin: float, end: float) -> int:
    """How many trials ran at once between two moments, by the journal."""
    running, most = 0, 0
    for record in told["records"]:
        running += (record["event"] == "started") - (record["event"] in {"ended", "lost"})
        if begin <= record.get("at", 0.0) <= end:
            most = max(most, running)
    return most


def test_slots_follow_the_nodes(told: dict[str, Any]):
    found = told["joined_and_left"]
    joined, drained, left, killed = found["steps"]
    assert most_at_a_time(found, 0, joined) == 1
    assert most_at_a_time(found, joined, drained) == 3
    assert most_at_a_time(found, left, killed) == 3
    words = [one["words"] for one in found["changes"]]
    assert sum("joined" in one for one in words) == 2
    assert sum("is about to leave" in one for one in words) == 1
    assert found["changes"][0]["slots"] == 3
    assert found["changes"][-1]["slots"] == found["slots"] == 1


def test_a_node_of_another_raysweep_gets_no_trial_and_that_is_said_once(told: dict[str, Any]):
    found = told["joined_and_left"]
    (said,) = [one for one in found["said"] if "gets no trials" in one]
    assert f"it has raysweep 0.0.{raysweep.__version__}, the driver raysweep {raysweep.__version__}. Install" in said
    joined = next(one["at"] for one in found["records"] if one["event"] == "cluster")
    assert sum(one["event"] == "ended" and one["at"] < joined for one in found["records"]) >= 3
    assert most_at_a_time(found, 0, found["steps"][0]) == 1


def test_no_trial_pays_for_a_node_that_is_gone(told: dict[str, Any]):
    found = told["joined_and_left"]
    ends = {("complete", "ran to its end"), ("stopped", "interrupted by the user")}
    assert {tuple(one) for one in found["states"]} <= ends
    lost = events(found, "lost")
    assert lost, "the node that was killed was running trials"
    assert {one["counts"] for one in lost} == {False}
    assert len(lost) <= 4, "at most one for each slot of a node that went"
    again = {one["candidate"] for one in events(found, "started") if one["attempt"] == 2}
    assert again == {one["candidate"] for one in lost}


def test_a_node_that_is_drained_gets_no_new_trial(told: dict[str, Any]):
    found = told["joined_and_left"]
    _, drained, left, _ = found["steps"]
    assert most_at_a_time(found, drained + 2.5, left) == 1


def test_what_the_cluster_had_is_added_up_as_it_changed(told: dict[str, Any]):
    found = told["joined_and_left"]
    capacities = [one["cores"] for _, one in found["period"]["changes"]]
    assert found["period"]["capacity"]["cores"] == 1
    assert capacities[0] == 3
    assert capacities[-1] == 1
    (node,) = found["nodes"]
    assert node["trials"] == sum(state == "complete" for state, _ in found["states"])
    assert node["cpus"] >= 3, "all raylets have the name of this machine"


def test_only_a_family_that_can_use_a_gpu_holds_one(told: dict[str, Any]):
    found = told["two_kinds"]
    assert set(found["states"]) == {"complete"}
    assert Counter(found["families"]).keys() == {"noop", "noop_gpu"}
    for family, error, gpu_seconds in zip(found["families"], found["devices"], found["gpu_seconds"], strict=True):
        assert error < ON_GPU / 2, "the GPUs are numbers here: none works, and fits go to the CPU"
        assert (gpu_seconds > 0) == (family == "noop_gpu")


def test_cores_work_while_all_gpus_are_taken(told: dict[str, Any]):
    found = told["two_kinds"]
    kinds = dict(enumerate(found["families"]))
    running: set[int] = set()
    together = Counter()
    for record in found["records"]:
        if record["event"] == "started":
            running.add(record["candidate"])
        elif record["event"] == "ended":
            running.discard(record["candidate"])
        together[Counter(kinds[one] for one in running)["noop_gpu"], len(running)] += 1
    assert max(gpus for gpus, _ in together) == 2, "two share the GPU, and never three"
    assert any(gpus == 2 and every > 2 for gpus, every in together)


def test_a_gpu_that_no_node_has_is_refused_at_once(told: dict[str, Any]):
    assert "none has both; the most on one are 3 CPUs and 1 GPUs" in told["two_kinds"]["refused"]


def test_a_node_where_nothing_starts_is_set_aside_and_the_others_work_on(told: dict[str, Any]):
    found = told["broken_nodes"]
    aside = [one for one in found["said"] if "is set aside, and takes no more trials" in one]
    assert len(aside) == 2, "once for each"
    (dies,) = [one for one in aside if "a trial's process died 3 times before it could start" in one]
    (rows,) = [one for one in aside if "the rows cannot be read here. Ray's logs there: /" in one]
    assert dies.split(" is set")[0] != rows.split(" is set")[0], "they are told apart though their machine is one"
    assert found["stopped_by"] == "interrupted by the user", "it would have gone on"
    assert set(found["states"]) <= {"complete", "stopped"}
    assert found["states"][-3:] == ["complete"] * 3


def test_a_search_that_has_no_other_node_ends_with_what_went_wrong(told: dict[str, Any]):
    name, said = told["broken_nodes"]["error"]
    assert name.startswith("RayTaskError")
    assert "the rows cannot be read here" in said


def test_candidates_of_a_kind_that_does_not_come_fail_and_the_others_are_tried(told: dict[str, Any]):
    found = told["lost_kind"]
    assert len(found["trials"]) == 20
    assert {state for family, state, _ in found["trials"] if family == "noop"} == {"complete"}
    reasons = [reason for family, state, reason in found["trials"] if family == "noop_gpu" and state == "failed"]
    assert reasons
    assert all(one.startswith("no node has had 1 CPUs and 1 GPUs for a trial in") for one in reasons)
    assert sum("candidates that need it end without" in one for one in found["said"]) == 1


def test_a_deterministic_search_ends_rather_than_pass_a_candidate_over(told: dict[str, Any]):
    name, said = told["lost_kind"]["refused"]
    assert name == "RayUnavailable"
    assert "with search.deterministic no candidate is passed over" in said
