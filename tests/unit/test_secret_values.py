"""No secret of the environment reaches the journal or a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

import raysweep
from raysweep.config import load_config
from raysweep.errors import RequestInvalid
from raysweep.records.trial import SearchOutcome
from raysweep.space import load_space
from raysweep.storage.secret_values import find_secrets, known_secrets, masked
from record_builders import make_trial, make_view

SECRET = "hunter2-hunter2"  # noqa: S105 - made up
SECRETS = {"SERVICE_PASSWORD": SECRET}


def test_what_looks_like_a_secret(tmp_path):
    environment = {"SERVICE_PASSWORD": SECRET, "my_api_key": SECRET, "HOME": SECRET, "A_TOKEN": "short"}
    assert known_secrets({**environment, "TOKEN_FOLDER": str(tmp_path)}) == {**SECRETS, "my_api_key": SECRET}


def test_secrets_are_found_by_their_path():
    value = {"a": [{"b": f"key={SECRET}"}, 1, None], "c": "nothing", SECRET: 2.0}
    assert list(find_secrets(value, SECRETS)) == [("a[0].b", "SERVICE_PASSWORD"), ("", "SERVICE_PASSWORD")]


def test_the_name_stands_in_the_place_of_the_value():
    record = {"event": "ended", "candidate": 3, "error": f"401 for {SECRET}!", "more": [SECRET, 1.5, None, True]}
    assert masked(record, SECRETS) == {
        "event": "ended",
        "candidate": 3,
        "error": "401 for <SERVICE_PASSWORD>!",
        "more": ["<SERVICE_PASSWORD>", 1.5, None, True],
    }


def fixed(params):
    family = {"params": {"max_depth": {"int": [1, 3]}}, "fixed": params}
    return {"space": {"version": 1, "families": {"xgboost": family}}}


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"search": fixed({"tree_method": SECRET})}, "search.space.families.xgboost.fixed.tree_method"),
        (
            {"checks": {"accept": [{"check": "rows.duplicates", "max": 0.1, "reason": SECRET}]}},
            r"checks.accept\[0\].reason",
        ),
    ],
)
def test_a_sweep_that_holds_a_secret_is_refused_before_anything_is_written(tmp_path, monkeypatch, section, path):
    monkeypatch.setenv("SERVICE_PASSWORD", SECRET)
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
    keys = {"version": 1, "data": {"source": "memory:", "target": "late"}, "export": {"to": str(tmp_path / "runs")}}
    with pytest.raises(RequestInvalid, match=rf"{path} holds the value of .* SERVICE_PASSWORD") as refused:
        raysweep.run_sweep(load_config({**keys, **section}), data=object())
    assert SECRET not in str(refused.value)
    assert len(refused.value.problems) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_trial_has_said_reaches_neither_journal_nor_bundle(monkeypatch):
    from raysweep import sweep as stages

    written = []

    def run_search(asked, _):
        asked.record({"event": "ended", "candidate": 0, "error": f"401 for {SECRET}"})
        trial = replace(make_trial(0, 0.5), reason=f"refused: {SECRET}", error=f"401 for {SECRET}")
        return SearchOutcome((trial,), "testing", "1 trials were tried", 1.0, 1)

    monkeypatch.setattr(stages, "run_search", run_search)
    view = make_view()
    sweep = stages.Sweep("one", mock.Mock(), split=view.split)
    space = load_space("auto", base=Path())
    out = stages.Out(*[mock.Mock()] * 3, space, mock.Mock(), mock.Mock(), 0.0, SECRETS)
    out.journal.append = written.append
    request = mock.Mock(config=load_config({"version": 1, "data": {"source": "memory:", "target": "late"}}))
    (trial,) = stages._search(request, sweep, view.task, out).search.trials
    assert [one["error"] for one in written] == ["401 for <SERVICE_PASSWORD>"]
    assert (trial.reason, trial.error) == ("refused: <SERVICE_PASSWORD>", "401 for <SERVICE_PASSWORD>")
