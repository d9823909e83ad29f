"""What makes one trial better than another: metric, objectives, constraints."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raysweep.config import SearchConfig, TaskKind
from raysweep.errors import RequestInvalid
from raysweep.records.aims import Aims, Standing, aims_for, check_aims
from raysweep.records.metric import Direction
from raysweep.records.trial import RungReport

SMALL_AND_GOOD = Aims.named("roc_auc", ["size_bytes"])
values = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=25)


def standing(number, score, size=1.0, *, is_whole=True, **metrics):
    return Standing(number, score, is_whole, 1.0 if is_whole else 0.2, {"size_bytes": size, **metrics})


def beats(one, other):
    """By the definition: nowhere worse and somewhere better; more score, less size."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


@given(values)
def test_the_front_is_what_nothing_beats(points):
    known = [standing(number, float(score), float(size)) for number, (score, size) in enumerate(points)]
    expected = {n for n, one in enumerate(points) if not any(beats(other, one) for other in points)}
    assert SMALL_AND_GOOD.front(known) == expected


@given(values)
def test_what_advances_was_on_the_front_when_it_came(points):
    front = []
    for number, (score, size) in enumerate(points):
        new = standing(number, float(score), float(size))
        before = points[:number]
        expected = not any(beats(one, points[number]) or one == points[number] for one in before)
        assert SMALL_AND_GOOD.advances(new, front) == expected
        if expected:
            front.append(new)


def test_the_order():
    known = [
        standing(0, 0.9, 50),
        standing(1, 0.8, 60),
        standing(2, 0.7, 10),
        standing(3, 0.99, 5, is_whole=False),
        standing(4, 0.95, 500),
    ]
    assert Aims.named("roc_auc").ordered(known) == [4, 0, 1, 2, 3]
    assert Aims.named("rmse").ordered(known) == [2, 1, 0, 4, 3]
    assert SMALL_AND_GOOD.ordered(known) == [4, 0, 2, 1, 3], "the front first, what is not whole last"
    bounded = Aims.named("roc_auc", (), {"size_bytes": 55})
    assert bounded.ordered(known) == [0, 2, 3, 1, 4], "what breaks a bound comes last, the least first"
    assert bounded.front(known) == {0}


def test_a_metric_may_have_a_bound_too():
    aims = Aims.named("roc_auc", (), {"brier": 0.1, "accuracy": 0.8})
    assert aims.broken({"brier": 0.2, "accuracy": 0.7}) == ("brier", "accuracy")
    assert aims.excess({"brier": 0.2, "accuracy": 0.8}) == {"brier": pytest.approx(1.0), "accuracy": 0.0}
    assert aims.broken({"brier": float("nan"), "accuracy": 0.9}) == ("brier",), "what is not known is not kept"
    assert aims.bound_text("accuracy", 0.7) == "accuracy 0.7 (at least 0.8)"
    assert aims.bound_text("brier", 0.2) == "brier 0.2 (at most 0.1)"
    young = RungReport(1, 0.1, 0.6, {"brier": 0.2, "accuracy": 0.7}, 0.0, 0.0)
    assert aims.outgrown(young) == (), "more rounds may mend that"


def test_what_is_measured_beside_the_metric():
    aims = Aims.named("roc_auc", ["size_bytes", "brier"], {"size_bytes": 9, "roc_auc": 0.5, "prediction_seconds": 1})
    assert aims.further == ("size_bytes", "brier", "prediction_seconds")
    assert aims.directions == (Direction.MAXIMIZE, Direction.MINIMIZE, Direction.MINIMIZE)
    report = RungReport(1, 1.0, 0.7, {"roc_auc": 0.7, "size_bytes": 8.0, "brier": 0.2}, 0.0, 0.0)
    assert aims.values(report) == (0.7, 8.0, 0.2)


def test_further_objectives_stop_nothing_early():
    assert SearchConfig(objectives=("size_bytes",)).pruning == "none"
    assert SearchConfig().pruning == "asha"
    with pytest.raises(ValidationError, match=r"scheduler is asha.*leave it out"):
        SearchConfig(objectives=("size_bytes",), scheduler="asha")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"objectives": ["size_byte"]}, "search.objectives: there is no metric 'size_byte'.*'size_bytes'"),
        ({"constraints": {"prediction_second": 1}}, "search.constraints: .*did you mean 'prediction_seconds'"),
        ({"constraints": {"size_bytes": 0}}, "search.constraints.size_bytes: no model"),
        ({"metric": "size_bytes"}, "search.metric: there is no metric 'size_bytes'"),
        ({"objectives": ["rmse"]}, "search.objectives: rmse does not fit a binary task"),
        ({"constraints": {"r2": 0.5}}, "search.constraints: r2 does not fit"),
        ({"objectives": ["roc_auc"]}, "roc_auc is the metric already"),
    ],
)
def test_what_is_refused(asked, said):
    with pytest.raises(RequestInvalid, match=said):
        aims_for(SearchConfig(**asked), TaskKind.BINARY)


def test_what_does_not_exist_is_refused_before_the_data_are_read():
    check_aims(SearchConfig(objectives=["rmse"], constraints={"r2": 0.5}))
    with pytest.raises(RequestInvalid):
        check_aims(SearchConfig(objectives=["nothing"]))


@pytest.mark.parametrize(
    "asked",
    [
        {"objectives": ["size_bytes", "size_bytes"]},
        {"objectives": ["brier"], "metric": "brier"},
        {"objectives": ["brier", "log_loss", "size_bytes"]},
        {"constraints": {"size_bytes": float("inf")}},
        {"deterministic": True, "constraints": {"prediction_seconds": 1}},
        {"deterministic": True, "objectives": ["prediction_seconds"]},
    ],
)
def test_what_makes_no_sense(asked):
    with pytest.raises(ValidationError):
        SearchConfig(**asked)


def test_a_tie_goes_to_the_earlier_proposal():
    known = [standing(2, 0.8), standing(1, 0.8), replace(standing(0, 0.7), effort=0.5)]
    assert Aims.named("roc_auc").ordered(known) == [1, 2, 0]
