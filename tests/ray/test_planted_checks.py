"""The final check of sweeps with one thing planted: the verdict that it deserves, and the cause that is named first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import planted_checks as planted
import raysweep
from builders import clean_table
from own_estimators import BlindFarOut
from planted_checks import LINE, cut, final_check, gate, neighbours, trees
from raysweep.records.final_check import FinalCheck, Outcome, Verdict
from raysweep.records.model_facts import Cause, CauseName
from raysweep.records.table import Part
from raysweep.stages.confirm.ledger import Opening, record_opening
from raysweep.storage.open_store import open_store
from raysweep.training import evaluate
from raysweep.training import families as registry
from raysweep.training.metrics import score
from sweep_builders import ACCEPT_NOISE, noise_table

pytestmark = pytest.mark.usefixtures("ray_session")

RATE = {"float": [0.02, 0.5], "log": True}
BY_TIME: dict[str, Any] = {"data": {"time": "t"}, "split": {"kind": "time"}}
BALANCED = {
    "logistic_regression": {"params": LINE["logistic_regression"]["params"], "fixed": {"class_weight": "balanced"}}
}
TRUSTED = ("own_estimators.Centre",)
STUMPS = {"extra_trees": {"params": {"max_features": {"float": [0.1, 1.0]}, "min_samples_leaf": {"int": [1, 30]}}}}
PASSED, WARNING, FAILED, INCONCLUSIVE = Outcome.PASSED, Outcome.WARNING, Outcome.FAILED, Outcome.INCONCLUSIVE


def goal(wanted: float) -> dict[str, Any]:
    return {"confirm": {"gates": {"score": wanted}}}


def first_cause(check: FinalCheck) -> Cause:
    assert check.why_not is not None
    assert check.why_not.causes, check.why_not.looked_at
    return check.why_not.causes[0]


# --- verdicts


def test_noise_is_not_adequate(tmp_path: Path):
    check = final_check(noise_table(0, 1_500, 6), tmp_path, {**LINE, **trees(learning_rate=RATE)}, checks=ACCEPT_NOISE)
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert gate(check, "beats the dummy").outcome is FAILED
    assert "there may be nothing to learn" in gate(check, "beats the dummy").reason
    assert first_cause(check).name is CauseName.WEAK_FEATURES


def test_a_leak_that_breaks_is_not_adequate(tmp_path: Path):
    check = final_check(planted.leaky_table(2_500), tmp_path, **BY_TIME)
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert gate(check, "generalises").outcome is FAILED
    assert "worse" in gate(check, "generalises").reason
    assert first_cause(check).name is CauseName.LEAKAGE
    assert first_cause(check).evidence.startswith("code alone has ROC AUC 0.8")


def test_a_shift_is_not_adequate(tmp_path: Path):
    check = final_check(planted.shifted_table(2_500), tmp_path, **BY_TIME)
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert gate(check, "generalises").outcome is FAILED
    assert first_cause(check).name is CauseName.SHIFT
    assert "most by x0" in first_cause(check).evidence


def test_the_best_of_a_thousand_on_few_rows_is_luck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def one_score(_task: Any, y: Any, predicted: Any, weight: Any) -> dict[str, float]:
        return {"roc_auc": score("roc_auc", y, predicted, weight)}

    monkeypatch.setattr(
        evaluate, "all_scores", one_score
    )  # the others take most of the time, and nothing asks for them
    sweep = cut(noise_table(3, 200, 8), tmp_path, {"extra_trees": {**STUMPS["extra_trees"], "effort": {"rounds": 1}}})
    check = sweep.confirm(sweep.search(1_000, efforts=(1.0,))).check
    assert check.verdict is Verdict.INCONCLUSIVE
    assert gate(check, "evidence").outcome is INCONCLUSIVE
    assert "too wide to judge by" in gate(check, "evidence").reason
    assert check.gap is not None
    assert check.gap.optimism is not None
    assert check.gap.optimism.candidates == 1_000
    assert check.gap.optimism.expected > 0.1
    assert "choosing the best of 1,000 by testing explains about 0." in gate(check, "generalises").reason


@pytest.mark.parametrize(
    ("asked", "verdict", "outcome"),
    [("required", Verdict.NOT_ADEQUATE, FAILED), ("warn", Verdict.WITH_WARNINGS, WARNING)],
)
def test_probabilities_that_are_off(asked: str, verdict: Verdict, outcome: Outcome, tmp_path: Path):
    confirm = {"gates": {"calibration": asked}}
    check = final_check(planted.rare_table(2_500), tmp_path, BALANCED, confirm=confirm)
    assert check.verdict is verdict
    assert gate(check, "calibration").outcome is outcome
    assert "probabilities are off; do not use the probabilities as they are" in gate(check, "calibration").reason
    gains = [] if check.why_not is None else [one for one in check.why_not.causes if one.expected_gain is not None]
    assert not gains  # a better score would not mend it


def test_a_broken_slice_that_was_declared_is_not_adequate(tmp_path: Path):
    check = final_check(planted.broken_region(3_000), tmp_path, confirm={"slices": ["region"]})
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert gate(check, "slices").outcome is FAILED
    assert gate(check, "slices").reason.startswith("region = north: roc_auc 0.0")
    assert "no better than the dummy (0.5)" in gate(check, "slices").reason
    assert first_cause(check).name is CauseName.WEAK_SLICE


def test_a_broken_slice_that_nobody_named_is_found(tmp_path: Path):
    check = final_check(planted.broken_region(3_000), tmp_path)
    assert check.verdict is Verdict.WITH_WARNINGS
    assert gate(check, "slices").outcome is WARNING
    assert gate(check, "slices").reason.startswith("region in {north}")


def test_tuning_that_bought_nothing_is_a_warning(tmp_path: Path):
    check = final_check(planted.linear_table(2_000), tmp_path)
    assert check.verdict is Verdict.WITH_WARNINGS
    assert gate(check, "beats the default").outcome is WARNING
    assert "tuning bought nothing" in gate(check, "beats the default").reason


def test_a_good_model_is_adequate_without_any_warning(tmp_path: Path):
    check = final_check(planted.noisy_plane(3_000), tmp_path, neighbours(2, 80), search={"trials": 8})
    assert check.verdict is Verdict.ADEQUATE, check.reasons
    assert {one.outcome for one in check.gates} == {PASSED}
    assert check.why_not is None


def test_too_few_rows_are_inconclusive(tmp_path: Path):
    check = final_check(planted.linear_table(150, strength=0.7), tmp_path)
    assert check.verdict is Verdict.INCONCLUSIVE
    assert gate(check, "evidence").outcome is INCONCLUSIVE
    assert "too wide to judge by" in gate(check, "evidence").reason
    assert first_cause(check).name is CauseName.FEW_ROWS
    assert "split.parts.validation" in first_cause(check).advice


def test_validation_rows_wear_out(tmp_path: Path):
    frame = planted.linear_table(2_000)

    def checked(seed: int, run_id: str, hour: int) -> FinalCheck:
        sweep = cut(frame, tmp_path, search={"trials": 1, "seed": seed})  # the same model each time: the default
        return sweep.confirm(sweep.search(), run_id, f"2026-11-26T{hour:02}:00:00").check

    once, twice = checked(0, "one", 1), checked(1, "two", 2)
    again = checked(0, "one-more", 3)
    assert (gate(once, "seal").outcome, once.level) == (PASSED, 0.95)
    assert (gate(twice, "seal").outcome, twice.level) == (WARNING, 0.975)
    assert "used for the 2nd time (before: one)" in gate(twice, "seal").reason
    assert twice.score.value == once.score.value
    assert twice.score.low < once.score.low < once.score.high < twice.score.high
    assert (gate(again, "seal").outcome, again.level) == (PASSED, 0.95)
    assert again.opened is not None
    assert again.opened.is_repeat

    sweep = cut(frame, tmp_path, search={"trials": 1, "seed": 9})
    rows = sweep.split.parts[Part.VALIDATION]
    store = open_store(sweep.config.export.to, sweep.config.export.s3)
    for number in range(3, 6):
        opened = f"2026-11-26T0{number}:30:00"
        record_opening(
            store, Opening(f"run-{number}", opened, rows.digest, rows.rows, sweep.split.sketch, f"{number}", ())
        )
    worn = sweep.confirm(sweep.search(), "last", "2026-11-26T09:00:00").check
    assert worn.verdict is Verdict.INCONCLUSIVE
    assert gate(worn, "seal").outcome is INCONCLUSIVE
    assert "used for the 6th time" in gate(worn, "seal").reason
    assert "get fresh rows" in gate(worn, "seal").reason
    assert "fresh rows" in first_cause(worn).advice


# --- why not, each planted alone


def test_why_not_wrong_labels(tmp_path: Path):
    check = final_check(planted.wrong_labels(3_000, 0.25), tmp_path, trees(learning_rate=RATE), **goal(0.9))
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert first_cause(check).name is CauseName.LABEL_NOISE
    assert first_cause(check).expected_gain == pytest.approx(0.25, rel=0.4)  # a perfect model has 0.75 on such labels


def test_right_labels_are_not_called_wrong(tmp_path: Path):
    check = final_check(planted.wrong_labels(3_000, 0.0), tmp_path, trees(learning_rate=RATE), **goal(0.99999))
    assert check.why_not is not None
    assert CauseName.LABEL_NOISE not in {one.name for one in check.why_not.causes}


def test_why_not_too_few_rows(tmp_path: Path):
    def checked(rows: int) -> FinalCheck:
        parts = {"training": 0.4, "testing": 0.3, "validation": 0.3}
        space = trees(150, learning_rate={"float": [0.1, 0.5], "log": True})
        return final_check(planted.steep_steps(rows), tmp_path, space, split={"parts": parts}, **goal(0.985))

    few, twice = checked(1_500), checked(3_000)
    assert first_cause(few).name is CauseName.FEW_ROWS
    assert first_cause(few).expected_gain == pytest.approx(twice.score.value - few.score.value, rel=0.5)
    assert gate(twice, "goal").outcome is not FAILED


def test_why_not_a_space_that_is_too_narrow(tmp_path: Path):
    frame, search = planted.noisy_plane(3_000), {"trials": 20}
    narrow = final_check(frame, tmp_path, neighbours(2, 10), search=search, **goal(1.06))
    wide = final_check(frame, tmp_path, neighbours(2, 80), search=search, **goal(1.06))
    assert first_cause(narrow).name is CauseName.NARROW_SPACE
    assert "n_neighbors beyond 10" in first_cause(narrow).advice
    assert first_cause(narrow).expected_gain == pytest.approx(narrow.score.value - wide.score.value, rel=0.5)
    assert gate(wide, "goal").outcome is not FAILED


def test_why_not_a_budget_that_is_too_small(tmp_path: Path):
    def checked(trials: int) -> FinalCheck:
        sections = {"search": {"trials": trials, "seed": 11}, **goal(1.04)}
        return final_check(planted.noisy_plane(3_000), tmp_path, neighbours(1, 1_000, p={"int": [1, 2]}), **sections)

    few, more = checked(3), checked(6)
    assert first_cause(few).name is CauseName.SMALL_BUDGET
    assert first_cause(few).expected_gain == pytest.approx(few.score.value - more.score.value, rel=0.5)
    assert gate(more, "goal").outcome is not FAILED


def test_why_not_a_slice(tmp_path: Path):
    check = final_check(planted.broken_region(3_000), tmp_path, **goal(0.95))
    assert first_cause(check).name is CauseName.WEAK_SLICE
    assert first_cause(check).evidence.startswith("region in {north}")


def test_why_not_the_luck_of_a_seed(tmp_path: Path):
    space = {"extra_trees": {"params": {"min_samples_leaf": {"int": [1, 3]}}, "effort": {"rounds": 4}}}
    frame, search = planted.steep_steps(2_000, steepness=4.0), {"trials": 4}
    known = final_check(frame, tmp_path, space, search=search)
    assert known.seeds is not None
    assert known.seeds.spread > 0.005
    within = known.score.value + 0.7 * known.seeds.spread
    check = final_check(frame, tmp_path, space, search=search, **goal(within))
    assert gate(check, "goal").outcome is FAILED
    assert first_cause(check).name is CauseName.SEED_NOISE
    assert first_cause(check).expected_gain == pytest.approx(known.seeds.spread)


def test_why_not_features_that_say_nothing(tmp_path: Path):
    check = final_check(noise_table(0, 1_500, 6), tmp_path, checks=ACCEPT_NOISE, **goal(0.7))
    assert first_cause(check).name is CauseName.WEAK_FEATURES


def test_why_not_features_that_say_too_little_for_a_goal_out_of_reach(tmp_path: Path):
    check = final_check(planted.linear_table(3_000, strength=0.7), tmp_path, **goal(0.99))
    assert gate(check, "beats the dummy").outcome is PASSED
    assert first_cause(check).name is CauseName.WEAK_FEATURES


def test_a_time_that_parts_are_split_by_is_no_shift(tmp_path: Path):
    frame = planted.linear_table(2_000).assign(t=np.arange(2_000) // 10)
    sweep = cut(frame, tmp_path, **BY_TIME, **goal(0.99))
    assert "t" in {one.name for one in sweep.task.inputs}
    check = sweep.confirm(sweep.search()).check
    assert check.why_not is not None
    assert CauseName.SHIFT not in {one.name for one in check.why_not.causes}


# --- whatever a table is like, the check comes to its end, and says what keeps a model from a goal out of reach

BOOSTED = {"hist_gradient_boosting": {"params": {"learning_rate": RATE}, "effort": {"rounds": 20}}}
LATE = np.arange(1_000) >= 800


def rows_of(task: str = "binary", **columns: Any) -> pd.DataFrame:
    return clean_table(1_000, 0, task).assign(t=np.arange(1_000), **columns)


def in_validation(column: str, value: object, task: str = "binary") -> pd.DataFrame:
    frame = rows_of(task)
    kind = {"member": "boolean", "city": object, "plan": object, "target": object}.get(column, frame[column].dtype)
    frame[column] = frame[column].astype(kind)
    frame.loc[LATE, column] = value
    return frame.infer_objects()


WEIGHTS = np.random.default_rng(0).uniform(0, 3, 1_000)
GROUPS = np.random.default_rng(0).integers(0, 200, 1_000)


@pytest.mark.parametrize(
    ("frame", "sections"),
    [
        pytest.param(rows_of("multiclass"), {"search": {"metric": "f1_macro"}}, id="multiclass"),
        pytest.param(rows_of(w=WEIGHTS), {"data": {"weight": "w"}}, id="weights"),
        pytest.param(rows_of(g=GROUPS), {"data": {"group": "g"}}, id="groups"),
        pytest.param(rows_of(), {"split": {"folds": 3}}, id="folds"),
        pytest.param(in_validation("city", "Nowhere"), BY_TIME, id="a category unseen"),
        *[
            pytest.param(in_validation(name, None), BY_TIME, id=f"{name} all missing")
            for name in ("amount", "city", "member", "joined")
        ],
    ],
)
def test_classes_of_any_table(frame: pd.DataFrame, sections: dict[str, Any], tmp_path: Path):
    confirm = {"gates": {"score": 0.9999}, "finalists": 3, "slices": ["city", "member", "joined"]}
    space = {**LINE, **BOOSTED, **trees(20, learning_rate=RATE)}
    search = {"trials": 4, **sections.get("search", {})}
    check = final_check(frame, tmp_path, space, **{**sections, "search": search}, confirm=confirm)
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert len(check.finalists) == 3
    assert gate(check, "goal").outcome is FAILED
    assert first_cause(check).advice
    assert check.why_not is not None
    assert not [one for one in check.why_not.looked_at if "could not be measured" in one]


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_numbers(metric: str, tmp_path: Path):
    within = 0.9999 if metric == "r2" else 0.0001
    confirm = {"gates": {"score": within}, "refit": "training", "finalists": 2, "slices": ["age", "plan"]}
    sections = {"search": {"metric": metric, "trials": 4}, "export": {"top": 1}}
    check = final_check(rows_of("regression"), tmp_path, BOOSTED, confirm=confirm, **sections)
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert check.fitted_on == "training"
    assert len(check.finalists) == 2
    assert first_cause(check).advice
    assert check.why_not is not None
    assert not [one for one in check.why_not.looked_at if "could not be measured" in one]


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_class_that_validation_lacks_leaves_too_little_evidence(task: str, tmp_path: Path):
    frame = rows_of(task)
    lacking, other = ("high", "low") if task == "multiclass" else (1, 0)
    frame.loc[LATE & (frame["target"] == lacking), "target"] = other
    check = final_check(frame, tmp_path, **BY_TIME)
    assert check.verdict is Verdict.INCONCLUSIVE
    assert gate(check, "evidence").outcome is INCONCLUSIVE
    assert "0 of the rarest class" in gate(check, "evidence").reason
    assert first_cause(check).name is CauseName.FEW_ROWS


def test_more_finalists_than_trials_in_the_bundle(tmp_path: Path):
    sweep = cut(rows_of(), tmp_path, export={"to": str(tmp_path / "runs"), "top": 1}, confirm={"finalists": 3})
    confirmed = sweep.confirm(sweep.search())
    assert [one.rank for one in confirmed.check.finalists] == [1, 2, 3]
    assert len(confirmed.best) == 1
    assert confirmed.best[0].trial == confirmed.shipped.trial
    assert replace(confirmed.check.finalists[0], gap=None).score == confirmed.check.score


# --- what must not cost the verdict


def test_a_model_that_gives_no_number_for_a_validation_row_is_not_adequate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registry, "_registered", {})
    raysweep.register_family("blind", classifier=BlindFarOut, defaults={"sharpness": 1.0}, trusted=TRUSTED)
    frame = clean_table(1_500, 3)[["amount", "age", "visits", "target"]].assign(t=np.arange(1_500.0))
    frame.loc[1_490, "amount"] = 1e12
    sections = {"checks": {"preset": "lenient"}, "search": {"trials": 1}, **BY_TIME}
    check = final_check(frame, tmp_path, {"blind": {}}, **sections)
    assert check.verdict is Verdict.NOT_ADEQUATE
    assert gate(check, "behaviour").outcome is FAILED
    assert "validation rows: no number for 1 of" in gate(check, "behaviour").reason
    assert np.isfinite(check.score.value)
