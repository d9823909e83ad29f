"""A bundle is carried out again: identical where nothing has changed, and what has changed is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

import raysweep
from builders import clean_table
from own_estimators import Shrunk
from raysweep.errors import BundleRefused, DataUnsuitable, NoTrialFinished, RequestInvalid
from raysweep.reproduction.outcome import Outcome
from raysweep.training import families as registry
from sealing import reseal
from sweep_builders import (
    RANDOM_ONE_SLOT,
    bundle_files,
    quick_space,
    read_document,
    roughen,
    run_quietly,
    sweep_keys,
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    roughen(clean_table(450, 4), 3).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def good(ray_session: None, table: Path, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path) -> Path:
    """A deterministic search on a testing part; the winner draws random rows for each tree."""
    space = {"version": 1, "families": {"xgboost": {"params": {"max_depth": {"int": [2, 5]}}}}}
    space["families"]["xgboost"] |= {"fixed": {"subsample": 0.7}, "effort": {"rounds": 12}}
    search = {"deterministic": True, "scheduler": "asha", "trials": 5, "space": space}
    keys = sweep_keys(tmp_path_factory.mktemp("runs"), source=table, search=search, split={"folds": 1})
    return Path(run_quietly(keys).bundle_url)


@pytest.fixture
def bundle(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "bundle")


def differing(found: raysweep.Reproduction) -> set[str]:
    return {one.what for stage in found.stages for one in stage.differing}


def test_the_same_machine_gives_the_same(good: Path):
    before, ledger = bundle_files(good), sorted((good.parent / ".raysweep").rglob("*"))
    found = raysweep.reproduce(good)
    assert (found.outcome, found.first_difference, found.exit_code) == (Outcome.IDENTICAL, None, 0)
    assert all(stage.compared for stage in found.stages)
    assert bundle_files(good) == before
    assert sorted((good.parent / ".raysweep").rglob("*")) == ledger, "no new use of the validation rows"
    assert [one.name for one in good.parent.iterdir() if one.name != ".raysweep"] == [good.name]


def test_the_table_elsewhere_and_in_another_order(good: Path, table: Path, tmp_path: Path):
    frame = pd.read_parquet(table)
    frame.sample(frac=1.0, random_state=1).to_csv(tmp_path / "moved.csv", index=False)
    assert raysweep.reproduce(good, tmp_path / "moved.csv").first_difference is None
    assert raysweep.reproduce(good, frame).first_difference is None


def test_one_changed_value_is_the_data(good: Path, table: Path):
    frame = pd.read_parquet(table)
    frame.loc[7, "amount"] += 1e-9
    found = raysweep.reproduce(good, frame)
    assert found.first_difference == "data"
    assert {"sha256 of all rows", "statistics of columns"} <= differing(found)
    assert "differ in amount" in found.sentence
    flipped = pd.read_parquet(table)
    flipped.loc[7, "target"] = 1 - flipped.loc[7, "target"]
    found = raysweep.reproduce(good, flipped)
    assert found.first_difference == "data"
    assert "differ in target" in found.sentence


def test_a_column_that_the_published_model_needs_is_named(good: Path, table: Path):
    found = raysweep.reproduce(good, pd.read_parquet(table).drop(columns="city"))
    assert found.first_difference == "data"
    (said,) = [one.now for stage in found.stages for one in stage.differing if "that it was fitted on" in one.what]
    assert said == "without 'city', which the published model needs"


@pytest.mark.parametrize(
    ("asked", "stage", "what"),
    [
        ("split.seed=1", "split", "sha256 of validation keys"),
        ("search.seed=1", "search", "winner's seed"),
        ("confirm.refit=training", "model", "fitted on"),
        ("checks.preset=strict", "checks", "findings"),
        ("data.features.exclude=[city]", "data", "inputs"),
    ],
)
def test_what_is_asked_otherwise_is_named(good: Path, asked: str, stage: str, what: str):
    found = raysweep.reproduce(good, overrides=[asked])
    assert found.first_difference == stage
    assert {what, f"asked: {asked.partition('=')[0]}"} <= differing(found)


def test_another_seed_is_another_model_of_the_same_worth(good: Path):
    found = raysweep.reproduce(good, overrides=["search.seed=1"])
    assert (found.outcome, found.exit_code) == (Outcome.STATISTICALLY_THE_SAME, 0)
    assert {"predictions", "model"} <= set(found.differing)
    assert "state" in differing(found)
    assert "gain over the published model, paired bootstrap" in [one.what for one in found.stages[-1].compared]


def test_another_version_of_a_package_is_the_environment(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a folder made by `pip install --target` is found first on the path."""
    overlay = tmp_path / "overlay" / "scipy-1.0.1.dist-info"
    overlay.mkdir(parents=True)
    (overlay / "METADATA").write_text("Metadata-Version: 2.1\nName: scipy\nVersion: 1.0.1\n")
    monkeypatch.syspath_prepend(str(overlay.parent))
    found = raysweep.reproduce(good)
    assert (found.outcome, found.first_difference) == (Outcome.IDENTICAL, "environment")
    assert differing(found) == {"scipy"}
    assert "1.0.1 now" in found.sentence


def test_a_config_that_was_changed_and_sealed_again_is_named(bundle: Path):
    path = bundle / "config/sweep.yaml"
    config = yaml.safe_load(path.read_text())
    config["split"]["seed"] = 5
    path.write_text(yaml.safe_dump(config))
    reseal(bundle)
    found = raysweep.reproduce(bundle)
    assert found.first_difference == "split"
    assert "seed" in differing(found)


