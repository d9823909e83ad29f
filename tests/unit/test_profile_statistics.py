"""Statistics are exact, agree with pandas, and do not depend on blocks."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import arrow_of, clean_table, profile_of, request_of, table_of
from raysweep.documents import canonical_json
from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, LabelConflicts, Place, Profile
from raysweep.rows.canonical import placed
from raysweep.rows.hashing import hash_rows
from raysweep.stages.profile import sample as sample_module
from raysweep.stages.profile.distinct import MAX_EXACT, DistinctValues, bounded, estimate, merge_distinct
from raysweep.stages.profile.document import profile_document
from raysweep.stages.profile.gathered import GatheredRows
from raysweep.stages.profile.moments import merge_moments, moments_of
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.statistics import block_statistics, merge_statistics, statistics_of
from raysweep.stages.profile.summary import summarize

EXTREME = [1e308, -1e308, 5e-324, -5e-324, 1.5, 0.1, -0.0, 0.0, 1e-300, 3.0e15, 2.0**53 + 2]


def odd_table(rows: int = 3_000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    extremes = np.array([*EXTREME, np.inf, -np.inf, np.nan])
    integers = np.array([-(2**63), 2**63 - 1, 0, 2**53 + 1, -7])
    return pd.DataFrame(
        {
            "extreme": rng.choice(extremes, rows),
            "integer": rng.choice(integers, rows),
            "id": rng.permutation(rows),
            "text": rng.choice(["é", "Ωmega", "日本", "", " NA ", "?", "None", "plain"], rows),
            "nothing": pd.Series([None] * rows, dtype="float64"),
            "flag": pd.Series(rng.choice([True, False, None], rows), dtype="boolean"),
            "when": pd.Timestamp("1969-07-20T20:17:40.000001") + pd.to_timedelta(rng.integers(0, 900, rows), unit="h"),
            "target": rng.choice([0.0, 1.0, np.nan], rows, p=[0.5, 0.4, 0.1]),
        }
    )


def profile_in_blocks(frame: pd.DataFrame, blocks: int, seed: int) -> Profile:
    arrow, columns = arrow_of(frame)
    rng = np.random.default_rng(seed)
    arrow = placed(arrow, 0, 0).take(rng.permutation(arrow.num_rows))
    cuts = np.sort(rng.integers(0, arrow.num_rows + 1, blocks - 1)).tolist()
    bounds = [0, *cuts, arrow.num_rows]
    parts = [block_statistics(arrow.slice(start, end - start), request_of(frame)) for start, end in pairwise(bounds)]
    merged = [parts[0]]
    for part in parts[1:]:
        merged.append(part)
        if len(merged) > 5:
            merged = [merge_statistics(merged)]
    return summarize(merge_statistics(merged), columns, request_of(frame))


@pytest.mark.parametrize("blocks", [1, 7, 64])
@pytest.mark.parametrize("seed", [1, 2])
def test_blocks_and_order_do_not_matter(monkeypatch, blocks, seed):
    monkeypatch.setattr(sample_module, "SAMPLE_ROWS", 500)
    frame = odd_table()
    whole, cut = profile_of(frame), profile_in_blocks(frame, blocks, seed)
    assert whole == cut
    assert whole.sample.num_rows == 500
    assert whole.sample.equals(cut.sample)
    table = table_of(frame)
    assert canonical_json(profile_document(whole, table)) == canonical_json(profile_document(cut, table))


def test_sums_are_exact_and_rounded_once():
    rng = np.random.default_rng(3)
    numbers = np.concatenate(
        [
            rng.normal(size=5_000) * 10.0 ** rng.integers(-300, 300, 5_000),
            np.array(EXTREME),
            [1e16, 1.0, -1e16],
        ]
    )
    moments = moments_of(numbers)
    exact = [Fraction(number) for number in numbers.tolist()]
    assert Fraction(moments.total, 2**1126) == sum(exact)
    assert Fraction(moments.squares, 2**2252) == sum(number * number for number in exact)
    assert moments.mean == float(sum(exact) / len(exact))
    assert merge_moments(moments_of(chunk) for chunk in np.array_split(rng.permutation(numbers), 9)) == moments
    plain = rng.normal(size=1_000)
    assert moments_of(plain).mean == pytest.approx(math.fsum(plain.tolist()) / 1_000, rel=1e-15)


@pytest.mark.parametrize("scale", [1.0, 1e-150, 3e200])
def test_everyday_numbers_are_summed_exactly_too(scale):
    rng = np.random.default_rng(5)
    columns = [rng.normal(size=5_000) * scale, rng.pareto(1.1, 5_000) * scale, rng.integers(-9, 9, 5_000)]
    for numbers in (*columns, np.zeros(3), rng.integers(-(2**53), 2**53, 5_000)):
        moments, exact = moments_of(numbers), [Fraction(number) for number in numbers.tolist()]
        assert Fraction(moments.total, 2**1126) == sum(exact)
        assert Fraction(moments.squares, 2**2252) == sum(number * number for number in exact)


def test_integers_are_summed_beyond_64_bits():
    numbers = np.array([-(2**63), 2**63 - 1, 2**63 - 1, 12345678901, -3], dtype=np.int64)
    moments = moments_of(numbers)
    assert moments.total == sum(numbers.tolist()) << 1126
    assert moments.squares == sum(number * number for number in numbers.tolist()) << 2252


@pytest.mark.parametrize(
    ("numbers", "mean", "std"),
    [([], None, None), ([2.5], 2.5, None), ([1.0, 1.0], 1.0, 0.0), ([1.7e308, -1.7e308], 0.0, None)],
)
def test_moments_of_few_numbers(numbers, mean, std):
    moments = moments_of(np.array(numbers, dtype=np.float64))
    assert (moments.mean, moments.std) == (mean, std)


def test_agrees_with_pandas():
    frame = clean_table(20_000, seed=5)
    profile = profile_of(pd.concat([frame, frame.head(123)]))
    frame = pd.concat([frame, frame.head(123)])
    assert profile.rows == len(frame)
    assert profile.duplicate_rows == int(frame.duplicated().sum()) == 123
    for name in frame.columns:
        found, column = profile.column(name), frame[name]
        assert found.nulls == int(column.isna().sum())
        assert found.distinct == column.nunique()
        assert found.distinct_exact
        if found.values is not None and name != "joined":  # noqa: PD011
            assert dict(found.values) == column.value_counts().to_dict()
    for name in ("amount", "age", "visits", "balance", "target", "member"):
        found, column = profile.column(name), frame[name].astype("float64")
        assert found.mean == pytest.approx(column.mean(), rel=1e-12)
        assert found.std == pytest.approx(column.std(), rel=1e-12)
        assert (found.minimum, found.maximum) == (column.min(), column.max())
    assert profile.column("amount").quantiles["p50"] == pytest.approx(frame["amount"].median(), rel=1e-3)
    assert profile.column("joined").minimum == frame["joined"].min().isoformat()
    assert profile.column("age").integral
    assert not profile.column("amount").integral


def test_odd_values_are_counted_apart():
    frame = odd_table()
    profile = profile_of(frame)
    extreme, text = profile.column("extreme"), profile.column("text")
    assert extreme.infinite == int(np.isinf(frame["extreme"]).sum())
    assert extreme.nulls == int(frame["extreme"].isna().sum())
    assert extreme.zeros == int((frame["extreme"] == 0).sum())
    assert (extreme.minimum, extreme.maximum) == (-1e308, 1e308)
    assert text.empty_like == int(frame["text"].isin(["", " NA ", "?", "None"]).sum())
    assert dict(text.values) == frame["text"].value_counts().to_dict()
    nothing = profile.column("nothing")
    assert (nothing.nulls, nothing.distinct, nothing.mean, nothing.minimum) == (len(frame), 0, None, None)
    assert (profile.column("integer").minimum, profile.column("integer").maximum) == (-(2**63), 2**63 - 1)
    both = frame["extreme"].isna() & frame["target"].isna()
    assert extreme.nulls_with_target_missing == int(both.sum())


def test_an_empty_table_has_zeros():
    frame = odd_table().head(0)
    profile = profile_of(frame)
    assert (profile.rows, profile.duplicate_rows) == (0, 0)
    assert all(column.count == column.nulls == column.distinct == 0 for column in profile.columns)
    canonical_json(profile_document(profile, table_of(frame)))


def distinct_of(values: pa.Array) -> DistinctValues:
    return bounded(*values.value_counts().flatten())


def test_values_are_dropped_beyond_the_limit_whatever_the_blocks():
    numbers = pa.array(range(MAX_EXACT + 1))
    for array, is_exact in ((numbers.slice(1), True), (numbers, False)):
        parts = [distinct_of(array.slice(start, 4_000)) for start in range(0, len(array), 4_000)]
        merged, whole = merge_distinct(parts), distinct_of(array)
        nested = merge_distinct([merge_distinct(parts[:2]), merge_distinct(parts[1:])])
        assert merged.is_exact == whole.is_exact == nested.is_exact == is_exact
        if not is_exact:
            assert np.array_equal(merged.registers, whole.registers)
            assert np.array_equal(nested.registers, whole.registers)


@pytest.mark.parametrize("distinct", [10_001, 40_000, 300_000])
def test_the_estimate_is_close(distinct):
    sketch = distinct_of(pa.array(range(distinct)))
    assert sketch.registers is not None
    assert estimate(sketch.registers) == pytest.approx(distinct, rel=0.03)


def test_distinct_is_exact_where_the_sample_is_the_table():
    frame = pd.DataFrame({"id": range(15_000)})
    column = profile_of(frame, None).column("id")
    assert column.values is None  # noqa: PD011
    assert (column.distinct, column.distinct_exact) == (15_000, True)


def test_the_document_is_bounded_and_has_no_nan():
    frame = odd_table().assign(text=[f"{'long ' * 50}{number}" for number in range(3_000)])
    document = profile_document(profile_of(frame), table_of(frame))
    assert canonical_json(document)
    by_name = {column["name"]: column for column in document["columns"]}
    assert len(by_name["text"]["most_frequent"]) == 20
    assert all(len(shown["value"]) <= 60 for shown in by_name["text"]["most_frequent"])
    assert "inf" in [shown["value"] for shown in by_name["extreme"]["most_frequent"]]


def test_conflicting_targets_are_counted_exactly():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"a": rng.integers(0, 40, 3_000), "b": rng.choice(["x", "y", None], 3_000)})
    frame["noise"] = rng.random(3_000)
    frame["target"] = rng.choice(["p", "q", "r", None], 3_000)
    request = ProfileRequest("target", ("a", "b"), ("a", "b", "noise"))
    arrow, columns = arrow_of(frame)
    block = placed(arrow, 0, 0)
    parts = [block_statistics(block.slice(start, 700), request) for start in range(0, 3_000, 700)]
    found = summarize(merge_statistics(parts), columns, request).conflicts
    known = frame.dropna(subset="target")
    groups = known.groupby(["a", "b"], dropna=False)["target"]
    torn = groups.nunique() > 1  # noqa: PD101 - of each group
    assert found.combinations == groups.ngroups
    assert found.rows == groups.size()[torn].sum()
    assert found.minority_rows == (groups.size() - groups.agg(lambda of: of.value_counts().max()))[torn].sum()


def test_conflicts_are_not_counted_for_a_target_of_many_values_or_none():
    frame = pd.DataFrame({"a": [0] * 12_000, "target": range(12_000)})
    assert profile_of(frame).conflicts is None
    assert profile_of(frame.head(9_000)).conflicts == LabelConflicts(1, 9_000, 8_999)
    assert profile_of(frame.head(9_000), None).conflicts is None


def test_rows_with_equal_features_stand_together_in_the_sample():
    frame = clean_table(600, seed=4)
    twice = pd.concat([frame, frame.assign(target=1 - frame["target"])])
    sample = profile_of(twice).sample
    features = hash_rows(sample, [name for name in frame.columns if name != "target"])
    assert features[::2].tolist() == features[1::2].tolist()
    assert np.all(np.diff(features[::2].astype(float)) > 0)
    assert profile_of(twice.sample(frac=1, random_state=1)).sample.equals(sample)


def test_each_row_of_the_sample_has_its_key_and_its_place(monkeypatch):
    monkeypatch.setattr(sample_module, "SAMPLE_ROWS", 100)
    frame = pd.concat([clean_table(300, seed=6)] * 2, ignore_index=True)
    request = ProfileRequest("target", ("age",), ("city", "plan"))
    arrow, columns = arrow_of(frame)
    halves = [placed(arrow.slice(0, 200), 1, 0), placed(arrow.slice(200), 0, 0)]
    for order in (halves, halves[::-1]):
        profile = summarize(merge_statistics([block_statistics(half, request) for half in order]), columns, request)
        assert profile.sample_keys.tolist() == hash_rows(profile.sample, ("city", "plan")).tolist()
        files, rows = (profile.sample_places.column(name).to_numpy() for name in (FILE_OF_ROW, NUMBER_OF_ROW))
        assert profile.sample.equals(arrow.take(np.where(files == 1, rows, 200 + rows)))
        twins = profile.sample_places.to_pylist()
        assert [tuple(place.values()) for place in twins[::2]] < [tuple(place.values()) for place in twins[1::2]]


def test_odd_numbers_are_found_where_they_stand():
    frame = pd.DataFrame({"a": [1.0, np.inf, np.nan, 1e39, 3.4e38] * 4, "b": 0})
    arrow, columns = arrow_of(frame)
    request = ProfileRequest()
    parts = [block_statistics(placed(arrow.slice(10), 0, 10), request)]
    parts.append(block_statistics(placed(arrow.slice(0, 10), 0, 0), request))
    found = summarize(merge_statistics(parts), columns, request).column("a")
    assert (found.infinite, found.beyond_float32) == (4, 4)
    assert found.odd_places == tuple(Place(0, row) for row in (1, 3, 6, 8, 11))


def test_columns_that_grow_with_the_rows_are_found_over_blocks_and_files():
    rows = 30
    frame = pd.DataFrame(
        {
            "up": np.arange(rows),
            "down": -np.arange(rows) / 7,
            "step": np.arange(rows) // 2,
            "turns": np.abs(np.arange(rows) - 10),
            "gap": pd.Series(range(rows)).where(lambda of: of != 12),
            "text": [f"{number:03}" for number in range(rows)],
        }
    )
    arrow, columns = arrow_of(frame)
    blocks = [placed(arrow.slice(first, 5), first // 10, first % 10) for first in range(0, rows, 5)]
    single = [placed(arrow.slice(first, 1), 0, first) for first in range(rows)]
    shuffled = placed(arrow, 0, 0).take(np.random.default_rng(0).permutation(rows))
    for parts in (blocks, blocks[::-1], single, [shuffled]):
        statistics = merge_statistics([block_statistics(part, ProfileRequest()) for part in parts])
        assert summarize(statistics, columns, ProfileRequest()).increasing == ("up", "down")
    assert profile_of(frame.head(1), None).increasing == ()
    assert profile_of(frame.head(0), None).increasing == ()


def test_what_is_known_of_many_values_does_not_change_what_is_counted():
    rng = np.random.default_rng(1)
    rows = 60_000
    frame = pd.DataFrame(
        {
            "text": np.where(rng.random(rows) < 0.01, " N/A ", rng.integers(0, 30_000, rows).astype(str)),
            "number": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "zero": np.where(np.arange(rows) % 20_000, np.arange(rows) % 10_000, -0.0),
        }
    )
    arrow, columns = arrow_of(frame)
    request = ProfileRequest()
    block = placed(arrow, 0, 0)
    (together,) = statistics_of([block], request)
    apart = merge_statistics(
        [block_statistics(block.slice(first, 15_000), request) for first in range(0, rows, 15_000)]
    )
    assert summarize(together, columns, request) == summarize(apart, columns, request)
    assert together.columns["text"].empty_like == int((frame["text"] == " N/A ").sum())
    assert together.columns["zero"].distinct.count == 10_000


def test_rows_that_are_gathered_from_parts_are_those_of_the_table():
    frame = pd.DataFrame({"a": np.arange(900) % 70, "target": [label for label in "cab" for _ in range(300)]})
    arrow, columns = arrow_of(frame)
    request = request_of(frame)
    parts = [block_statistics(placed(arrow.slice(first, 300), 0, first), request) for first in (0, 300, 600)]
    whole = summarize(merge_statistics(parts), columns, request)
    most = int(pd.crosstab(frame["a"], frame["target"]).max(axis=1).sum())
    for rows in (900, None, 10):
        gathered = GatheredRows(rows)
        merged = merge_statistics([gathered.take(part) for part in parts])
        found = summarize(gathered.give_back(merged), columns, request)
        assert found == whole
        assert found.conflicts == LabelConflicts(70, 900, 900 - most)


def test_no_more_than_half_a_million_rows_are_held_together():
    blocks = [
        placed(pa.table({"a": np.arange(first, first + 100_000)}), 0, first) for first in range(0, 700_000, 100_000)
    ]
    found = list(statistics_of(blocks, ProfileRequest()))
    assert sum(part.rows for part in found) == 700_000
    assert max(part.rows for part in found) <= 524_288
    assert list(statistics_of([], ProfileRequest())) == []
