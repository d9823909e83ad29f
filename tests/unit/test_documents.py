"""Documents name every problem at once, each with the path that its owner knows, and refuse what is ambiguous."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from raysweep.config import SweepConfig
from raysweep.documents import canonical_json, digest, parse_document, plain_record, read_yaml, read_yaml_file, set_path
from raysweep.errors import NotFound, RequestInvalid
from raysweep.space import SearchSpace


def problems_of(model, values):
    with pytest.raises(RequestInvalid) as caught:
        parse_document(model, values, place="here")
    for problem in caught.value.problems:
        assert problem in str(caught.value)
    return caught.value.problems


def test_every_problem_of_a_sweep_with_its_path():
    problems = problems_of(
        SweepConfig,
        {
            "version": 1,
            "data": {"source": "a.csv", "task": "binry", "features": {"include": ["a", 5]}},
            "split": {"folds": "autoo", "parts": {"training": 0.5}},
            "serch": {},
            "search": {"trails": 3, "trials": "20", "trial": {"cpus": 0}},
        },
    )
    assert (
        "data.task: input should be 'binary', 'multiclass' or 'regression', not \"binry\", did you mean 'binary'?"
        in problems
    )
    assert "data.features.include[1]: input should be a valid string, not 5" in problems
    assert "search.trails: unknown key, did you mean 'trials'?" in problems
    assert "serch: unknown key, did you mean 'search'?" in problems
    assert 'search.trials: input should be a valid integer, not "20"' in problems
    assert "search.trial.cpus: input should be greater than or equal to 1, not 0" in problems
    assert "split.parts: training, testing and validation must add up to 1, not 0.9" in problems
    assert {problem.partition(":")[0] for problem in problems if "autoo" in problem} == {"split.folds"}


def test_paths_below_mappings_and_below_fields_called_int():
    problems = problems_of(
        SearchSpace,
        {
            "version": 1,
            "families": {
                "xgboost": {
                    "parms": {},
                    "params": {"a": {"int": [3, "x"]}, "b": {"flot": [1, 2]}},
                    "start": [{"a": []}],
                }
            },
        },
    )
    assert 'families.xgboost.params.a.int[1]: input should be a valid integer, not "x"' in problems
    assert "families.xgboost.params.b.flot: unknown key, did you mean 'float'?" in problems
    assert "families.xgboost.parms: unknown key, did you mean 'params'?" in problems
    assert any(problem.startswith("families.xgboost.start[0].a: ") for problem in problems)


def test_what_is_missing_and_what_is_no_number():
    assert problems_of(SweepConfig, {"version": 1, "data": {}}) == ("data.source: is missing",)
    values = {"version": 1, "data": {"source": "a"}, "search": {"stop": {"score": math.nan}}}
    assert problems_of(SweepConfig, values) == ("search.stop.score: input should be a finite number, not NaN",)


def test_more_problems_than_fit_on_a_screen():
    values = {"version": 1, "data": {"source": "a"}} | {f"key{number}": 1 for number in range(50)}
    with pytest.raises(RequestInvalid, match=r"50 problems:(.|\n)* and 30 more") as caught:
        parse_document(SweepConfig, values, place="here")
    assert len(caught.value.problems) == 50


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "the key 'a' stands here twice at line 3"),
        ("s:\n  a: 1\n  a: 1", "the key 'a' stands here twice at line 3"),
        ("- 1", "holds a list"),
        ("", "holds nothing"),
        ("# only a comment", "holds nothing"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("? [1]\n: 2", "a key must be a plain value"),
        ("a: 2020-13-45", "month must be in 1..12"),
        ("a: " + "[" * 1_000, "not valid YAML"),
    ],
)
def test_yaml_that_is_refused(text, said):
    with pytest.raises(RequestInvalid) as caught:
        read_yaml(text, place="sweep.yaml")
    assert said in str(caught.value)
    assert "sweep.yaml" in str(caught.value)


def test_numbers_with_exponents_are_numbers():
    read = read_yaml("a: 1e-3\nb: 1E5\nc: -2e+3\nd: 1.5e3\ne: '1e-3'\nf: 1e\ng: e3", place="f")
    assert read == {"a": 0.001, "b": 1e5, "c": -2000.0, "d": 1500.0, "e": "1e-3", "f": "1e", "g": "e3"}


def test_anchors_and_merges_are_read():
    assert read_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}", place="f")["c"] == {"b": 1, "d": 2}


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("search.trials=20", {"search": {"trials": 20, "seed": 1}}),
        ("search.stop.seconds=1e-3", {"search": {"seed": 1, "stop": {"seconds": 0.001}}}),
        ("checks.set.col.missing.warn=0.4", {"search": {"seed": 1}, "checks": {"set": {"col.missing": {"warn": 0.4}}}}),
        (
            "checks.set.col.missing={warn: 0.4}",
            {"search": {"seed": 1}, "checks": {"set": {"col.missing": {"warn": 0.4}}}},
        ),
        ("name=a=b", {"search": {"seed": 1}, "name": "a=b"}),
        ("search.seed=", {"search": {"seed": None}}),
        ("data.source=[a, b]", {"search": {"seed": 1}, "data": {"source": ["a", "b"]}}),
    ],
)
def test_set_path(assignment, expected):
    before = {"search": {"seed": 1}}
    assert set_path(before, assignment) == expected
    assert before == {"search": {"seed": 1}}


@pytest.mark.parametrize(
    "assignment", ["search.trials", "=1", "search..trials=1", ".=1", "search.seed.x=1", "a=[", "a=2020-13-45"]
)
def test_set_path_refuses(assignment):
    with pytest.raises(RequestInvalid, match="--set"):
        set_path({"search": {"seed": 1}}, assignment)


def test_files_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "sweep.yaml").write_text("version: 1\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NotFound, match=r"did you mean 'sweep.yaml'"):
        read_yaml_file(tmp_path / "sweap.yaml")
    with pytest.raises(NotFound, match="nor a folder"):
        read_yaml_file(tmp_path / "absent" / "sweep.yaml")
    with pytest.raises(RequestInvalid, match="not a text file"):
        read_yaml_file(tmp_path / "binary.yaml")
    with pytest.raises(RequestInvalid, match="cannot be read"):
        read_yaml_file(tmp_path)


def test_one_byte_sequence_and_one_digest_for_a_value():
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert len({digest({"a": value}) for value in (1, 1.0, True, "1", None)}) == 5
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(math.inf)


def test_records_become_plain_values():
    assert plain_record({1: (math.nan, math.inf, 2.5), "task": SearchSpace}) == {
        "1": [None, None, 2.5],
        "task": SearchSpace,
    }