def test_a_score_that_was_changed_and_sealed_again_is_different(bundle: Path):
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["final_check"] |= {"score": 0.999, "low": 0.998, "high": 1.0}
    path.write_text(json.dumps(manifest))
    reseal(bundle)
    found = raysweep.reproduce(bundle)
    assert (found.outcome, found.first_difference, found.exit_code) == (Outcome.DIFFERENT, "final check", 8)


def test_a_bundle_that_does_not_verify_is_refused(bundle: Path, command):
    (bundle / "model/model.ubj").write_bytes(b"other trees")
    ran = command("reproduce", bundle)
    assert ran.code == 8
    assert "model/model.ubj" in ran.err


def test_the_command_line(good: Path, command):
    ran = command("reproduce", good, "--set", "search.seed=1")
    assert ran.code == 0
    assert "statistically the same; the first stage that differs is search" in ran.out
    ran = command("reproduce", good, "--json")
    assert (json.loads(ran.out)["outcome"], ran.code) == ("identical", 0)
    ran = command("reproduce", good, "--data", "nowhere.parquet")
    assert ran.code == 2
    assert "--data: there is no" in ran.err
    assert "nowhere.parquet" in ran.err


def test_an_unknown_key_and_a_fit_that_no_machine_can_carry(good: Path):
    with pytest.raises(RequestInvalid, match=r"^--set search\.sed: search\.sed: .*did you mean 'seed'"):
        raysweep.reproduce(good, overrides=["search.sed=1"])
    with pytest.raises(RequestInvalid, match=r"^--set search\.trials: write it as"):
        raysweep.reproduce(good, overrides=["search.trials"])
    with pytest.raises(raysweep.RayUnavailable, match="999 cores"):
        raysweep.reproduce(good, overrides=["search.trial.cpus=999"])


def test_rows_that_make_no_model_are_named(good: Path, table: Path):
    frame = pd.read_parquet(table).assign(target=1)
    found = raysweep.reproduce(good, frame)
    assert (found.outcome, found.first_difference, found.exit_code) == (Outcome.DIFFERENT, "data", 8)
    assert "unsuitable" in found.stages[-1].not_reached


RULES = [
    {"rule": "date_parts", "columns": ["joined"], "parts": ["year", "days"]},
    {"rule": "drop", "columns": ["visits"]},
]


@pytest.fixture
def shrunk() -> Iterator[None]:
    raysweep.register_family("shrunk", regressor=Shrunk, defaults={"shrinkage": 0.1})
    yield
    registry._registered.clear()


def test_an_own_family_cross_validated_in_memory(ray_session: None, tmp_path: Path, shrunk: None):
    frame = clean_table(400, 8, "regression")
    keys = sweep_keys(
        tmp_path,
        data={"prepare": [*RULES, {"rule": "clip", "columns": ["amount"], "low_quantile": 0.02}]},
        search={**RANDOM_ONE_SLOT, "trials": 1, "space": {"version": 1, "families": {"shrunk": {}}}},
        confirm={"refit": "training"},
    )
    bundle = run_quietly(keys, frame).bundle_url
    assert read_document(Path(bundle), "manifest.json")["split"]["folds"] > 1
    found = raysweep.reproduce(bundle, frame)
    assert (found.outcome, found.first_difference) == (Outcome.IDENTICAL, None)
    with pytest.raises(RequestInvalid, match="held in memory"):
        raysweep.reproduce(bundle)
    with pytest.raises(RequestInvalid, match="deterministic"):
        raysweep.reproduce(bundle, frame, search=True)
    registry._registered.clear()
    with pytest.raises(BundleRefused, match="register_family"):
        raysweep.reproduce(bundle, frame)


def test_a_sweep_without_a_finished_trial_fails_again(ray_session: None, tmp_path: Path, shrunk: None):
    frame = clean_table(300, 8, "regression")
    space = {"version": 1, "families": {"shrunk": {"fixed": {"shrinkage": "no number"}}}}
    keys = sweep_keys(tmp_path, data={"prepare": RULES}, search={**RANDOM_ONE_SLOT, "trials": 1, "space": space})
    with pytest.raises(NoTrialFinished) as error:
        run_quietly(keys, frame)
    found = raysweep.reproduce(error.value.bundle_url, frame)
    assert (found.outcome, found.first_difference, found.exit_code) == (Outcome.IDENTICAL, None, 0)
    assert found.stages[-1].stage == "preparation"
    found = raysweep.reproduce(error.value.bundle_url, frame.drop(columns="visits").assign(visits=frame["city"]))
    assert (found.outcome, found.first_difference, found.exit_code) == (Outcome.DIFFERENT, "data", 8)
    assert "names and types of columns" in differing(found), "also of those that a rule drops"


def test_unsuitable_data_are_unsuitable_again(ray_session: None, tmp_path: Path):
    frame = clean_table(300, 8).assign(leak=lambda one: one["target"])
    keys = sweep_keys(tmp_path, search={"space": quick_space(["xgboost"])})
    with pytest.raises(DataUnsuitable) as error:
        run_quietly(keys, frame)
    found = raysweep.reproduce(error.value.bundle_url, frame)
    assert (found.outcome, found.first_difference) == (Outcome.IDENTICAL, None)
    assert found.stages[-1].stage == "checks"
    found = raysweep.reproduce(error.value.bundle_url, frame.drop(columns="leak"))
    assert (found.outcome, found.first_difference) == (Outcome.DIFFERENT, "data")
