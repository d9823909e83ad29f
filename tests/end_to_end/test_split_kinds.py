"""Whole sweeps that split by group and by time, and those that cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import clean_table
from raysweep.bundle.locate import open_run, read_manifest
from raysweep.errors import DataUnsuitable
from sweep_builders import quick_space, run_quietly, sweep_keys

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
    assert '"cuts"' in (Path(done.bundle_url) / "data/split.json").read_text()


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
