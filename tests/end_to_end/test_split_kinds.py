"""Whole sweeps that split by group and by time, and those that cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import raysweep
from builders import clean_table
from raysweep.bundle.locate import open_run, read_manifest
from raysweep.config import load_config
from raysweep.errors import BundleRefused, DataUnsuitable, RequestInvalid
from raysweep.records.manifest import Manifest
from raysweep.split_proof import check_split
from raysweep.split_rules import instant_of
from split_builders import visits
from sweep_builders import quick_space, run_quietly, sweep_keys

LENIENT = {"preset": "lenient"}
SEARCH = {"trials": 2, "space": quick_space(["xgboost"]), "algorithm": "random"}


def test_four_sites_are_enough_for_a_sweep_by_group(ray_session: None, tmp_path: Path):
    frame = clean_table(800, 1).assign(site=np.arange(800) % 4)
    keys = sweep_keys(tmp_path, data={"group": "site"}, search=SEARCH, checks={"preset": "lenient"})
    done = run_quietly(keys, frame)
    assert (done.split.kind, done.split.keys_shared) == ("group", 0)
    assert 1 <= done.split.folds <= 4
    assert "site" not in {column.name for column in done.examined.check.task.features}
    assert {trial.state.value for trial in done.search.trials} == {"complete"}


def test_a_sweep_by_time_publishes_its_cuts(ray_session: None, tmp_path: Path):
    frame = clean_table(1_500, 1)
    keys = sweep_keys(tmp_path, data={"time": "joined"}, split={"kind": "time"}, search=SEARCH)
    done = run_quietly(keys, frame)
    assert done.confirmed.check.rows == pytest.approx(300, abs=10)
    published = json.loads((Path(done.bundle_url) / "data/split.json").read_text())
    again = sweep_keys(
        tmp_path, data={"time": "joined"}, split={"kind": "time", "cuts": published["cuts"]}, search=SEARCH
    )
    assert load_config(again).split.cuts == tuple(published["cuts"])
    assert [instant_of(cut) for cut in published["cuts"]] == published["cuts_raw"] == list(done.split.cuts)


SPLITS = {
    "stratified": {},
    "group+time": {
        "data": {"group": "person", "time": "joined"},
        "split": {
            "kind": "group+time",
            "embargo": "5d",
            "seed": 3,
            "parts": {"training": 0.5, "testing": 0.25, "validation": 0.25},
        },
    },
    "column": {"data": {"time": "joined"}, "split": {"kind": "column", "column": "part"}},
}


@pytest.mark.parametrize("kind", SPLITS)
def test_anybody_with_the_data_can_deal_them_out_again(
    ray_session: None, tmp_path: Path, command: Callable[..., Any], kind: str
):
    frame = visits(1_600, 3)
    frame.loc[::50, "target"] = np.nan
    frame["target"] = frame["target"].map({0: "no", 1: "yes"}).where(np.arange(1_600) % 60 != 1, "perhaps")
    frame.to_parquet("table.parquet", index=False)
    keys = sweep_keys(tmp_path / "runs", source="table.parquet", search=SEARCH, checks=LENIENT, **SPLITS[kind])
    done = run_quietly(keys)
    assert "part" not in {column.name for column in done.examined.check.task.features} or kind != "column"
    frame.sample(frac=1, random_state=0).to_csv("shuffled.csv", index=False)
    told = command("verify", done.bundle_url, "--data", "shuffled.csv")
    assert told.code == 0, told.err
    for part, summary in done.split.parts.items():
        assert f"✓ split: {part.value} ({summary.rows:,} rows)" in told.out
    reasons = {"without a target"} | ({"embargo", "after the end of their group's part"} if "time" in kind else set())
    assert set(done.split.left_out) == reasons
    assert f"✓ table (1,600 rows, {len(frame.columns)} columns)" in told.out
    assert f"✓ {done.bundle_url}: all " in told.out
    held = raysweep.verify(done.bundle_url, data=frame)
    assert held.ok
    changed = frame.assign(amount=frame["amount"].where(frame.index != 7, 1.5))
    if kind == "group+time":  # the key is the group there
        changed = frame.assign(person=frame["person"].where(frame.index != 7, "somebody else"))
    changed.to_parquet("changed.parquet", index=False)
    told = command("verify", done.bundle_url, "--data", "changed.parquet", "--json")
    assert told.code == 8
    document = json.loads(told.out)
    assert all(file["ok"] for file in document["files"])
    wrong = [line["path"] for line in document["split"] if not line["ok"]]
    assert wrong[0].startswith("table ")
    assert len(wrong) > 1
    assert all(path.startswith("split: ") for path in wrong[1:])
    shorter = raysweep.verify(done.bundle_url, data=frame.head(1_500))
    assert any("rows were added, taken away or changed" in problem for problem in shorter.problems)
    told = command("verify", done.bundle_url, "--data", "table.parquet")
    assert told.code == 0
    with pytest.raises(RequestInvalid, match=r"dealt out by columns that .* lacks: '"):
        raysweep.verify(done.bundle_url, data=frame.drop(columns=["person", "part", "amount"]))


def test_a_row_that_the_column_puts_twice_ends_the_sweep(ray_session: None, tmp_path: Path):
    frame = visits(1_600, 3)
    twice = pd.concat([frame, frame[frame["part"] == "training"].head(40).assign(part="validation")])
    keys = sweep_keys(tmp_path, search=SEARCH, split={"kind": "column", "column": "part"}, checks=LENIENT)
    with pytest.raises(DataUnsuitable, match=r"split.overlap: 40 row keys stand in more than one part") as caught:
        run_quietly(keys, twice)
    found = raysweep.verify(caught.value.bundle_url, data=twice)
    assert list(found.problems) == ["split: keys: 40 row keys stand in more than one part"]


def test_a_bundle_of_an_older_version_says_too_little(ray_session: None, tmp_path: Path):
    done = run_quietly(sweep_keys(tmp_path, search=SEARCH), clean_table(600, 1))
    manifest = read_manifest(open_run(done.bundle_url))
    kept = {"kind", "seed", "key", "folds", "keys_shared"}
    split = {name: value for name, value in manifest.split.model_dump().items() if name in kept}
    split["parts"] = {name: {"rows": 1, "digest": "x"} for name in manifest.split.parts}
    older = Manifest.model_validate({**manifest.model_dump(), "split": split})
    with pytest.raises(BundleRefused, match="did not record it"):
        check_split(older, clean_table(600, 1))
    with pytest.raises(BundleRefused, match="has no split"):
        check_split(manifest.model_copy(update={"split": None}), clean_table(600, 1))


@pytest.mark.parametrize("fault", ["one class", "empty part"])
def test_parts_that_cannot_be_learned_from_are_published_with_the_reason(ray_session: None, tmp_path: Path, fault: str):
    frame = clean_table(1_500, 1)
    if fault == "one class":
        frame = frame.assign(target=frame["target"].mask(frame["joined"] > pd.Timestamp("2022-01-01"), 1))
        sections = {"data": {"time": "joined"}, "split": {"kind": "time"}}
    else:
        sites = np.where(frame.index < 1_490, "a", np.where(frame.index % 2 == 0, "b", "c"))
        frame, sections = frame.assign(site=sites), {"data": {"group": "site"}, "checks": {"preset": "lenient"}}
    with pytest.raises(DataUnsuitable) as caught:
        run_quietly(sweep_keys(tmp_path, search=SEARCH, **sections), frame)
    expected = "split.new_label" if fault == "one class" else "rows.too_few"
    assert expected in {finding.check for finding in caught.value.findings}
    assert read_manifest(open_run(caught.value.bundle_url)).outcome == "data unsuitable"
