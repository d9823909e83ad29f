"""A row has one hash, whatever it was stored as; different rows have different ones."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raysweep.records.table import ColumnKind
from raysweep.rows.canonical import canonical_column, canonical_table, kind_of
from raysweep.rows.hashing import digest_of, hash_rows, uniform

DAY = dt.datetime(2024, 2, 29, 13, 5)  # noqa: DTZ001 - columns without a zone are the usual ones
FROZEN = [7813706223872220129, 10640030080274433900]


def hashes(**columns):
    raw = pa.table(columns)
    described = [canonical_column(field.name, field.type) for field in raw.schema]
    return hash_rows(canonical_table(raw, described), raw.column_names).tolist()


def one(values, arrow_type=None):
    return hashes(x=pa.array(values, arrow_type))


def test_numbers_are_the_same_as_integers_and_floats():
    assert one([1, 0, -7, None]) == one([1.0, 0.0, -7.0, None])
    assert one([1, 2], pa.int8()) == one([1, 2], pa.uint32()) == one([1, 2], pa.float32())
    assert one([1.5, None]) == one(np.array([1.5, np.nan])) == one([Decimal("1.50"), None])
    assert one([0.0]) == one([-0.0])


def test_integers_beyond_the_exact_floats_stay_apart():
    far = [2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, -(2**53) - 1]
    assert len(set(one(far, pa.int64()))) == len(far)
    exact = [2**53, 2**53 + 2, 2**62, -(2**63), 3 * 2**54]
    assert one(exact, pa.int64()) == one([float(value) for value in exact], pa.float64())


def test_booleans_are_zero_and_one():
    assert one([True, False, None]) == one([1, 0, None])


def test_texts_and_categories():
    texts = ["a", None, "", "é", "a b", "1"]
    expected = one(texts)
    assert one(texts, pa.large_string()) == expected == one(texts, pa.string_view())
    assert hashes(x=pa.array(texts).dictionary_encode()) == expected
    assert hashes(x=pa.Array.from_pandas(pd.Series(texts, dtype="category"))) == expected
    assert len(set(expected)) == len(texts)
    assert one(["1"]) != one([1])
    assert one(["e\u0301"]) != one(["é"])


def test_dates_in_every_unit():
    expected = one([DAY, None], pa.timestamp("us"))
    for unit in ("s", "ms", "ns"):
        assert one([DAY, None], pa.timestamp(unit)) == expected
    assert one([DAY, None], pa.timestamp("us", "UTC")) == expected
    assert one([dt.date(2024, 2, 29)]) == one([dt.datetime(2024, 2, 29)], pa.date64())  # noqa: DTZ001
    zoned = pd.Series(pd.to_datetime(["2024-02-29 14:05"])).dt.tz_localize("Europe/Berlin")
    assert hashes(x=pa.Array.from_pandas(zoned)) == expected[:1]


def test_durations_times_and_nested_values():
    assert one([dt.timedelta(seconds=90)]) == one([90.0]) == one([dt.time(0, 1, 30)])
    assert one([{"b": 1, "a": [2]}]) == one([{"a": [2], "b": 1}])
    assert one([[1, 2], None]) != one([[1, 3], None])
    assert kind_of(pa.binary()) is ColumnKind.NESTED


def test_a_column_without_values():
    assert one([None, None], pa.null()) == one([None, None], pa.float64()) == one([None, None], pa.string())


def test_neither_the_order_of_columns_nor_the_blocks_matter():
    rows = {"a": [1, 2, 3, 4], "b": ["x", None, "y", "x"], "c": [0.5, None, 2.5, 3.5]}
    expected = hashes(**rows)
    assert hashes(**dict(reversed(rows.items()))) == expected
    cut = {name: pa.chunked_array([values[:1], values[1:3], values[3:]]) for name, values in rows.items()}
    assert hashes(**cut) == expected
    assert hashes(**{name: pa.array(values).slice(2) for name, values in rows.items()}) == expected[2:]


def test_values_belong_to_their_columns():
    assert hashes(a=[1], b=[2]) != hashes(a=[2], b=[1])
    assert hashes(a=[1], b=[None]) != hashes(a=[None], b=[1])
    assert hashes(a=[1]) != hashes(b=[1])


def test_no_two_of_many_rows_share_a_hash():
    numbers = np.arange(-50_000, 50_000)
    table = hashes(a=numbers % 317, b=numbers, c=(numbers % 11).astype(str))
    assert len(set(table)) == len(numbers)
    assert len(set(one(numbers)) | set(one(numbers.astype(str))) | set(one(numbers / 7))) > 2.8 * len(numbers)


def test_hashes_stay_what_they_are():
    """A changed hash would put every row of every published split elsewhere."""
    assert hashes(a=[1, None], b=["x", "é"], c=[True, None], d=[DAY, None]) == FROZEN


def test_no_rows():
    assert one([], pa.int64()) == []
    assert digest_of(np.zeros(0, np.uint64)) == digest_of(np.zeros(0, np.uint64))


def test_uniform_numbers_are_uniform_and_change_with_the_seed():
    keys = np.array(one(np.arange(20_000)), dtype=np.uint64)
    first, second = uniform(keys, 0), uniform(keys, 1)
    assert 0 <= first.min() < first.max() < 1
    assert np.histogram(first, 10, (0, 1))[0] == pytest.approx(2_000, abs=5 * 2_000**0.5)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
