"""A few bytes that would fill the memory are refused; honest tables come out as parquet's own reader has them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysweep.bundle import bounded
from raysweep.bundle.bounded import read_document, read_table
from raysweep.errors import BundleRefused, NotFound
from raysweep.storage.local import LocalStore

OLD = Path(__file__).parents[1] / "compat/v1/bundle"


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def one_text(text: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


@pytest.mark.parametrize("name", ["golden.parquet", "trials.parquet"])
def test_an_honest_table_is_what_it_was(name):
    wanted = pq.read_table(OLD / name)
    assert read_table(LocalStore(OLD), name, 10_000).equals(wanted)


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_long_text_that_is_said_often_is_refused(store, tmp_path, is_nested):
    column = one_text("x" * 1_000_000, 100_000)  # 100 GB, spelled out
    column = pa.StructArray.from_arrays([column], ["a"]) if is_nested else column
    pq.write_table(pa.table({"features": column}), tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 2_000_000
    with pytest.raises(BundleRefused, match=r"would take 100,000,000,000 bytes of memory"):
        read_table(store, "bomb.parquet", 1_000_000)


def test_too_many_rows_or_bytes_are_refused(store, tmp_path, monkeypatch):
    pq.write_table(pa.table({"a": [1.0] * 1_001}), tmp_path / "t.parquet")
    with pytest.raises(BundleRefused, match="has 1,001 rows; raysweep reads up to 1,000"):
        read_table(store, "t.parquet", 1_000)
    monkeypatch.setattr(bounded, "MAX_TABLE_BYTES", 100)
    with pytest.raises(BundleRefused, match=r"t\.parquet is [\d,]+ bytes large; raysweep reads up to 100"):
        read_table(store, "t.parquet", 2_000)


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_refused(store, tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(BundleRefused, match=r"t\.parquet cannot be read"):
        read_table(store, "t.parquet", 10)


@pytest.mark.parametrize("content", ["", "{", "[" * 200_000, "[1]", '"text"', '{"a": \ud800}'])
def test_what_is_no_document_is_refused(store, tmp_path, content):
    (tmp_path / "d.json").write_text(content, errors="surrogatepass")
    with pytest.raises(BundleRefused, match=r"d\.json (cannot be read|holds no JSON object)"):
        read_document(store, "d.json")


def test_a_large_document_is_refused_before_it_is_read(store, tmp_path, monkeypatch):
    (tmp_path / "d.json").write_text(json.dumps({"a": "b" * 100}))
    assert read_document(store, "d.json")["a"].startswith("b")
    monkeypatch.setattr(bounded, "MAX_DOCUMENT_BYTES", 50)
    with pytest.raises(BundleRefused, match="raysweep reads up to 50"):
        read_document(store, "d.json")
    with pytest.raises(NotFound):
        read_document(store, "nothing.json")
