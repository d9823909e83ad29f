"""What is shown while a sweep runs: plain lines, the live display, JSON lines, and Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import signal
from dataclasses import replace

import pytest
from rich.console import Console

from raysweep.cli.interrupt import _silence, catching_interrupts
from raysweep.cli.json_values import to_json
from raysweep.cli.live_display import LiveDisplay
from raysweep.cli.progress import JsonLines, PlainLines
from raysweep.errors import Interrupted
from raysweep.event_lines import event_lines
from raysweep.events import (
    DataChecked,
    Event,
    RungReached,
    Said,
    Stage,
    StageFinished,
    StageStarted,
    TrialEnded,
    TrialStarted,
)
from raysweep.records.table import Proposal, Suitability
from raysweep.records.trial import Trial, TrialState
from raysweep.report.search_state import SearchState, clock_text
from record_builders import HOSTILE, make_plan, make_trial, make_view


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lived(trial: Trial) -> list[Event]:
    """The events of a trial's life."""
    running = replace(trial, state=TrialState.RUNNING)
    events: list[Event] = [TrialStarted(replace(running, rungs=()))]
    events += [RungReached(running, report) for report in trial.rungs]
    return [*events, TrialEnded(trial)]


def whole_sweep() -> list[Event]:
    trials = (make_trial(0, 0.7), make_trial(1, 0.6, TrialState.PRUNED), make_trial(2, None, TrialState.FAILED))
    events: list[Event] = [StageStarted(Stage.SOURCE), StageFinished(Stage.SOURCE, 0.2, f"1 file {HOSTILE[1]}")]
    events += [Said(HOSTILE[1]), DataChecked(make_view(HOSTILE).check), StageStarted(Stage.SEARCH), make_plan()]
    for trial in trials:
        events += lived(trial)
    return [*events, StageFinished(Stage.SEARCH, 12.0, "3 trials"), StageStarted(Stage.CONFIRM)]


def test_plain_lines_tell_of_stages_and_new_best_scores() -> None:
    lines: list[str] = []
    listener = PlainLines(lines.append, Clock())
    for event in whole_sweep():
        listener(event)

    best = [line for line in lines if "best" in line]
    assert best == ["search: best roc_auc 0.7 on testing (xgboost, trial 0); 1:00 left"]
    assert "search: trial 2 failed: made up" in lines
    assert "search: 3 trials (12.0 s)" in lines
    assert any("col.missing" in line for line in lines)


@pytest.mark.parametrize("suitability", Suitability)
def test_proposals_are_shown_where_the_data_are_unsuitable(suitability: Suitability) -> None:
    proposal = Proposal(f"data.features.exclude: [{HOSTILE[1]}]", "known too late")
    check = replace(make_view().check, suitability=suitability, proposals=(proposal,))
    lines: list[str] = []
    PlainLines(lines.append, Clock())(DataChecked(check))
    console = Console(file=io.StringIO(), width=120, force_terminal=True, no_color=True)
    with LiveDisplay(console, Clock()) as display:
        display(DataChecked(check))
    assert isinstance(console.file, io.StringIO)

    for shown in ("\n".join(lines), console.file.getvalue().replace("\x1b[2m", "")):
        assert ("proposal: data.features.exclude: [[red]x[/red]]  # known too late" in shown) == (
            suitability is Suitability.UNSUITABLE
        )


def test_a_long_silence_is_broken_by_a_sign_of_life() -> None:
    lines: list[str] = []
    clock = Clock()
    listener = PlainLines(lines.append, clock)
    for event in (make_plan(), *lived(make_trial(0, 0.7))):
        listener(event)
    before = len(lines)
    for clock.now in (9.0, 11.0, 12.0):
        listener(TrialStarted(make_trial(1, None, TrialState.RUNNING)))

    assert lines[before:] == [
        "search: 1 of 100 done, 1 running; 2 of 4 cores busy; best roc_auc 0.7 on testing (xgboost, trial 0); 0:49 left"
    ]


