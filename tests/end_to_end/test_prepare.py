"""Rules that prepare columns, through all seven stages: the published model does to raw rows what the sweep did."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import raysweep
from builders import clean_table
from raysweep.bundle.inputs import features_of
from raysweep.errors import BundleRefused, DataUnsuitable, RequestInvalid
from raysweep.records.table import ColumnKind
from raysweep.sweep import Sweep
from sweep_builders import quick_space, read_document, run_quietly, sweep_keys

RULES: list[dict[str, Any]] = [
    {"rule": "to_null", "columns": ["age", "seen"], "values": [-999, "31.12.9999 00:00"]},
    {"rule": "to_number", "columns": ["price €"], "thousands": ",", "strip": "$€ "},
    {"rule": "clip", "columns": ["price €", "age"], "low": 0, "high_quantile": 0.95},
    {"rule": "normalize_text", "columns": ["plan"]},
    {"rule": "group_rare", "columns": ["city", "plan"], "below": 0.125},
    {"rule": "to_date", "columns": ["seen"], "format": "%d.%m.%Y %H:%M"},
    {"rule": "date_parts", "columns": ["seen", "joined"], "parts": ["year", "month", "weekday", "days"]},
    {"rule": "drop", "columns": ["visits"]},
]
INPUTS = ["age", "balance", "city", "plan", "member", "joined", "price €", "seen"]


def raw_table(rows: int = 700, seed: int = 3) -> pd.DataFrame:
    """The clean table as people write it down: sentinels, money as text, dates as text, words in any case."""
    rng = np.random.default_rng(seed)
    frame = clean_table(rows, seed)
    prices = [None if number % 50 == 0 else f"${amount * 100:,.2f} " for number, amount in enumerate(frame["amount"])]
    seen = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 600_000, rows), unit="min")
    plans = frame["plan"].astype(object).where(rng.random(rows) < 0.5, frame["plan"].str.upper() + " ")
    return frame.drop(columns="amount").assign(
        age=frame["age"].where(rng.random(rows) < 0.9, -999),
        plan=plans.where(frame["plan"].notna(), None),
        **{"price €": prices},
        seen=np.where(rng.random(rows) < 0.1, "31.12.9999 00:00", seen.strftime("%d.%m.%Y %H:%M")),
    )


@dataclass(frozen=True)
class Done:
    frame: pd.DataFrame
    sweep: Sweep
    folder: Path


def sweep_of(to: Path, frame: pd.DataFrame, prepare: list[dict[str, Any]], **sections: Any) -> Sweep:
    search = {"space": quick_space(["xgboost", "logistic_regression"]), "trials": 4, "algorithm": "random"}
    return run_quietly(sweep_keys(to, data={"prepare": prepare}, search=search, **sections), frame)


@pytest.fixture(scope="module", params=[5, 1], ids=["folds", "one cut"])
def done(
    request: pytest.FixtureRequest, ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path
) -> Done:
    frame = raw_table()
    sweep = sweep_of(tmp_path_factory.mktemp("runs"), frame, RULES, split={"folds": request.param})
    return Done(frame, sweep, Path(sweep.bundle_url))


def test_the_published_model_predicts_from_raw_rows_as_the_sweep_did(done: Done):
    model = raysweep.load_model(str(done.folder))
    pipeline = done.sweep.confirmed.shipped.learner
    raw = done.sweep.confirmed.training.features
    assert raw.column_names == INPUTS
    found = model.predict_proba(raw)
    assert found.tobytes() == pipeline.predict(raw).tobytes()
    again = model.predict_proba(raw.to_pandas())
    assert again.tobytes() == found.tobytes()
    rows = model.predict_proba(done.frame[reversed(done.frame.columns)])
    assert rows.tobytes() == pipeline.predict(features_of(done.frame, model.signature)).tobytes()
    assert len(np.unique(rows[:, 1])) > 50


def test_the_search_scored_what_ships(done: Done):
    best = done.sweep.confirmed.best[0]
    raw = done.sweep.confirmed.training.features
    loaded = json.loads((done.folder / "best/01/model/prepare.json").read_text())
    assert loaded["states"][2]["bounds"].keys() == {"price €", "age"}
    high = best.learner.preparation.states[2].bounds["price €"][1]
    prices = [float(text.strip(" $").replace(",", "")) for text in raw.column("price €").to_pylist() if text]
    assert high == np.quantile(np.maximum(prices, 0), 0.95)


def test_the_bundle_is_whole_and_its_golden_rows_are_raw(done: Done):
    verification = raysweep.verify(str(done.folder))
    assert verification.problems == ()
    golden = pq.read_table(done.folder / "golden.parquet").column("features").combine_chunks()
    assert [field.name for field in golden.type] == INPUTS
    assert any(row["age"] == -999 for row in golden.to_pylist())


def test_the_manifest_says_rules_and_raw_inputs(done: Done):
    manifest = read_document(done.folder, "manifest.json")
    assert [one["name"] for one in manifest["signature"]["inputs"]] == INPUTS
    assert {one["name"]: one["kind"] for one in manifest["signature"]["inputs"]}["price €"] == "string"
    assert [rule["rule"] for rule in manifest["data"]["prepare"]] == [rule["rule"] for rule in RULES]
    assert manifest["data"]["prepare"][7] == RULES[7]
    assert manifest["model"]["prepare_sha256"] == done.sweep.confirmed.shipped.learner.preparation.digest
    assert "model/prepare.json" in manifest["model"]["files"]


def test_profile_and_checks_see_prepared_columns(done: Done):
    profile, task = done.sweep.examined.profile, done.sweep.examined.check.task
    names = [column.name for column in profile.columns]
    assert names[:5] == ["age", "balance", "city", "plan", "member"]
    assert "visits" not in names
    assert (profile.column("age").minimum, profile.column("age").nulls > 30) == (18, True)
    assert profile.column("price €").kind is ColumnKind.NUMBER
    assert profile.column("seen.year").maximum == 2024
    assert {label for label, _ in profile.column("plan").values} == {"basic", "plus", "pro"}  # noqa: PD011
    assert {column.name for column in task.features} <= set(names)
    assert {"seen.weekday", "joined.days"} <= {column.name for column in task.features}


def test_rows_and_parts_are_those_of_the_raw_table(done: Done, tmp_path: Path):
    plain = sweep_of(tmp_path, done.frame, [], split={"folds": done.sweep.split.folds})
    assert plain.examined.profile.row_digest == done.sweep.examined.profile.row_digest
    assert plain.examined.profile.duplicate_rows == done.sweep.examined.profile.duplicate_rows
    assert plain.split.parts == done.sweep.split.parts
    assert not (Path(plain.bundle_url) / "model/prepare.json").exists()
    assert read_document(Path(plain.bundle_url), "manifest.json")["model"]["prepare_sha256"] is None


def test_rows_that_cannot_be_prepared_are_refused_by_the_model(done: Done):
    model = raysweep.load_model(str(done.folder))
    bad = done.frame.head(5).assign(**{"price €": ["1", "cheap", "2", None, "dear"]})
    with pytest.raises(RequestInvalid, match=r"2 of 5 rows of the column 'price €' .* such as 'cheap'"):
        model.predict(bad)
    odd = done.frame.head(5).assign(city="Ōsaka", plan="gold", seen=None, age=1e9)
    assert model.unseen_categories(odd) == {"plan": 5}  # no plan was rare in training, and a city was
    with pytest.warns(raysweep.InputDeviation):
        assert model.predict(odd).shape == (5,)


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_preparation_that_is_not_the_manifests_is_refused(done: Done, tmp_path: Path, change: str):
    copy = tmp_path / "bundle"
    shutil.copytree(done.folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    if change == "removed":
        manifest["model"]["files"].remove("model/prepare.json")
        (copy / "manifest.json").write_text(json.dumps(manifest))
    else:
        text = (copy / "model/prepare.json").read_text()
        (copy / "model/prepare.json").write_text(text.replace('"low": 0.0', '"low": 1.0'))
    with pytest.raises(BundleRefused, match=r"prepare\.json"):
        raysweep.load_model(str(copy))


def test_values_that_are_not_as_declared_stop_the_sweep(ray_session: None, tmp_path: Path):
    frame = raw_table(300)
    frame.loc[7, "price €"] = "ask"
    frame.loc[9, "seen"] = "yesterday"
    with pytest.raises(DataUnsuitable) as caught:
        sweep_of(tmp_path, frame, RULES)
    said = "to_number: 1 of 300 rows of the column 'price €' cannot be read as numbers, such as 'ask'"
    assert said in str(caught.value)
    assert [finding.check for finding in caught.value.findings] == ["prepare.to_date", "prepare.to_number"]
    coerced = [{**rule, "errors": "coerce"} if rule["rule"] in {"to_number", "to_date"} else rule for rule in RULES]
    config = sweep_keys(tmp_path, data={"prepare": coerced})
    assert raysweep.analyze(config, data=frame).profile.column("price €").nulls == 7


def test_the_command_line_names_a_value_that_is_not_as_declared(
    command: Callable[..., Any], tmp_path: Path, ray_session: None
):
    raw_table(300).to_csv(tmp_path / "t.csv", index=False)
    rule = "{rule: to_date, columns: [seen], format: '%d.%m.%Y'}"
    (tmp_path / "sweep.yaml").write_text(f"version: 1\ndata:\n  source: t.csv\n  target: target\n  prepare: [{rule}]\n")
    ran = command("analyze", tmp_path / "sweep.yaml")
    assert ran.code == 3
    assert "Traceback" not in ran.err
    said = (
        "raysweep: to_date: 300 of 300 rows of the column 'seen' cannot be read as dates of the format %d.%m.%Y, such"
    )
    assert said in ran.err


def test_questions_to_every_row_see_prepared_columns(ray_session: None, tmp_path: Path):
    rows = 101_000  # more than the sample holds
    frame = clean_table(rows, 5)
    frame = frame.assign(
        town="  " + frame["city"].str.upper(), label=np.where(frame["target"] == 1, " Late", "on time")
    )
    frame.to_parquet(tmp_path / "t.parquet")
    prepare = [
        {"rule": "normalize_text", "columns": ["town", "city", "label"]},
        {"rule": "date_parts", "columns": ["joined"], "parts": ["month"]},
    ]
    keys = sweep_keys(tmp_path, source=tmp_path / "t.parquet", data={"prepare": prepare})
    found = {finding.check: finding for finding in raysweep.analyze(keys).check.findings}
    assert found["col.duplicate"].column in {"city", "town"}
    assert found["leak.copy"].column == "label"


def test_the_command_line_names_a_wrong_rule(command: Callable[..., Any], tmp_path: Path, ray_session: None):
    raw_table(300).to_csv(tmp_path / "t.csv", index=False)
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "version: 1\n"
        "data:\n  source: t.csv\n  target: target\n"
        "  prepare: [{rule: to_null, columns: [age], values: [-999]}, {rule: clip, columns: [plna], low: 0}]\n"
    )
    ran = command("analyze", sweep)
    assert ran.code == 2
    assert "data.prepare[1]: there is no column 'plna', did you mean 'plan'?" in ran.err
