"""What came of a command becomes a message, one JSON document, and the right exit code."""

from __future__ import annotations

import json

import pytest

from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.outcome import Answer, carry_out
from raysweep.errors import (
    BundleRefused,
    DataUnsuitable,
    Interrupted,
    NotFound,
    NoTrialFinished,
    RaysweepError,
    RayUnavailable,
    RequestInvalid,
    StorageFailed,
)
from raysweep.records.table import Finding, Severity

Capture = pytest.CaptureFixture[str]
CODES = {
    RaysweepError: 1,
    RequestInvalid: 2,
    NotFound: 2,
    DataUnsuitable: 3,
    NoTrialFinished: 4,
    RayUnavailable: 5,
    StorageFailed: 6,
    BundleRefused: 8,
    Interrupted: 130,
}


def failing(error: Exception, *, as_json: bool = False, debug: bool = False) -> int:
    def action() -> Answer:
        raise error

    return carry_out(action, as_json=as_json, debug=debug)


@pytest.mark.parametrize(("kind", "code"), CODES.items(), ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_error_has_its_exit_code_and_no_traceback(kind: type[RaysweepError], code: int, capsys: Capture) -> None:
    assert failing(kind("the place, the value, the way out")) == code

    said = capsys.readouterr()
    assert said.err == "raysweep: the place, the value, the way out\n"
    assert said.out == ""


def test_what_was_not_expected_is_short_and_names_the_way_to_more(capsys: Capture) -> None:
    assert failing(KeyError("colour")) == 1

    said = capsys.readouterr().err
    assert "unexpected KeyError: 'colour'" in said
    assert "--debug" in said
    assert "Traceback" not in said


def test_debug_shows_the_traceback(capsys: Capture) -> None:
    assert failing(RequestInvalid("no"), debug=True) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_error_is_one_json_document_too(capsys: Capture) -> None:
    finding = Finding("leak.copy", Severity.ERROR, "a copy")
    error = DataUnsuitable("no", findings=[finding], bundle_url="runs/a")

    assert failing(error, as_json=True) == 3

    said = capsys.readouterr()
    document = json.loads(said.out)["error"]
    assert document["kind"] == "DataUnsuitable"
    assert document["exit_code"] == 3
    assert document["problems"] == []
    assert document["findings"][0]["check"] == "leak.copy"
    assert document["bundle_url"] == "runs/a"
    assert said.err == "raysweep: no\nwhat was found is in runs/a\n"


def test_every_problem_of_a_bundle_is_named(capsys: Capture) -> None:
    failing(BundleRefused("refused", problems=["a: changed", "b: missing"]))

    assert capsys.readouterr().err == "raysweep: refused\n  - a: changed\n  - b: missing\n"


def test_with_json_nothing_else_reaches_stdout(capsys: Capture) -> None:
    def action() -> Answer:
        print("chatter of a library")
        return Answer({"a": 1}, lambda: None, 7)

    assert carry_out(action, as_json=True, debug=False) == 7

    said = capsys.readouterr()
    assert json.loads(said.out) == {"a": 1}
    assert "chatter" in said.err


def test_without_json_the_answer_is_shown(capsys: Capture) -> None:
    assert carry_out(lambda: Answer({}, lambda: print("shown")), as_json=False, debug=False) == 0
    assert capsys.readouterr().out == "shown\n"


def test_who_stops_a_run_is_told_how_to_go_on_with_it() -> None:
    with pytest.raises(Interrupted, match=r"^stopped by the user; resume it$"), catching_interrupts(lambda _: None):
        raise KeyboardInterrupt("resume it")
    with pytest.raises(Interrupted, match=r"^stopped by the user$"), catching_interrupts(lambda _: None):
        raise KeyboardInterrupt
