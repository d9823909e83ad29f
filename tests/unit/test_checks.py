"""Each fault planted alone makes its check fire, and no other; a clean table makes none fire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import clean_table, profile_of, sweep_config, table_of
from raysweep.documents import canonical_json, read_yaml
from raysweep.errors import RequestInvalid
from raysweep.records.table import DataCheck, Finding, Severity, Suitability
from raysweep.stages.validate.document import findings_document
from raysweep.stages.validate.gate import validate_table
from raysweep.stages.validate.single_feature import bins_of, class_strength, number_strength
from raysweep.stages.validate.thresholds import DEFAULTS

ROWS = 5_000
ERROR, WARNING = Severity.ERROR, Severity.WARNING
Plant = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def check_frame(frame: pd.DataFrame, target: str | None = "target", usable=None, **data: Any) -> DataCheck:
    return validate_table(table_of(frame), profile_of(frame, target), sweep_config(target, **data), usable)


def fired(check: DataCheck) -> dict[str, Severity]:
    return {finding.check: finding.severity for finding in check.findings}


def only(check: DataCheck, name: str) -> Finding:
    [finding] = [finding for finding in check.findings if finding.check == name]
    return finding


@dataclass(frozen=True)
class Fault:
    plant: Plant
    expected: dict[str, Severity]
    task: str = "binary"
    rows: int = ROWS
    data: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def null_where(frame: pd.DataFrame, column: str, where: Any) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].mask(where)})


def keep_classes(frame: pd.DataFrame, counts: dict[Any, int]) -> pd.DataFrame:
    return pd.concat([frame[frame["target"] == label].head(count) for label, count in counts.items()])


def uuids(rows: int) -> list[str]:
    return [f"{number * 7919:08x}-1234-4abc-8def-{number:012x}" for number in range(rows)]


FAULTS = {
    "few rows": Fault(lambda f, _: f, {"rows.too_few": WARNING}, task="regression", rows=450),
    "very few rows": Fault(lambda f, _: f, {"rows.too_few": ERROR}, task="regression", rows=90),
    "copies of rows": Fault(lambda f, _: pd.concat([f, f.head(100)]), {"rows.duplicates": WARNING}),
    "mostly copies": Fault(lambda f, _: pd.concat([f.head(900)] * 3), {"rows.duplicates": ERROR}),
    "no value": Fault(
        lambda f, _: f.assign(x=pd.Series([None] * len(f), dtype="float64")),
        {"col.all_missing": WARNING},
        left_out=("x",),
    ),
    "constant number": Fault(lambda f, _: f.assign(x=7), {"col.constant": WARNING}, left_out=("x",)),
    "constant text": Fault(lambda f, _: f.assign(x="a"), {"col.constant": WARNING}, left_out=("x",)),
    "many nulls": Fault(lambda f, rng: null_where(f, "amount", rng.random(len(f)) < 0.4), {"col.missing": WARNING}),
    "nearly all nulls": Fault(
        lambda f, rng: null_where(f, "amount", rng.random(len(f)) < 0.97),
        {"col.missing": WARNING},
        left_out=("amount",),
    ),
    "texts for nulls": Fault(
        lambda f, rng: f.assign(city=f["city"].mask(rng.random(len(f)) < 0.4, " N/A ")),
        {"col.missing": WARNING},
    ),
    "integer id": Fault(lambda f, rng: f.assign(x=rng.permutation(len(f))), {"col.id_like": WARNING}, left_out=("x",)),
    "integer id with nulls": Fault(
        lambda f, rng: null_where(f.assign(x=rng.permutation(len(f))), "x", rng.random(len(f)) < 0.1),
        {"col.id_like": WARNING},
        left_out=("x",),
    ),
    "uuid": Fault(lambda f, _: f.assign(x=uuids(len(f))), {"col.id_like": WARNING}, left_out=("x",)),
    "lists": Fault(
        lambda f, rng: f.assign(x=[[int(n)] for n in rng.integers(0, 50, len(f))]),
        {"col.nested": WARNING},
        left_out=("x",),
    ),
    "target null": Fault(
        lambda f, rng: null_where(f, "target", rng.random(len(f)) < 0.05), {"target.missing": WARNING}
    ),
    "target mostly null": Fault(
        lambda f, rng: null_where(f, "target", rng.random(len(f)) < 0.6), {"target.missing": ERROR}
    ),
    "target never there": Fault(
        lambda f, _: f.assign(target=pd.Series([None] * len(f), dtype="float64")),
        {"target.missing": ERROR, "rows.too_few": ERROR},
    ),
    "target constant": Fault(lambda f, _: f.assign(target=1), {"target.constant": ERROR}),
    "rare class": Fault(
        lambda f, _: keep_classes(f, {"low": 900, "middle": 900, "high": 150}),
        {"target.rare_class": WARNING},
        task="multiclass",
    ),
    "class of two rows": Fault(
        lambda f, _: keep_classes(f, {"low": 900, "middle": 900, "high": 2}),
        {"target.rare_class": ERROR, "rows.too_few": ERROR, "target.imbalance": WARNING},
        task="multiclass",
    ),
    "tiny minority": Fault(
        lambda f, _: keep_classes(f, {0: 35_000, 1: 300}), {"target.imbalance": WARNING}, rows=75_000
    ),
    "few numbers to regress": Fault(
        lambda f, _: f.assign(target=f["target"].clip(-2, 2).round().astype(int)),
        {"target.kind": WARNING},
        task="regression",
        data={"task": "regression"},
    ),
    "many classes": Fault(
        lambda f, rng: f.assign(target=rng.integers(0, 120, len(f))),
        {"target.kind": WARNING},
        rows=60_000,
        data={"task": "multiclass"},
    ),
    "three values for binary": Fault(
        lambda f, _: f, {"target.kind": ERROR}, task="multiclass", data={"task": "binary"}
    ),
    "text to regress": Fault(lambda f, _: f, {"target.kind": ERROR}, task="multiclass", data={"task": "regression"}),
    "infinite target": Fault(
        lambda f, _: f.assign(target=f["target"].mask(f.index < 3, np.inf)),
        {"target.kind": ERROR},
        task="regression",
    ),
    "date to predict": Fault(lambda f, _: f.assign(target=f["joined"]), {"target.kind": ERROR}),
    "copy": Fault(lambda f, _: f.assign(x=f["target"]), {"leak.copy": ERROR}),
    "copy as boolean": Fault(lambda f, _: f.assign(x=f["target"] == 1), {"leak.copy": ERROR}),
    "copy in words": Fault(
        lambda f, _: f.assign(x=np.where(f["target"] == 1, "late", "on time")), {"leak.copy": ERROR}
    ),
    "copy of classes": Fault(lambda f, _: f.assign(x=f["target"].str.upper()), {"leak.copy": ERROR}, task="multiclass"),
    "copy of numbers": Fault(lambda f, _: f.assign(x=f["target"]), {"leak.copy": ERROR}, task="regression"),
    "nearly the class": Fault(
        lambda f, rng: f.assign(x=10.0 * f["target"] + rng.normal(size=len(f))),
        {"leak.single_feature": ERROR},
    ),
    "strongly the class": Fault(
        lambda f, rng: f.assign(x=2.8 * f["target"] + rng.normal(size=len(f))),
        {"leak.single_feature": WARNING},
    ),
    "text that gives the class away": Fault(
        lambda f, rng: f.assign(x=[f"{t}-{n}" for t, n in zip(f["target"], rng.integers(0, 90, len(f)), strict=True)]),
        {"leak.single_feature": ERROR},
    ),
    "nulls that give the class away": Fault(
        lambda f, rng: f.assign(x=pd.Series(rng.normal(size=len(f))).mask(f["target"] == 1)),
        {"leak.single_feature": ERROR, "col.missing": WARNING},
    ),
    "nearly the classes": Fault(
        lambda f, rng: f.assign(x=f["target"].map({"low": 0.0, "middle": 9.0, "high": 4.0}) + rng.random(len(f))),
        {"leak.single_feature": ERROR},
        task="multiclass",
    ),
    "nearly the number": Fault(
        lambda f, rng: f.assign(x=np.exp(f["target"] + rng.normal(0, 0.05, len(f)))),
        {"leak.single_feature": ERROR},
        task="regression",
    ),
    "the number in other units": Fault(
        lambda f, _: f.assign(target=np.exp(2 * f["target"]), x=60 * np.exp(2 * f["target"]) + 1),
        {"leak.single_feature": ERROR},
        task="regression",
    ),
    "strongly the number": Fault(
        lambda f, rng: f.assign(x=f["target"] + rng.normal(0, 0.45, len(f))),
        {"leak.single_feature": WARNING},
        task="regression",
    ),
    "null with the target": Fault(
        lambda f, _: null_where(null_where(f, "target", f.index < 150), "amount", f.index < 120),
        {"leak.missing_together": WARNING, "target.missing": WARNING},
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fires_alone(name):
    fault = FAULTS[name]
    frame = fault.plant(clean_table(fault.rows, seed=11, task=fault.task), np.random.default_rng(12))
    check = check_frame(frame, **fault.data)
    assert fired(check) == fault.expected, [finding.message for finding in check.findings]
    assert tuple(check.left_out) == fault.left_out
    is_bad = ERROR in fault.expected.values()
    assert check.suitability is (Suitability.UNSUITABLE if is_bad else Suitability.WITH_WARNINGS)
    assert (check.task is None) is is_bad
    assert all(finding.message and finding.advice for finding in check.findings)
    assert canonical_json(findings_document(check))
    if check.task is not None:
        expected = [column for column in frame.columns if column not in {"target", *fault.left_out}]
        assert [column.name for column in check.task.features] == expected


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("seed", range(20))
def test_a_clean_table_is_suitable(task, seed):
    check = check_frame(clean_table(ROWS, seed, task))
    assert check.findings == ()
    assert check.suitability is Suitability.SUITABLE


def test_every_check_that_runs_has_a_fault_here():
    elsewhere = {check for check in DEFAULTS if check.startswith("schema.")}
    assert {check for fault in FAULTS.values() for check in fault.expected} == set(DEFAULTS) - elsewhere


def test_thresholds_can_be_set():
    frame = null_where(clean_table(ROWS, 1), "amount", np.arange(ROWS) < 0.4 * ROWS)
    assert "col.missing" not in fired(check_frame(frame, checks={"set": {"col.missing": {"warn": 0.5}}}))
    stricter = check_frame(clean_table(ROWS, 1), checks={"set": {"rows.too_few": {"error": 1_001}}})
    assert fired(stricter) == {"rows.too_few": ERROR}


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"col.mising": {"warn": 1}}, "did you mean 'col.missing'"),
        ({"col.missing": {"wran": 1}}, "did you mean 'warn'"),
        ({"col.constant": {"warn": 1}}, "it has no thresholds"),
    ],
)
def test_unknown_thresholds_are_refused(thresholds, said):
    with pytest.raises(RequestInvalid, match=said):
        check_frame(clean_table(200, 1), checks={"set": thresholds})


def test_without_a_target_its_checks_are_skipped():
    check = check_frame(clean_table(ROWS, 1), target=None)
    skipped = [finding for finding in check.findings if finding.severity is Severity.SKIPPED]
    assert [finding.check.split(".")[0] for finding in skipped] == ["target"] * 5 + ["leak"] * 3
    assert check.findings == tuple(skipped)
    assert check.task is None
    assert check.suitability is Suitability.SUITABLE


def test_errors_come_first():
    frame = clean_table(ROWS, 1).assign(one=1)
    check = check_frame(frame.assign(copy=frame["target"]))
    assert [finding.severity for finding in check.findings] == [ERROR, WARNING]


def test_columns_that_are_excluded_are_not_looked_at():
    frame = clean_table(ROWS, 1)
    check = check_frame(frame.assign(copy=frame["target"], one=1), features={"exclude": ["copy", "one"]})
    assert check.findings == ()


def test_a_column_that_is_asked_for_is_kept():
    frame = clean_table(ROWS, 1).assign(id=range(ROWS))
    check = check_frame(frame, features={"include": ["id", "amount"]})
    assert check.left_out == {}
    assert [column.name for column in check.task.features] == ["amount", "id"]
    assert "it is kept" in only(check, "col.id_like").message


def test_an_empty_table_is_unsuitable_and_raises_nothing():
    check = check_frame(clean_table(10, 1).head(0))
    assert fired(check) == {"rows.too_few": ERROR}


def test_a_date_or_a_float_is_no_id():
    frame = clean_table(ROWS, 1).assign(
        when=pd.Timestamp("2020-01-01") + pd.to_timedelta(range(ROWS), unit="s"),
        measured=np.random.default_rng(1).normal(size=ROWS),
        whole=np.random.default_rng(2).permutation(ROWS).astype("float64"),
    )
    assert check_frame(frame).findings == ()


def test_rows_that_may_not_be_used_are_not_looked_at():
    frame = clean_table(ROWS, 1)
    leaky = frame.assign(x=np.where(frame.index % 2 == 0, 10.0 * frame["target"], 0.0) + frame["amount"] / 1e3)
    even = (frame.index % 2 == 0) & True
    assert "leak.single_feature" not in fired(check_frame(leaky))
    profile = profile_of(leaky)
    spread = profile.sample.column("x").to_numpy() - profile.sample.column("amount").to_numpy() / 1e3
    is_even = np.isin(profile.sample.column("amount").to_numpy(), frame.loc[even, "amount"].to_numpy())
    assert spread[~is_even].max() < 1e-9
    assert fired(check_frame(leaky, usable=is_even))["leak.single_feature"] is ERROR


def test_text_that_differs_in_every_row_predicts_nothing():
    rng = np.random.default_rng(0)
    classes, numbers = rng.integers(0, 2, 20_000), rng.normal(size=20_000)
    text = pa.chunked_array([pa.array([f"note {number}" for number in range(20_000)], pa.large_string())])
    pairs = pa.chunked_array([pa.array([f"note {number // 2}" for number in range(20_000)], pa.large_string())])
    for column in (text, pairs):
        assert class_strength(bins_of(column), classes) == pytest.approx(0.5, abs=0.02)
        assert number_strength(bins_of(column), None, numbers) < 0.02


def test_strength_agrees_with_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 20_000)
    values = classes * 1.5 + rng.normal(size=20_000)
    ranks = pd.Series(values).rank()
    positives = int(classes.sum())
    exact = (ranks[classes == 1].sum() - positives * (positives + 1) / 2) / (positives * (20_000 - positives))
    assert class_strength(bins_of(pa.chunked_array([values])), classes) == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("arr_delay", "[arr_delay]"),
        ("a: b", '["a: b"]'),
        ("no", '["no"]'),
        ("1", '["1"]'),
        ("größe", "[größe]"),
    ],
)
def test_the_line_for_the_sweep_file_is_yaml(name, line):
    check = check_frame(clean_table(ROWS, 1).assign(**{name: 1}))
    advice = only(check, "col.constant").advice
    assert advice.endswith(f"data.features.exclude: {line}")
    assert read_yaml("exclude: " + line, place="here") == {"exclude": [name]}


def test_a_target_without_values_is_never_suitable():
    frame = clean_table(ROWS, 1).assign(target=pd.Series([None] * ROWS, dtype="float64"))
    lax = {"target.missing": {"error": 1}, "rows.too_few": {"error": 0, "warn": 0, "warn_per_feature": 0}}
    check = check_frame(frame, checks={"set": lax})
    assert (check.suitability, check.task) == (Suitability.UNSUITABLE, None)
