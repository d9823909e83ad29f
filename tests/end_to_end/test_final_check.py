"""The final check of whole sweeps: the ledger beside them, the model in production, finalists, what is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import raysweep
from builders import clean_table
from raysweep.bundle.locate import open_run, read_manifest
from raysweep.errors import NotFound, RequestInvalid, StorageFailed
from raysweep.records.final_check import Outcome, Verdict
from raysweep.records.model_facts import Promotion
from raysweep.records.published_check import read_final_check_document
from sweep_builders import RANDOM_ONE_SLOT, bundle_files, quick_space, read_document, sweep_keys

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore:the final check found this model:UserWarning"),
]

SEARCH = {**RANDOM_ONE_SLOT, "trials": 3, "space": quick_space(["xgboost"])}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return clean_table(1_500, 4)


def run(frame: pd.DataFrame, to: Path, **sections: Any) -> raysweep.SweepResult:
    search = {**SEARCH, **sections.pop("search", {})}
    run_id = sections.pop("run_id", None)
    return raysweep.run_sweep(sweep_keys(to, search=search, **sections), data=frame, run_id=run_id)


@pytest.fixture(scope="module")
def old(frame: pd.DataFrame, ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path) -> Any:
    """The sweep whose model is in production."""
    return run(frame, tmp_path_factory.mktemp("old"))


def gate(result: raysweep.SweepResult, name: str) -> Any:
    return next(gate for gate in result.final_check.gates if gate.name == name)


def test_the_same_sweep_is_no_new_use_and_another_one_is(frame: pd.DataFrame, tmp_path: Path):
    first = run(frame, tmp_path, run_id="first")
    again = run(frame, tmp_path, run_id="again")
    other = run(frame, tmp_path, run_id="other", search={"trials": 2})
    assert [one.final_check.opened.use for one in (first, again, other)] == [1, 1, 2]
    assert again.final_check.opened.is_repeat
    assert again.final_check.score == first.final_check.score
    assert gate(other, "seal").outcome is Outcome.WARNING
    assert other.final_check.level == 0.975
    assert other.final_check.opened.earlier == ("first",), "each sweep once"
    assert read_manifest(open_run(other.bundle_url)).final_check.use == 2
    ledger = sorted((tmp_path / ".raysweep/ledger").iterdir())
    assert [path.name.partition(".")[0] for path in ledger] == ["again", "first", "other"]
    assert json.loads(ledger[0].read_bytes())["rows"] == first.final_check.rows


def test_going_on_with_a_published_run_is_a_further_use(frame: pd.DataFrame, tmp_path: Path):
    first = run(frame, tmp_path, run_id="first")
    more = raysweep.resume(first.bundle_url, data=frame, run_id="more", overrides=["search.trials=5"])
    assert more.final_check.opened.use == 2
    same = raysweep.resume(first.bundle_url, data=frame, run_id="same")
    assert (same.final_check.opened.use, same.final_check.opened.is_repeat) == (1, True)


def test_a_ledger_that_cannot_be_written_is_found_before_anything_is_computed(frame: pd.DataFrame, tmp_path: Path):
    (tmp_path / ".raysweep").mkdir()
    (tmp_path / ".raysweep/ledger").write_bytes(b"in the way")
    with pytest.raises(StorageFailed, match=r"export\.to: .*ledger"):
        run(frame, tmp_path, run_id="run")
    assert not (tmp_path / "run").exists()


def test_production_that_was_split_alike_is_compared(frame: pd.DataFrame, tmp_path: Path):
    poor = {"features": {"include": ["visits", "balance"]}}
    old = run(frame, tmp_path / "old", data=poor)
    new = run(frame, tmp_path / "new", confirm={"production": old.bundle_url})
    production = new.final_check.production
    assert production.promotion is Promotion.PROMOTE
    assert production.score == pytest.approx(old.final_check.score.value, abs=1e-6), "the same rows, the same model"
    assert production.gain.value == pytest.approx(new.final_check.score.value - production.score, abs=1e-9)
    back = run(frame, tmp_path / "back", data=poor, confirm={"production": new.bundle_url})
    assert back.final_check.production.promotion is Promotion.KEEP
    assert gate(back, "production").outcome is Outcome.FAILED
    assert back.verdict == Verdict.NOT_ADEQUATE


def test_production_that_was_split_otherwise_is_inconclusive(frame: pd.DataFrame, old: Any, tmp_path: Path):
    new = run(frame, tmp_path, split={"seed": 7}, confirm={"production": old.bundle_url})
    assert new.final_check.production.promotion is Promotion.INCONCLUSIVE
    assert "split.seed" in new.final_check.production.reason
    assert gate(new, "production").outcome is Outcome.WARNING


def test_production_of_other_columns_and_classes(frame: pd.DataFrame, old: Any, tmp_path: Path):
    """It gets the columns that it wants, also those that the new model leaves out."""
    key = {"key": [name for name in frame.columns if name != "target"]}
    narrow = {"features": {"exclude": ["amount"]}}
    new = run(frame, tmp_path / "new", data=narrow, confirm={"production": old.bundle_url})
    assert new.final_check.production.promotion is Promotion.KEEP
    assert new.final_check.production.score == pytest.approx(old.final_check.score.value, abs=1e-6)
    words = frame.assign(target=np.where(frame["target"] == 1, "yes", "no"))
    other = run(words, tmp_path / "words", split=key, confirm={"production": old.bundle_url})
    assert "its classes are" in other.final_check.production.reason


def test_production_that_cannot_be_is_said_before_anything_is_read(frame: pd.DataFrame, tmp_path: Path):
    with pytest.raises(NotFound, match="there is no run"):
        run(frame, tmp_path, confirm={"production": str(tmp_path / "nowhere")})
    old = run(frame.rename(columns={"target": "late"}), tmp_path / "late", data={"target": "late"})
    with pytest.raises(RequestInvalid, match="predicts 'late', and this sweep is about 'target'"):
        run(frame, tmp_path, confirm={"production": old.bundle_url})


def test_a_slice_of_no_column_is_refused(frame: pd.DataFrame, tmp_path: Path):
    with pytest.raises(RequestInvalid, match=r"'plann'.*did you mean 'plan'"):
        run(frame, tmp_path, confirm={"slices": ["plann"]})


def test_everything_that_was_found_is_published(frame: pd.DataFrame, tmp_path: Path):
    frame = frame.assign(region=np.random.default_rng(0).choice(["north", "south"], len(frame)))
    result = run(
        frame,
        tmp_path,
        data={"features": {"exclude": ["region"]}},
        confirm={"finalists": 2, "slices": {"region": 0.2, "plan": None}, "gates": {"score": 0.9999}},
    )
    folder = Path(result.bundle_url)
    document = read_document(folder, "final_check.json")
    check = read_final_check_document(document)
    assert document["schema_version"] == 2
    assert check == result.final_check
    assert [one.rank for one in check.finalists] == [1, 2]
    assert {one.column for one in check.slices} >= {"region"}
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert check.why_not.shortfall.startswith("roc_auc")
    assert check.why_not.looked_at
    assert check.calibration.bins
    assert check.threshold.confusion.true_positives > 0
    assert len(check.seeds.validation) == 3
    assert not any(probe.failed for probe in check.behaviour.probes)
    report = (folder / "report.html").read_text(encoding="utf-8")
    for said in ("Why not?", "region = north", "finalist 2", "training+testing"):
        assert said in report
    assert "region" not in {column.name for column in read_manifest(open_run(folder)).signature.inputs}
    assert not [name for name in bundle_files(folder) if "ledger" in name]
