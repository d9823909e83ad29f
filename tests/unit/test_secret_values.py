"""No secret of the environment reaches the journal or a bundle."""

from __future__ import annotations

import pytest

import raysweep
from raysweep.config import TaskKind, load_config
from raysweep.errors import RequestInvalid
from raysweep.storage.secret_values import find_secrets, known_secrets, masked
from raysweep.training import families as registry
from raysweep.training.family import Family

SECRET = "hunter2-hunter2"  # noqa: S105 - made up
SECRETS = {"SERVICE_PASSWORD": SECRET}


def test_what_looks_like_a_secret(tmp_path):
    environment = {"SERVICE_PASSWORD": SECRET, "my_api_key": SECRET, "HOME": SECRET, "A_TOKEN": "short"}
    assert known_secrets({**environment, "TOKEN_FOLDER": str(tmp_path)}) == {**SECRETS, "my_api_key": SECRET}


def test_secrets_are_found_by_their_path():
    value = {"a": [{"b": f"key={SECRET}"}, 1, None], "c": "nothing", SECRET: 2.0}
    assert list(find_secrets(value, SECRETS)) == [("a[0].b", "SERVICE_PASSWORD"), ("", "SERVICE_PASSWORD")]


def test_the_name_stands_in_the_place_of_the_value():
    assert masked(f"401 for {SECRET}!", SECRETS) == "401 for <SERVICE_PASSWORD>!"
    longer = {"A_TOKEN": SECRET, "B_TOKEN": f"{SECRET}-and-more"}
    assert masked(f"{SECRET}-and-more", longer) == "<B_TOKEN>", "nothing is left of one that holds another"


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


def test_a_default_of_a_family_that_is_a_secret_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    registry.register(Family("asks", frozenset({TaskKind.BINARY}), {"api_key": SECRET}, "nowhere:Nothing"))
    monkeypatch.setenv("SERVICE_PASSWORD", SECRET)
    keys = {"version": 1, "data": {"source": "memory:", "target": "late"}, "export": {"to": str(tmp_path / "runs")}}
    space = {"version": 1, "families": {"asks": {"params": {}}}}
    with pytest.raises(RequestInvalid, match=r"defaults.asks.api_key holds the value of .* SERVICE_PASSWORD"):
        raysweep.run_sweep(load_config({**keys, "search": {"space": space}}), data=object())