@pytest.mark.parametrize("width", [8, 40, 200])
def test_the_live_display_fits_any_terminal_and_reads_no_markup(width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=20, color_system=None)
    clock = Clock()
    with LiveDisplay(console, clock) as display:
        for event in whole_sweep()[:-2]:
            display(event)
        clock.now = 5.0
        display.notify("finishing")
        display._live.refresh()
        for event in whole_sweep()[-2:]:
            display(event)

    shown = stream.getvalue()
    assert "finishing" in shown.replace("\n", "")
    if width == 200:
        assert "on testing" in shown
        assert HOSTILE[1] in shown
        assert HOSTILE[0] in shown


def test_events_become_json_lines() -> None:
    lines: list[str] = []
    listener = JsonLines(lines.append)
    for event in whole_sweep():
        listener(event)

    documents = [json.loads(line) for line in lines]
    assert all("\n" not in line for line in lines)
    assert [one["event"] for one in documents][:2] == ["StageStarted", "StageFinished"]
    reached = next(one for one in documents if one["event"] == "RungReached")
    assert reached["report"]["score"] == 0.7
    assert reached["trial"]["candidate"]["params"] == {"max_depth": 6}


def test_what_json_does_not_know_becomes_null() -> None:
    assert json.loads(to_json({"a": float("nan"), "b": {Stage.SEARCH}, "c": (1, None)})) == {
        "a": None,
        "b": ["search"],
        "c": [1, None],
    }
    assert [json.loads(line)["message"] for line in event_lines(Said("ä"))] == ["ä"]


def test_lower_is_better_where_the_plan_says_so() -> None:
    state = SearchState(make_plan(metric="rmse", higher_is_better=False, seconds=None), 0.0)
    gains = [state.update(event) for score in (3.0, 4.0, 2.0) for event in lived(make_trial(int(score), score))]

    assert sum(gains) == 2
    assert [trial.score for trial in state.leaders(2)] == [2.0, 3.0]
    assert "rmse 2 on testing" in state.score_text()
    assert state.time(65.0) == "1:05 gone"
    assert state.share_done(1.0) == 0.03


def test_no_time_is_left_once_every_planned_trial_is_done() -> None:
    state = SearchState(make_plan(trials=2), 0.0)
    for number, expected in enumerate(("0:50 left", "0:10 gone")):
        for event in lived(make_trial(number, 0.7)):
            state.update(event)
        assert state.time(10.0) == expected


def test_a_search_that_goes_on_begins_where_it_stood() -> None:
    known = (make_trial(0, 0.7), make_trial(1, 0.9, TrialState.PRUNED), make_trial(2, 0.99, TrialState.FAILED))
    state = SearchState(make_plan(spent_seconds=25.0, known=known), 100.0)
    assert state.counts().startswith("3 of 100 done, 0 running")
    assert state.time(105.0) == "0:30 left"
    assert state.share_done(105.0) == 0.5
    assert "best roc_auc 0.9 on testing (" in state.score_text()
    assert not any(state.update(event) for event in lived(make_trial(3, 0.8)))
    assert any(state.update(event) for event in lived(make_trial(4, 0.95)))


def test_hours_are_written_as_hours() -> None:
    assert clock_text(7_265) == "2:01:05"


def test_the_first_ctrl_c_during_the_search_asks_to_finish_and_the_second_stops() -> None:
    told: list[str] = []

    def twice() -> None:
        with catching_interrupts(told.append) as interrupts:
            interrupts(StageStarted(Stage.SEARCH))
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupts.asked()
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        twice()

    assert told == ["finishing with what there is; Ctrl-C again stops now"]
    assert signal.getsignal(signal.SIGINT) is before


def test_before_the_search_ctrl_c_stops_at_once() -> None:
    def once() -> None:
        with catching_interrupts(print) as interrupts:
            interrupts(StageStarted(Stage.PROFILE))
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        once()


def test_a_terminal_that_goes_away_asks_to_finish_however_often_it_is_said() -> None:
    told: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup ignore it
    try:
        with catching_interrupts(told.append) as interrupts:
            interrupts(StageStarted(Stage.SEARCH))
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupts.asked()
        assert len(told) == 1
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nohup_stays_in_force() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with catching_interrupts(print):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_written_to_a_terminal_that_is_gone_goes_nowhere() -> None:
    ours, theirs = os.openpty()
    os.close(ours)
    with pytest.raises(OSError, match="Input/output error"):
        os.write(theirs, b"a")

    _silence([theirs])

    assert os.write(theirs, b"a") == 1
    os.close(theirs)
