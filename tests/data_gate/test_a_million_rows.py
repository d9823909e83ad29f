"""Every statistic of the pass equals pandas on a million rows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from builders import arrow_of, request_of
from raysweep.records.table import Profile
from raysweep.rows.canonical import placed
from raysweep.stages.profile import sample as sample_module
from raysweep.stages.profile.statistics import merge_statistics, statistics_of
from raysweep.stages.profile.summary import summarize


def large_table(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.arange(rows),
            "small": rng.integers(-3, 60, rows),
            "normal": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(50, 9, rows)),
            "tail": rng.pareto(1.2, rows) * 1_000,
            "flag": rng.random(rows) < 0.3,
            "city": rng.choice(["Aachen", "Bonn", "Évora", "na", None], rows),
            "code": rng.integers(10**9, 10**9 + 300_000, rows).astype(str),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**14, rows), unit="us"),
            "target": rng.integers(0, 2, rows),
        }
    )
    return pd.concat([frame.head(rows - 1_000), frame.head(1_000)], ignore_index=True)


@pytest.fixture(scope="module")
def profiled() -> tuple[pd.DataFrame, Profile]:
    frame = large_table(1_000_000)
    arrow, columns = arrow_of(frame)
    blocks = (placed(arrow.slice(first, 150_000), 0, first) for first in range(0, len(frame), 150_000))
    request = request_of(frame)
    found = summarize(
        merge_statistics([*statistics_of(blocks, request, sample_module.hash_bound(len(frame)))]), columns, request
    )
    return frame, found


def test_all_rows_agree_with_pandas(profiled):
    frame, found = profiled
    assert (found.rows, found.duplicate_rows) == (len(frame), int(frame.duplicated().sum()))
    assert found.sample.num_rows == sample_module.SAMPLE_ROWS
    for name in frame.columns:
        column, values = found.column(name), frame[name]
        assert column.nulls == int(values.isna().sum())
        if column.values is not None:  # noqa: PD011
            assert dict(column.values) == values.value_counts().to_dict()
        assert column.distinct == pytest.approx(values.nunique(), rel=0.03 if not column.distinct_exact else 0)
    for name in ("id", "small", "normal", "tail", "target"):
        column, values = found.column(name), frame[name].dropna().to_numpy()
        assert (column.minimum, column.maximum) == (values.min(), values.max())
        assert column.zeros == int((values == 0).sum())
        assert column.mean == math.fsum(values.tolist()) / len(values)
        assert column.std == pytest.approx(float(values.astype(np.longdouble).std(ddof=1)), rel=1e-15)
        ordered = np.sort(values)
        for percent, cut in column.quantiles.items():
            low, high = (np.searchsorted(ordered, cut, side) / len(ordered) for side in ("left", "right"))
            assert low - 0.01 <= int(percent[1:]) / 100 <= high + 0.01
    assert found.column("city").empty_like == int((frame["city"] == "na").sum())
    assert found.column("seen").minimum == frame["seen"].min().isoformat()


def test_the_rows_of_each_class_agree_with_pandas(profiled):
    frame, found = profiled
    assert dict(found.classes) == frame["target"].value_counts().to_dict()
    for position, (label, _) in enumerate(found.classes):
        rows = frame[frame["target"] == label]
        for name in set(frame.columns) - {"target"}:
            assert found.column(name).by_class[position].nulls == int(rows[name].isna().sum())
        for name in ("id", "small", "normal", "tail"):
            counted, numbers = found.column(name).by_class[position], rows[name].dropna().to_numpy()
            assert (counted.minimum, counted.maximum) == (numbers.min(), numbers.max())
            assert counted.mean == math.fsum(numbers.tolist()) / len(numbers)
            assert counted.std == pytest.approx(float(numbers.astype(np.longdouble).std(ddof=1)), rel=1e-15)
        for name in ("small", "city", "flag"):
            column, counts = found.column(name), rows[name].value_counts().to_dict()
            pairs = zip(column.values, column.values_by_class, strict=True)
            assert {value: count[position] for (value, _), count in pairs} == counts
