"""Every event comes back from its line as it went in, among lines of others."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import get_args

import pytest

from raysweep.config import TaskKind
from raysweep.event_lines import EventReader, event_lines
from raysweep.events import (
    ClusterChanged,
    DataChecked,
    Event,
    RungReached,
    Said,
    SearchPlanned,
    Stage,
    StageFinished,
    StageStarted,
    SweepFailed,
    TrialEnded,
    TrialStarted,
)
from raysweep.prepare_rules import ToNull
from raysweep.records.table import Meaning, Preparation, Proposal
from raysweep.records.trial import TrialState
from record_builders import HOSTILE, make_ended, make_plan, make_trial, make_view


def checked() -> DataChecked:
    view = make_view(HOSTILE)
    proposals = (Proposal("data.group: customer", "rows hang together"),)
    assert view.task is not None
    rule = ToNull(rule="to_null", columns=("age",), values=(-1, "?"))
    preparation = Preparation(view.task.features[:1], (rule,))
    task = replace(view.task, kind=TaskKind.BINARY, preparation=preparation)
    check = replace(view.check, proposals=proposals, meanings={"a": Meaning.MONEY}, left_out={"b": "x"}, task=task)
    return DataChecked(check)


EVENTS: list[Event] = [
    StageStarted(Stage.SEARCH),
    StageFinished(Stage.SOURCE, 0.25, "1 file\nin two lines \u2028 " + HOSTILE[0]),
    Said("ä 東京 \x1b[31m"),
    checked(),
    make_plan(known=(make_trial(0, 0.7), make_trial(1, None, TrialState.FAILED)), spent_seconds=25.0),
    ClusterChanged(4, 2, 4.0, 0.5, "a node has come"),
    TrialStarted(make_trial(2, None, TrialState.RUNNING)),
    RungReached(make_trial(3, 0.5, TrialState.RUNNING), make_trial(3, 0.5).rungs[0]),
    TrialEnded(make_trial(4, 0.6, TrialState.PRUNED, learning_rate=0.1, encoding="native", flag=True, none=None)),
    make_ended(),
    SweepFailed("DataUnsuitable", "nothing to learn", 3, ("a", "b"), "s3://bucket/runs/nightly"),
]


def read_back(event: Event) -> list[Event | str | None]:
    reader = EventReader()
    return [reader.read(line) for line in event_lines(event)]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    *before, found = read_back(event)

    assert found == event
    assert before == [None] * (len(event.known) if isinstance(event, SearchPlanned) else 0)


def test_every_kind_of_event_is_tried_here() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_what_is_only_for_the_driver_stays_there() -> None:
    trial = make_trial(0, 0.7)
    rung = replace(trial.rungs[0], sample="predictions of rows")
    (line,) = event_lines(TrialEnded(replace(trial, rungs=(rung,))))

    assert "predictions" not in line


def test_no_score_comes_back_as_no_number() -> None:
    trial = make_trial(0, math.nan)
    (found,) = read_back(TrialEnded(trial))

    assert isinstance(found, TrialEnded)
    assert found.trial.score is not None
    assert math.isnan(found.trial.score)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        '{"event": "Sa',
        '{"event": ["Said"]}',
        '{"event": "Invented", "message": "of a newer version"}',
        '{"event": "Said"}',
        '{"event": "StageStarted", "stage": "party"}',
        json.dumps({"message": "somebody else's JSON"}),
    ],
)
def test_any_other_line_is_handed_back(line: str) -> None:
    assert EventReader().read(line) == line


def test_known_trials_belong_to_the_search_that_is_said_next() -> None:
    reader = EventReader()
    plans = [make_plan(known=(make_trial(0, 0.7),)), make_plan()]
    found = [reader.read(line) for plan in plans for line in event_lines(plan)]

    assert [one for one in found if one is not None] == plans
