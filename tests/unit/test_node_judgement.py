"""What was seen on nodes, judged: alike is said once, differing is named by node and version."""

from dataclasses import replace

import pytest

from raysweep.errors import RayUnavailable, StorageFailed
from raysweep.nodes.judgement import Grade, NodeSeen, check, judge, named
from raysweep.runtime.versions import differences, installed_versions, must_be_equal

HERE = {"Python": "3.11.7", "raysweep": "1.0", "raysweep's code": "aaaa", "Ray": "2.60.0", "pandas": "3.1.1"}
GIB = 1024**3
ROOM = {"shared": 4 * GIB, "disk": 50 * GIB, "memory": 8 * GIB}
FINE = NodeSeen("n1", store_bytes=GIB, versions=HERE, room=ROOM, reach={"data": "", "store": ""}, clock=(-0.5, 0.5))


def node(name, **changes):
    return replace(FINE, name=name, **changes)


def having(name, **versions):
    return node(name, versions={key: value for key, value in (HERE | versions).items() if value})


def of_kind(judged, what):
    return [one for one in judged if one.what == what]


def test_nodes_that_are_alike_are_told_of_once():
    judged = judge([node(name) for name in ("n0", "n1", "n2")], HERE)

    assert {one.grade for one in judged} == {Grade.FINE}
    assert [one.said for one in of_kind(judged, "versions")] == [
        "3 nodes (n0, n1, n2): Python 3.11.7, raysweep 1.0, Ray 2.60.0, pandas 3.1.1"
    ]
    assert [one.said for one in of_kind(judged, "data")] == ["reached from 3 nodes (n0, n1, n2)"]
    check(judged)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"raysweep": "0.9", "raysweep's code": "bbbb"}, "n2 has raysweep 0.9, the driver raysweep 1.0:"),
        ({"raysweep's code": "bbbb"}, "n2 has raysweep's code bbbb, the driver raysweep's code aaaa:"),
        ({"Python": "3.12.1"}, "n2 has Python 3.12.1, the driver Python 3.11.7:"),
        ({"xgboost": "3.3.0"}, "n2 has xgboost 3.3.0, the driver no xgboost:"),
        ({"raysweep": "", "raysweep's code": ""}, "n2 has no raysweep, the driver raysweep 1.0:"),
    ],
)
def test_what_makes_scores_differ_is_refused_and_names_node_and_versions(there, words):
    judged = judge([node("n0"), having("n2", **there)], HERE)

    with pytest.raises(RayUnavailable) as refused:
        check(judged)
    assert words in str(refused.value)
    assert "n0" not in str(refused.value)


@pytest.mark.parametrize("there", [{"pandas": "3.2.0"}, {"Python": "3.11.9"}])
def test_what_changes_no_score_is_only_said(there):
    judged = judge([node("n0"), having("n2", **there)], HERE)

    check(judged)
    assert [one.grade for one in of_kind(judged, "versions")] == [Grade.FINE, Grade.DOUBTFUL]


def test_a_bucket_that_a_node_does_not_reach_is_an_error_of_the_storage():
    lost = node("n2", reach={"data": "no usable credentials were found", "store": ""})
    judged = judge([node("n0"), lost], HERE)

    with pytest.raises(StorageFailed, match=r"data: not reached from n2, though the driver reaches it: no usable"):
        check(judged)


def test_files_of_the_drivers_own_are_no_reason_to_stop():
    lost = node("n2", reach={"data": "/data/table.csv is not there", "store": ""})
    judged = judge([node("n0"), lost], HERE, is_local=True)

    check(judged)
    assert [one.grade for one in of_kind(judged, "data")] == [Grade.FINE, Grade.DOUBTFUL]


def test_all_that_is_wrong_is_in_one_message_and_ray_comes_before_the_storage():
    nodes = [node("n0", reach={"store": "denied"}), NodeSeen("n1", failed="nothing can be run there")]

    with pytest.raises(RayUnavailable, match=r"node: n1: nothing can be run there; store: not reached from n0"):
        check(judge(nodes, HERE))


def test_a_sweep_does_without_a_node_that_is_lost_but_not_without_any():
    lost = NodeSeen("n1", lost="it was lost just now")

    check(judge([node("n0"), lost], HERE))
    assert Grade.DOUBTFUL in {one.grade for one in of_kind(judge([node("n0"), lost], HERE), "node")}
    with pytest.raises(RayUnavailable, match="n1: it was lost just now"):
        check(judge([lost], HERE))


@pytest.mark.parametrize(
    ("clock", "words"),
    [((9.0, 10.0), "at least 9 s ahead of"), ((-700.0, -699.0), "at least 699 s behind"), ((-60.0, 3.0), None)],
)
def test_a_clock_counts_as_wrong_only_where_it_must_be(clock, words):
    said = [one.said for one in of_kind(judge([node("n1", clock=clock)], HERE), "clock")]

    assert [words in one for one in said] == ([] if words is None else [True])


@pytest.mark.parametrize(
    ("gpus", "devices", "grade", "words"),
    [
        (2.0, ("H100", "H100"), Grade.FINE, "Ray counts 2, the machine has 2 x H100"),
        (1.0, (), Grade.DOUBTFUL, "fewer GPUs than Ray gives out"),
        (0.0, ("H100",), Grade.DOUBTFUL, "start it there with --num-gpus"),
    ],
)
def test_gpus_are_what_ray_and_the_machine_say(gpus, devices, grade, words):
    found = of_kind(judge([node("n0"), node("g1", gpus=gpus, devices=devices)], HERE), "gpus")

    assert [(one.grade, words in one.said) for one in found] == [(grade, True)]


@pytest.mark.parametrize("short", [{"disk": GIB // 2}, {"memory": GIB // 4}])
def test_little_room_is_said_by_the_node_that_has_it(short):
    found = of_kind(judge([node("n0"), node("n1", room=ROOM | short)], HERE), "room")

    assert [one.grade for one in found] == [Grade.FINE, Grade.DOUBTFUL]
    assert "GiB (n1)" in found[1].said


def test_many_nodes_are_counted_not_listed():
    assert named([node(f"n{number}") for number in range(9)]) == "9 nodes (n0, n1, n2, n3, n4, ...)"


def test_this_process_does_not_differ_from_itself():
    found = installed_versions()

    assert {"Python", "Ray", "raysweep", "raysweep's code", "xgboost", "numpy"} <= set(found)
    assert differences(found, installed_versions()) == ()
    assert must_be_equal("xgboost", "1", "2")
