"""Each fault planted alone makes its check fire, and no other; a clean table makes none fire."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import clean_table, profile_of
from planted_faults import (
    ERROR,
    FAULTS,
    MODEL_FAULTS,
    ROWS,
    SPLIT_FAULTS,
    WARNING,
    check_frame,
    fired,
    loud,
    null_where,
    only,
)
from raysweep.documents import canonical_json, read_yaml
from raysweep.errors import RequestInvalid
from raysweep.records.table import Severity, Suitability
from raysweep.stages.validate.checks import MODEL_CHECKS, TARGET_CHECKS
from raysweep.stages.validate.document import findings_document
from raysweep.stages.validate.single_feature import bins_of, class_strength, number_strength
from raysweep.stages.validate.thresholds import DEFAULTS


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
    assert all(finding.message and finding.advice for finding in loud(check))
    assert canonical_json(findings_document(check))
    if check.task is not None:
        expected = [column for column in frame.columns if column not in {"target", *fault.left_out}]
        assert [column.name for column in check.task.features] == expected


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("seed", range(20))
def test_a_clean_table_is_suitable(task, seed):
    check = check_frame(clean_table(ROWS, seed, task))
    assert loud(check) == []
    assert check.suitability is Suitability.SUITABLE


def test_every_check_that_runs_has_a_fault_here():
    elsewhere = {check for check in DEFAULTS if check.startswith("schema.")} | {"signal.learning_curve"}
    faults = [*FAULTS.values(), *MODEL_FAULTS.values(), *SPLIT_FAULTS.values()]
    assert {check for fault in faults for check in fault.expected} == set(DEFAULTS) - elsewhere


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
    assert {finding.check for finding in skipped} == {*TARGET_CHECKS, *MODEL_CHECKS}
    assert loud(check) == []
    assert check.task is None
    assert check.suitability is Suitability.SUITABLE


def test_errors_come_first():
    frame = clean_table(ROWS, 1).assign(one=1)
    check = check_frame(frame.assign(copy=frame["target"]))
    assert [finding.severity for finding in check.findings][:2] == [ERROR, WARNING]


def test_columns_that_are_excluded_are_not_looked_at():
    frame = clean_table(ROWS, 1)
    check = check_frame(frame.assign(copy=frame["target"], one=1), features={"exclude": ["copy", "one"]})
    assert loud(check) == []


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
        measured=np.random.default_rng(3).normal(size=ROWS),
        whole=np.random.default_rng(2).permutation(ROWS).astype("float64"),
    )
    assert loud(check_frame(frame)) == []


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


def test_rows_that_contradict_one_another_bound_the_accuracy():
    frame = clean_table(ROWS, 1)
    check = check_frame(pd.concat([frame, frame.head(60).assign(target=1 - frame["target"])]))
    assert "accuracy above 98.81%" in only(check, "rows.conflicting_labels").message


def test_groups_that_are_few_or_missing_are_said():
    frame = clean_table(ROWS, 1)
    two = frame.assign(site=np.where(frame.index % 2 == 0, "a", "b"))
    assert fired(check_frame(two, group="site"))["schema.group"] is ERROR
    some = frame.assign(site=pd.Series([f"s{n % 50}" for n in range(ROWS)]).mask(frame.index < 500))
    finding = only(check_frame(some, group="site"), "schema.group")
    assert (finding.severity, finding.count) == (WARNING, 500)
    assert "they count as one group" in finding.message


def test_times_that_are_few_stop_a_split_by_time_only():
    frame = clean_table(ROWS, 1).assign(day=pd.to_datetime(np.where(np.arange(ROWS) % 2, "2020-01-01", "2021-01-01")))
    assert fired(check_frame(frame, time="day", split={"kind": "time"}))["schema.time"] is ERROR
    assert "schema.time" not in fired(check_frame(frame, time="day"))


@pytest.mark.parametrize("labels", [(0, 1), ("no", "yes")])
def test_a_leak_by_nulls_says_in_which_class_they_are(labels):
    frame = clean_table(2_000, 4)
    frame["target"] = frame["target"].map(dict(enumerate(labels)))
    is_last = frame["target"] == labels[-1]
    frame["x"] = pd.Series(np.arange(len(frame)) % 7 / 3).mask(is_last & (frame.index % 50 != 0))
    share = frame["x"].isna()[is_last].mean()
    message = only(check_frame(frame), "leak.missingness").message
    assert f"missing ({share:.1%} of the rows with {labels[-1]!r}, 0.0% of those with {labels[0]!r})" in message
