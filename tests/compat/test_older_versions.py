"""What each released version of the documents was like: a small bundle and its sweep file, kept as they were written.

`v1` and so on are versions of the manifest. A folder holds `customers.csv`, the sweep file, and the bundle without its
journal. None of it is ever written again: a new version gets a new folder.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import raysweep
from raysweep.bundle.locate import open_run, read_manifest
from raysweep.config import load_config
from raysweep.errors import BundleRefused
from raysweep.records.manifest import SCHEMA_VERSION

VERSIONS = sorted(path.name for path in Path(__file__).parent.glob("v*"))


@pytest.fixture(params=VERSIONS)
def kept(request: pytest.FixtureRequest) -> Path:
    return Path(__file__).parent / request.param


def test_every_version_is_kept():
    assert [f"v{number}" for number in range(1, SCHEMA_VERSION + 1)] == VERSIONS


def test_an_old_bundle_verifies(kept):
    found = raysweep.verify(kept / "bundle")
    assert found.problems == ()
    assert any(row.said.startswith("101 golden rows" if kept.name == "v1" else "1") for row in found.rows)


def test_an_old_model_predicts(kept):
    model = raysweep.load_model(kept / "bundle")
    rows = pd.read_csv(kept / "customers.csv", parse_dates=["joined"])
    right = np.mean(model.predict(rows) == rows["churn"])
    assert 0.7 < right < 1
    assert model.predict_proba(rows).sum(axis=1) == pytest.approx(1)


def test_an_old_run_is_shown(kept):
    view = raysweep.show(kept / "bundle")
    assert view.finished
    assert view.final_check["verdict"].startswith("adequate")
    assert view.ranking[0]["family"] == "xgboost"


def test_an_old_manifest_says_what_it_said(kept):
    written = json.loads((kept / "bundle/manifest.json").read_bytes())
    read = read_manifest(open_run(kept / "bundle")).model_dump(mode="json")
    lost = [name for name in written if name not in read]
    assert lost == []
    same = {name for name in written if read[name] == written[name]}
    same |= {"usage"} if written["usage"].items() <= read["usage"].items() else set()  # what was added has a default
    assert same >= {"raysweep", "run_id", "created", "outcome", "config_sha256", "lineage", "usage"}


def test_an_old_sweep_file_is_understood(kept):
    assert load_config(kept / "sweep.yaml").data.target == "churn"
    assert load_config(kept / "bundle/config/sweep.yaml").search.trials == 3


def test_a_newer_version_is_refused_with_the_way_out(kept, tmp_path):
    bundle = shutil.copytree(kept / "bundle", tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest |= {"schema_version": SCHEMA_VERSION + 1, "raysweep": "9.0", "unheard": "of"}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleRefused, match=r"schema_version is \d.*written by raysweep 9\.0.*a newer one"):
        raysweep.load_model(bundle)
