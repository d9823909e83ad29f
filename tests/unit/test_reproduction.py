"""Outcomes, the order of stages, and what is compared: without a sweep."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from builders import sweep_config
from raysweep.records.manifest import PartRecord, SplitRecord
from raysweep.reproduction.apart import Apart, how_far, predicted
from raysweep.reproduction.compare import compare_splits
from raysweep.reproduction.compare_asked import compare_environment, compare_requests
from raysweep.reproduction.model_state import differing_files
from raysweep.reproduction.outcome import (
    TOLERANCE,
    Compared,
    Measured,
    Outcome,
    Reproduction,
    StageCompared,
    StageName,
    in_order,
)
from raysweep.reproduction.search_again import compare_trials
from raysweep.training.trusted import write_skops

SAME = Measured(gap=0.0, score=0.8, score_then=0.8, low=0.75, high=0.85, same_rows=True)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.IDENTICAL),
        ({"score": math.nan, "score_then": math.nan}, Outcome.IDENTICAL),
        ({"gap": None}, Outcome.IDENTICAL),  # no model is published
        ({"further_same": False}, Outcome.EQUIVALENT),
        ({"gap": 1e-7, "score": 0.8001}, Outcome.EQUIVALENT),
        ({"gap": 1e-7, "score": 0.8001, "same_rows": False}, Outcome.STATISTICALLY_THE_SAME),
        ({"score": 0.8001, "same_rows": False}, Outcome.STATISTICALLY_THE_SAME),
        ({"gap": 1.1e-6, "score": 0.8}, Outcome.STATISTICALLY_THE_SAME),
        ({"score": 0.999, "score_then": 0.8}, Outcome.DIFFERENT),  # one of the two scores was not measured
        ({"gap": 0.3, "score": 0.75}, Outcome.STATISTICALLY_THE_SAME),
        ({"gap": 0.3, "score": 0.7499}, Outcome.DIFFERENT),
        ({"gap": 0.3, "score": 0.8501}, Outcome.DIFFERENT),
        ({"gap": 0.3, "score": math.nan}, Outcome.DIFFERENT),
        ({"gap": math.nan, "score": math.nan}, Outcome.DIFFERENT),
        ({"gap": 0.3, "low": math.nan, "high": math.nan}, Outcome.DIFFERENT),
        ({"gap": None, "score": 0.81}, Outcome.STATISTICALLY_THE_SAME),
    ],
)
def test_outcome(changes, outcome):
    assert replace(SAME, **changes).judged() is outcome


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_a_score_is_near_by_the_width_of_its_interval(size):
    then = replace(SAME, gap=1e-7, score_then=0.8 * size, low=0.75 * size, high=0.85 * size, same_rows=False)
    assert replace(then, score=(0.8 + 5e-8) * size).judged() is Outcome.EQUIVALENT
    assert replace(then, score=0.81 * size).judged() is Outcome.STATISTICALLY_THE_SAME
    assert replace(then, score=0.9 * size).judged() is Outcome.DIFFERENT
    without = replace(then, low=0.8 * size, high=0.8 * size)
    assert replace(without, score=(0.8 + 5e-8) * size).judged() is Outcome.EQUIVALENT
    assert replace(without, score=0.81 * size).judged() is Outcome.DIFFERENT


@pytest.mark.parametrize(("size", "offset"), [(1e-8, 0.0), (1.0, 0.0), (1.0, 1e6), (1e8, -1e12)])
def test_models_of_small_and_of_offset_targets_are_told_apart(size, offset):
    rng = np.random.default_rng(2)
    then, unrelated = (rng.normal(size=200) * size + offset for _ in range(2))
    assert how_far(then, unrelated, 200).gap > 0.1
    near = how_far(then, then + 1e-8 * size * (offset == 0), 200).gap
    assert near < TOLERANCE
    assert how_far(then, then.copy(), 200) == Apart(200, 0.0)


def test_rows_that_one_of_two_models_cannot_take():
    def refusing(features):
        raise ValueError(f"{features.num_rows} are too few")

    rows, found = pa.table({"age": [1, 2]}), np.ones(2)
    lacking = predicted("the published model", refusing, ["city", "age"], rows)
    assert lacking == "without 'city', which the published model needs"
    refused = predicted("the model fitted here", refusing, ["age"], rows)
    assert refused == "the model fitted here cannot take these rows: 2 are too few"
    assert how_far(lacking, found, 2) == Apart(2, math.inf, lacking)
    assert how_far(found, refused, 2) == Apart(2, math.inf, refused)
    assert how_far(found, np.array([1, np.nan]), 2).gap == math.inf


def stage(name, *, same=True):
    return StageCompared(name, (Compared("what", 1, 1 if same else 2, same), Compared.told("told", 1, 2)))


def reproduction(*stages, stopped="", outcome=Outcome.IDENTICAL):
    return Reproduction("url", outcome, in_order(stages, list(StageName), stopped))


def test_what_is_told_is_no_difference():
    found = reproduction(*(stage(name) for name in StageName))
    assert found.first_difference is None
    assert found.sentence == "identical: every stage is as it was"
    assert found.exit_code == 0


def test_the_first_in_the_order_of_stages_is_named():
    differing = {StageName.MODEL, StageName.ENVIRONMENT, StageName.PREDICTIONS}
    found = reproduction(*(stage(name, same=name not in differing) for name in reversed(StageName)))
    assert found.first_difference == "environment"
    assert found.differing == ("environment", "model", "predictions")
    assert found.sentence.startswith("identical; the first stage that differs is environment: what 1 then, 2 now")


def test_what_was_not_reached_follows_from_what_differs():
    reached = [stage(StageName.ENVIRONMENT), stage(StageName.DATA), stage(StageName.CHECKS, same=False)]
    found = reproduction(*reached, stopped="the data are unsuitable", outcome=Outcome.DIFFERENT)
    assert found.first_difference == "checks"
    assert "split" in found.differing
    assert found.exit_code == 8


def test_where_nothing_differs_the_first_that_was_not_reached_is_named():
    reached = [stage(name) for name in list(StageName)[:6]]
    found = reproduction(*reached, stopped="it cannot be fitted", outcome=Outcome.DIFFERENT)
    assert found.first_difference == "model"
    assert found.sentence.endswith("model: it cannot be fitted")


def test_what_a_stage_was_compared_by_comes_together():
    found = in_order([stage(StageName.DATA), stage(StageName.DATA, same=False)], [StageName.DATA])
    assert len(found[0].compared) == 4
    assert not found[0].same


def test_document():
    document = reproduction(stage(StageName.DATA, same=False), stopped="no table").to_document()
    assert document["first_difference"] == "data"
    assert document["stages"][1]["compared"][0] == {"what": "what", "then": 1, "now": 2, "same": False}
    assert document["stages"][0]["not_reached"] == "no table"


ENVIRONMENT = {
    "python": "3.11.7",
    "implementation": "cpython",
    "machine": "x86_64",
    "platform": "Linux-1",
    "cpus": 2,
    "packages": {"scipy": "1.17.1", "optuna": "5.0.0"},
}


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({}, []),
        ({"platform": "Linux-2", "cpus": 64}, []),
        ({"python": "3.11.8"}, ["python"]),
        ({"machine": "aarch64"}, ["machine"]),
        ({"packages": {"scipy": "1.18.0", "optuna": "5.0.0"}}, ["scipy"]),
        ({"packages": {"scipy": "1.17.1"}}, ["optuna"]),
        ({"packages": {**ENVIRONMENT["packages"], "more": "1"}}, []),
    ],
)
def test_environment(changes, differing):
    found = compare_environment(ENVIRONMENT, {**ENVIRONMENT, **changes})
    assert [one.what for one in found.differing] == differing


def test_what_is_asked_otherwise_belongs_to_its_stage():
    then = sweep_config()
    found = compare_requests(then, sweep_config(search={"seed": 3}, split={"seed": 2}, group="city"))
    assert [(one.stage, one.compared[0].what) for one in found] == [
        (StageName.DATA, "asked: data.group"),
        (StageName.SEARCH, "asked: search.seed"),
        (StageName.SPLIT, "asked: split.seed"),
    ]


def test_where_the_table_lies_is_no_difference():
    moved = sweep_config().model_dump(mode="json", by_alias=True)
    moved["data"]["source"] = "elsewhere.parquet"
    moved["export"]["to"] = "elsewhere/"
    assert compare_requests(sweep_config(), type(sweep_config()).model_validate(moved)) == ()


def split_of(**changes):
    parts = {name: PartRecord(rows=10, digest=name * 3) for name in ("training", "testing", "validation")}
    return SplitRecord(
        **{"kind": "random", "seed": 0, "key": ("a",), "parts": parts, "folds": 1, "keys_shared": 0, **changes}
    )


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({}, []),
        ({"seed": 1}, ["seed"]),
        ({"left_out": {"no target": 2}}, ["rows in no part"]),
        ({"left_out": {"no target": 0}}, []),
        ({"parts": {**split_of().parts, "testing": PartRecord(rows=10, digest="other")}}, ["sha256 of testing keys"]),
        ({"parts": {**split_of().parts, "training": PartRecord(rows=9, digest="training" * 3)}}, ["training rows"]),
        ({"cuts": ("2026-01-01",)}, ["cuts"]),
    ],
)
def test_split(changes, differing):
    assert [one.what for one in compare_splits(split_of(), split_of(**changes)).differing] == differing


def test_trials():
    then = {0: ("a", 1, "complete", (0.5, 0.6)), 1: ("b", 2, "pruned", (0.4,))}
    assert all(one.same for one in compare_trials(then, dict(then)))
    other = {**then, 1: ("b", 2, "pruned", (0.4000000001,))}
    (differing,) = [one for one in compare_trials(then, other) if not one.same]
    assert differing.what == "trial 1, the first of 1 that differ"
    assert not compare_trials(then, {0: then[0]})[0].same


@pytest.fixture
def fitted(tmp_path):
    def write(name, *, shift=0.0):
        folder = tmp_path / name
        folder.mkdir()
        X = np.arange(20.0).reshape(10, 2) + shift
        write_skops(LogisticRegression().fit(X, np.arange(10) % 2), folder / "model.skops")
        (folder / "model.ubj").write_bytes(b"trees")
        return folder

    return write


def test_two_writings_of_one_state_are_the_same(fitted):
    one, other = fitted("one"), fitted("other")
    assert differing_files(one, other) == ()


def test_another_state_is_told_from_another_writing(fitted):
    one, other = fitted("one"), fitted("other", shift=1e-3)
    assert differing_files(one, other) == ("model.skops",)


def test_native_files_are_compared_byte_by_byte(fitted):
    one, other = fitted("one"), fitted("other")
    (other / "model.ubj").write_bytes(b"Trees")
    (one / "prepare.json").write_text("{}")
    assert differing_files(one, other) == ("model.ubj", "prepare.json")
