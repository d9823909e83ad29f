"""The sweep file: defaults, overrides, addresses, and secrets that have no place in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.config import load_config, require_target
from raysweep.documents import read_yaml
from raysweep.errors import NotFound, RequestInvalid

SPACE = {"version": 1, "families": {"xgboost": {"params": {"max_depth": {"int": [3, 8]}}}}}


def sweep(**sections):
    data = {"source": "a.csv", "target": "y"} | sections.pop("data", {})
    return {"version": 1, "data": data, **sections}


def test_everything_but_source_has_a_default():
    config = load_config({"version": 1, "data": {"source": "a.csv"}})
    assert config.search.trials == 100
    assert config.split.parts.training == 0.6
    assert config.confirm.refit == "training+testing"
    assert config.data.target is None
    with pytest.raises(RequestInvalid, match=r"data\.target is missing"):
        require_target(config)


def test_a_config_is_resolved_once(tmp_path: Path, monkeypatch):
    (tmp_path / "sweep.yaml").write_text(
        "version: 1\ndata: {source: [a.csv, 's3://b/c', /d.csv], target: y}\nsearch: {space: space.yaml}\n"
    )
    (tmp_path / "space.yaml").write_text("version: 1\nfamilies: {ridge: {params: {alpha: {float: [1e-3, 1]}}}}\n")
    config = load_config(tmp_path / "sweep.yaml")
    assert config.data.sources == (str(tmp_path / "a.csv"), "s3://b/c", "/d.csv")
    assert not isinstance(config.search.space, str)
    assert config.search.space["families"]["ridge"]["params"]["alpha"]["float"] == [0.001, 1.0]
    assert config.export.to == "runs/"
    monkeypatch.chdir("/")
    assert load_config(config) == config


def test_a_space_inline_or_by_name():
    inline = load_config(sweep(search={"space": SPACE})).search.space
    assert not isinstance(inline, str)
    assert inline["families"]["xgboost"]["params"]["max_depth"]["int"] == [3, 8]
    assert load_config(sweep(search={"space": "xgboost"})).search.space == "xgboost"
    with pytest.raises(NotFound, match="did you mean 'xgboost'"):
        load_config(sweep(search={"space": "xgbost"}))
    with pytest.raises(NotFound, match=r"no file"):
        load_config(sweep(search={"space": "absent.yaml"}))


def test_overrides_are_applied_in_order_and_checked():
    overrides = ["search.trials=20", "search.trials=30", "checks.set.col.missing.warn=0.4", "data.features.exclude=[a]"]
    config = load_config(sweep(), overrides=overrides)
    assert config.search.trials == 30
    assert config.checks.set == {"col.missing": {"warn": 0.4}}
    assert config.data.features.exclude == ("a",)
    with pytest.raises(RequestInvalid, match=r"search\.trials: input should be a valid integer"):
        load_config(sweep(), overrides=["search.trials=many"])


@pytest.mark.parametrize(
    "sections",
    [
        {"data": {"s3": {"endpoint_url": "http://key:S3CRET@host:9000"}}},
        {"data": {"s3": {"endpoint_url": "ftp://key:S3CRET@host"}}},
        {"data": {"s3": {"endpoint_url": "key:S3CRET@host"}}},
        {"data": {"source": "s3://key:S3CRET@bucket/a.csv"}},
        {"data": {"source": ["b.csv", "https://key:S3CRET@host/a.csv"]}},
        {"export": {"to": "s3://key:S3CRET@bucket/runs"}},
        {"export": {"s3": {"secret_access_key": "S3CRET"}}},
    ],
)
def test_secrets_are_refused_and_not_repeated(sections):
    with pytest.raises(RequestInvalid) as caught:
        load_config(sweep(**sections))
    assert "S3CRET" not in str(caught.value)
    assert "S3CRET" not in "".join(caught.value.problems)


def test_an_at_sign_in_a_path_is_no_secret():
    assert load_config(sweep(data={"source": "s3://bucket/a@b.csv"})).data.source == "s3://bucket/a@b.csv"
    assert str(load_config(sweep(data={"source": "a@b.csv"})).data.source).endswith("/a@b.csv")


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"data": {"weight": "y"}}, "weight and target are the same column"),
        ({"data": {"features": {"include": ["y"]}}}, "cannot predict itself"),
        ({"data": {"source": []}}, "data.source"),
        ({"split": {"parts": {"training": 0.9, "testing": 0.1, "validation": 0.0}}}, "split.parts.validation"),
        ({"split": {"folds": 0}}, "split.folds"),
        ({"search": {"seed": -1}}, "search.seed"),
        ({"export": {"top": 0}}, "export.top"),
        ({"name": "a b"}, "name"),
        ({"version": 2}, "version"),
    ],
)
def test_values_that_make_no_sense(sections, said):
    with pytest.raises(RequestInvalid) as caught:
        load_config(sweep(**sections))
    assert said in str(caught.value)


def test_proposed_lines_may_stand_in_the_sweep_file_as_they_are_printed():
    lines = "data.time: when\nsplit.kind: time\ndata.features.exclude: [a, b]\n"
    config = load_config({**sweep(), **read_yaml(lines, place="here")})
    assert (config.data.time, config.split.kind, config.data.features.exclude) == ("when", "time", ("a", "b"))


def test_a_value_given_both_ways_is_refused():
    twice = {**sweep(data={"source": "a.csv", "group": "x"}), "data.group": "y"}
    with pytest.raises(RequestInvalid, match=r"data\.group has a value already"):
        load_config(twice)
    with pytest.raises(RequestInvalid, match="name is a plain value"):
        load_config({**sweep(), "name": "x", "name.of": "y"})


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"split": {"kind": "time"}}, "data.time names no column"),
        ({"split": {"kind": "group"}}, "data.group names no column"),
        ({"split": {"kind": "random"}, "data": {"group": "g"}}, "split.kind is random"),
        ({"split": {"key": ["a"]}, "data": {"group": "g"}}, "give one of them"),
        ({"split": {"kind": "time", "folds": 3}, "data": {"time": "t"}}, "has no folds"),
        ({"split": {"kind": "time", "key": ["a"]}, "data": {"time": "t"}}, "not told apart by split.key"),
        ({"data": {"group": "late"}}, "the target or the weight"),
        (
            {"split": {"kind": "group+time"}, "data": {"time": "t"}},
            "kind is group.time, but data.group names no column",
        ),
        ({"split": {"kind": "group+time"}, "data": {"group": "g"}}, "but data.time names no column"),
        ({"split": {"kind": "time"}, "data": {"group": "g", "time": "t"}}, "say group or group.time"),
        ({"split": {"kind": "group+time", "folds": 2}, "data": {"group": "g", "time": "t"}}, "has no folds"),
        ({"split": {"kind": "column"}}, "split.column names no column"),
        ({"split": {"kind": "random", "column": "part"}}, "goes with split.kind: column alone"),
        ({"split": {"column": "part"}}, "goes with split.kind: column alone"),
        ({"split": {"kind": "column", "column": "late"}}, "has another role"),
        (
            {"split": {"kind": "column", "column": "p"}, "data": {"features": {"include": ["p"]}}},
            "which is split.column: it is no feature",
        ),
        (
            {"split": {"kind": "column", "column": "p"}, "data": {"prepare": [{"rule": "drop", "columns": ["p"]}]}},
            "read as it is in the source",
        ),
        ({"split": {"kind": "random", "embargo": "7d"}}, "split.embargo goes with split.kind: time or group.time"),
        ({"split": {"cuts": [1, 2]}}, "split.cuts goes with"),
        ({"split": {"kind": "time", "embargo": "7 days"}, "data": {"time": "t"}}, "write it as 7d"),
        ({"split": {"kind": "time", "embargo": 0}, "data": {"time": "t"}}, "a number over 0, not 0"),
        ({"split": {"kind": "time", "cuts": [2, 1]}, "data": {"time": "t"}}, "2.0 is not before 1.0"),
        ({"split": {"kind": "time", "cuts": [2, "2026-01-01"]}, "data": {"time": "t"}}, "both are dates"),
        ({"split": {"kind": "time", "cuts": ["2026-02-30", "x"]}, "data": {"time": "t"}}, "write a date as"),
        ({"split": {"kind": "time", "cuts": [2]}, "data": {"time": "t"}}, "split.cuts"),
    ],
)
def test_contradictions_of_a_split_are_refused(sections, said):
    data = {"source": "a.csv", "target": "late", **sections.get("data", {})}
    with pytest.raises(RequestInvalid, match=said):
        load_config({"version": 1, **sections, "data": data})


def test_cuts_may_be_pasted_as_yaml_reads_dates():
    text = "data.time: t\nsplit: {kind: time, embargo: 7d, cuts: [2026-01-01, 2026-02-01T12:30:00]}\n"
    config = load_config({**sweep(), **read_yaml(text, place="here")})
    assert config.split.cuts == ("2026-01-01", "2026-02-01T12:30:00")
    assert load_config(config).split == config.split


def test_what_orders_the_rows_is_not_prepared():
    data = {"source": "a.csv", "target": "y", "time": "when", "prepare": [{"rule": "drop", "columns": ["when"]}]}
    with pytest.raises(RequestInvalid, match="rows are split by it as it is in the source"):
        load_config({"version": 1, "data": data})
