"""A table with more rows than the search gets: what ships is fitted on all, checked on all, and can be done again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import raysweep
from builders import clean_table
from raysweep.reproduction.outcome import Outcome
from sweep_builders import quick_space, read_document, roughen, run_quietly, sweep_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict:
    table = tmp_path_factory.mktemp("table") / "table.parquet"
    roughen(clean_table(3_000, 4), 3).to_parquet(table, row_group_size=500)
    search = {
        "deterministic": True,
        "scheduler": "asha",
        "trials": 3,
        "rows": 600,
        "space": {
            "version": 1,
            "families": {"xgboost": {"params": {"max_depth": {"int": [2, 5]}}, "effort": {"rounds": 30}}},
        },
    }
    return sweep_keys(tmp_path_factory.mktemp("runs"), source=table, search=search, split={"folds": 1})


@pytest.fixture(scope="module")
def bundle(ray_session: None, keys: dict, plain_folder: Path) -> Path:
    return Path(run_quietly(keys).bundle_url)


def test_the_bundle_says_what_was_fitted_on_how_many_rows(bundle: Path):
    raysweep.verify(str(bundle))
    manifest = read_document(bundle, "manifest.json")
    parts = {name: part["rows"] for name, part in manifest["split"]["parts"].items()}
    sampled = manifest["split"]["sampled"]

    assert sum(parts.values()) > 2_900
    assert manifest["split"]["sample_rows"] == 600
    assert sum(sampled.values()) == pytest.approx(600, abs=5)
    assert manifest["search"]["part"] == f"testing (a sample of {sampled['testing']:,} of {parts['testing']:,} rows)"
    assert manifest["model"]["fitted_on"] == "all training+testing"
    assert manifest["model"]["fitted_rows"] == parts["training"] + parts["testing"]
    assert manifest["final_check"]["rows"] == parts["validation"], "the whole validation part"
    assert manifest["final_check"]["checked"] == "all training+testing"
    best = read_document(bundle, "best/01/params.json")
    assert (best["fitted_on"], best["fitted_rows"]) == ("sampled training", sampled["training"])
    assert "training rows of the search" in (bundle / "report.html").read_text(encoding="utf-8")


def test_the_signature_knows_what_all_rows_hold(bundle: Path, keys: dict):
    import pandas as pd

    frame = pd.read_parquet(keys["data"]["source"])
    inputs = {one["name"]: one for one in read_document(bundle, "manifest.json")["signature"]["inputs"]}

    assert len(inputs["city"]["categories"]) == frame["city"].nunique()
    assert inputs["age"]["high"] <= frame["age"].max()


def test_the_split_is_that_of_a_search_with_all_rows(bundle: Path, keys: dict, tmp_path: Path):
    whole = {**keys, "search": {**keys["search"], "rows": "all", "trials": 1}, "export": {"to": str(tmp_path)}}
    other = Path(run_quietly(whole).bundle_url)
    ours, theirs = (read_document(one, "manifest.json")["split"] for one in (bundle, other))

    assert ours["parts"] == theirs["parts"]
    assert theirs["sample_rows"] is None


def test_it_is_reproduced(bundle: Path):
    found = raysweep.reproduce(bundle)

    assert [one.what for stage in found.stages for one in stage.differing] == []
    assert found.outcome is Outcome.IDENTICAL


def test_it_goes_on_with_the_same_sample_and_several_workers(bundle: Path):
    resumed = raysweep.resume(bundle, overrides=["search.trials=5", "search.trial.workers=2"])
    manifest = read_document(Path(resumed.bundle_url), "manifest.json")

    assert manifest["split"]["sampled"] == read_document(bundle, "manifest.json")["split"]["sampled"]
    assert manifest["model"]["fitted_on"] == "all training+testing"
    assert sum(manifest["search"]["trials_by_state"].values()) == 5


def test_a_family_that_takes_no_blocks_ships_a_fit_on_the_sample(keys: dict, tmp_path: Path, ray_session: None):
    space = quick_space(["logistic_regression"])
    search = {**keys["search"], "space": space, "trials": 1}
    result = run_quietly({**keys, "search": search, "export": {"to": str(tmp_path)}})
    manifest = json.loads((Path(result.bundle_url) / "manifest.json").read_bytes())

    assert manifest["model"]["fitted_on"] == "sampled training+testing"
    assert manifest["model"]["fitted_rows"] == sum(manifest["split"]["sampled"].values())
