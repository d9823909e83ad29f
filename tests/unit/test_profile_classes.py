"""Statistics by the target's classes agree with pandas, and do not depend on blocks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from builders import arrow_of, clean_table, profile_of, request_of, table_of
from raysweep.documents import canonical_json
from raysweep.records.table import ClassStatistics, Profile
from raysweep.rows.canonical import placed
from raysweep.stages.profile.classes import MAX_CLASSES, MAX_PAIRS
from raysweep.stages.profile.document import profile_document
from raysweep.stages.profile.statistics import block_statistics, merge_statistics
from raysweep.stages.profile.summary import summarize


def in_blocks(frame: pd.DataFrame, bounds: list[int]) -> Profile:
    arrow, columns = arrow_of(frame)
    rows = placed(arrow, 0, 0)
    parts = [block_statistics(rows.slice(start, end - start), request_of(frame)) for start, end in pairwise(bounds)]
    merged = merge_statistics([merge_statistics(parts[:2]), *parts[2:]])
    return summarize(merged, columns, request_of(frame))


@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes", "perhaps"], [False, True], [0.5, 2.0]])
def test_each_class_agrees_with_pandas(labels):
    rng = np.random.default_rng(1)
    frame = clean_table(3_000, seed=1).assign(target=rng.choice(labels, 3_000))
    frame["amount"] = frame["amount"].mask(rng.random(3_000) < 0.2).mask(rng.random(3_000) < 0.01, np.inf)
    frame["city"] = frame["city"].mask(frame["target"] == labels[1])
    frame["target"] = frame["target"].mask(rng.random(3_000) < 0.1)
    frame["target"] = frame["target"].astype("boolean") if labels[0] is False else frame["target"]
    profile = in_blocks(frame, [0, 10, 700, 701, 3_000])
    counts = frame["target"].value_counts()
    assert profile.classes == tuple((label, counts[label]) for label in sorted(labels))
    for position, (label, _) in enumerate(profile.classes):
        rows = frame[frame["target"].eq(label).fillna(value=False).to_numpy(bool)]
        assert profile.column("city").by_class[position] == ClassStatistics(int(rows["city"].isna().sum()))
        joined = profile.column("joined").by_class[position]
        assert (joined.minimum, joined.maximum) == (rows["joined"].min().isoformat(), rows["joined"].max().isoformat())
        assert (joined.mean, joined.std) == (None, None)
        for name in ("amount", "age", "member"):
            found, values = profile.column(name).by_class[position], rows[name].astype("float64").dropna()
            finite = values[np.isfinite(values)]
            assert found.nulls == int(rows[name].isna().sum())
            assert (found.minimum, found.maximum) == (finite.min(), finite.max())
            assert found.mean == pytest.approx(finite.mean(), rel=1e-12)
            assert found.std == pytest.approx(finite.std(), rel=1e-12)
        for name in ("city", "plan", "age", "member"):
            column, counted = profile.column(name), rows[name].value_counts().to_dict()
            found = zip(column.values, column.values_by_class, strict=True)
            assert {value: count[position] for (value, _), count in found if count[position]} == counted


def test_the_moments_of_all_rows_are_those_without_classes():
    frame = clean_table(2_000, seed=2)
    frame["target"] = frame["target"].mask(frame.index % 5 == 0)
    for name in ("amount", "visits"):
        with_classes, without = profile_of(frame).column(name), profile_of(frame, None).column(name)
        assert (with_classes.mean, with_classes.std) == (without.mean, without.std)
        assert with_classes.by_class
        assert without.by_class == ()


@pytest.mark.parametrize(("classes", "counted"), [(MAX_CLASSES, True), (MAX_CLASSES + 1, False)])
def test_too_many_classes_are_not_counted_whatever_the_blocks(classes, counted):
    frame = pd.DataFrame({"x": np.arange(420) % 7, "target": np.repeat(np.arange(21), 20) % classes})
    for bounds in ([0, 420], [0, 200, 420], [0, 1, 2, 3, 400, 420]):
        profile = in_blocks(frame, bounds)
        assert (profile.classes is not None) is counted
        assert len(profile.column("x").by_class) == (classes if counted else 0)
        assert (profile.column("x").values_by_class is not None) is counted
        assert profile.column("target").by_class == ()
        canonical_json(profile_document(profile, table_of(frame)))


def test_too_many_pairs_are_not_counted_whatever_the_blocks():
    rows = 2 * (MAX_PAIRS + 1)
    frame = pd.DataFrame({"x": np.arange(rows) // 2, "y": np.arange(rows) // 4, "target": np.arange(rows) % 2})
    for bounds in ([0, rows], [0, rows // 2, rows], [0, 1, 900, rows]):
        profile = in_blocks(frame, bounds)
        assert profile.column("x").values_by_class is None
        assert len(profile.column("x").by_class) == 2
        assert profile.column("y").values_by_class is None
        few = in_blocks(frame.head(MAX_PAIRS), [0, MAX_PAIRS // 2, MAX_PAIRS])
        assert few.column("y").values_by_class == ((2, 2),) * (MAX_PAIRS // 4)


def test_a_negative_zero_is_the_class_of_zero():
    frame = pd.DataFrame({"x": [1, 2, 3, None], "target": [0.0, -0.0, 1.5, -0.0]})
    profile = profile_of(frame)
    assert profile.classes == ((0.0, 3), (1.5, 1))
    assert profile.column("x").by_class == (ClassStatistics(1, 1.0, 2.0, 1.5, 0.5**0.5), ClassStatistics(0, 3, 3, 3))


def test_instants_and_absent_targets_make_no_classes():
    frame = pd.DataFrame({"x": [1, 2], "target": pd.to_datetime(["2020-01-01", "2021-01-01"])})
    for profile in (profile_of(frame), profile_of(frame, None)):
        assert profile.classes is None
        assert profile.column("x").by_class == ()
    nothing = profile_of(frame.assign(target=pd.Series([None, None], dtype="float64")))
    assert nothing.classes == ()
    assert nothing.column("x").by_class == ()


def test_the_document_says_what_goes_with_each_class():
    frame = pd.DataFrame(
        {"x": ["a", "a", "b", None], "when": pd.to_datetime(["2020-01-01"] * 4), "target": [0, 1, 1, 1]}
    )
    document = profile_document(profile_of(frame), table_of(frame))
    assert document["classes"] == [{"value": 0, "count": 1}, {"value": 1, "count": 3}]
    x, when, target = document["columns"]
    assert x["most_frequent"][0] == {"value": "a", "count": 2, "by_class": [1, 1]}
    assert [one["nulls"] for one in x["by_class"]] == [0, 1]
    assert when["by_class"][1]["maximum"] == "2020-01-01T00:00:00"
    assert when["most_frequent"] == [{"value": "2020-01-01T00:00:00", "count": 4, "by_class": [1, 3]}]
    assert target["by_class"] is None
