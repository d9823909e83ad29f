"""The same rows from any kind of source are the same table; what is wrong comes out of Ray as our own error."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import clean_table, sweep_config
from raysweep.config import load_config
from raysweep.errors import DataUnsuitable, RequestInvalid
from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW
from raysweep.rows.hashing import hash_rows
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.stages.source import ray_scan, ray_source
from raysweep.stages.source.ray_source import open_table

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


@pytest.fixture(scope="module")
def frame():
    return clean_table(400, seed=5)


def opened(source, **data):
    return open_table(load_config({"version": 1, "data": {"source": str(source), "target": "target", **data}}))


def in_memory(data):
    return open_table(sweep_config(), data)


def rows_of(table):
    return pa.concat_tables(table.scan(iter))


def identity(table):
    rows = rows_of(table)
    assert rows.num_rows == table.rows
    kinds = {column.name: str(column.kind) for column in table.columns}
    assert rows.column_names == [*table.names, FILE_OF_ROW, NUMBER_OF_ROW]
    return kinds, sorted(hash_rows(rows, table.names).tolist())


def write_as(frame, kind, folder: Path):
    halves = [frame.iloc[:150], frame.iloc[150:]]
    if kind in {"csv", "csv.gz"}:
        frame.to_csv(folder / f"t.{kind}", index=False)
        return folder / f"t.{kind}"
    if kind == "jsonl":
        frame.to_json(
            folder / "t.jsonl", orient="records", lines=True, date_format="iso", date_unit="s", double_precision=15
        )
        return folder / "t.jsonl"
    for number, half in enumerate(halves):
        if kind == "csv folder":
            half.to_csv(folder / f"{number}.csv", index=False)
        else:
            half.to_parquet(folder / f"{number}.parquet", row_group_size=60, index=False)
    return folder


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "csv folder", "parquet folder", "jsonl"])
def test_files_with_the_same_rows_are_the_same_table(frame, kind, tmp_path):
    # 15 digits are all that pandas writes into JSON.
    frame = frame.assign(**{name: frame[name].round(6) for name in ("amount", "balance")})
    expected = identity(in_memory(frame))
    table = opened(write_as(frame, kind, tmp_path))
    assert identity(table) == expected
    assert sum(file.size_bytes for file in table.files) > 0


def test_tables_in_memory_are_the_same_table(frame):
    import ray

    expected = identity(in_memory(frame))
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    shuffled = frame.sample(frac=1, random_state=1)[list(reversed(frame.columns))]
    for data in (arrow, shuffled, ray.data.from_pandas([frame.iloc[:1], frame.iloc[1:]]), ray.data.from_arrow(arrow)):
        assert identity(in_memory(data)) == expected


def test_a_frame_of_every_type():
    zoned = pd.to_datetime(pd.Series(["2024-01-01 10:00", None])).dt.tz_localize("Europe/Berlin")
    frame = pd.DataFrame(
        {
            "string": pd.Series(["a", None], dtype="string"),
            "category": pd.Series(["a", None], dtype="category"),
            "codes": pd.Series([7, 8], dtype="category"),
            "nullable": pd.Series([1, None], dtype="Int64"),
            "boolean": pd.Series([True, None], dtype="object"),
            "masked": pd.Series([True, None], dtype="boolean"),
            "zoned": zoned,
            "decimal": [Decimal("1.50"), None],
            "date": [dt.date(2024, 1, 1), None],
            "arrow": pd.Series([1, None], dtype=pd.ArrowDtype(pa.int32())),
            "text": pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
            "empty": [None, None],
            "lists": [[1], None],
            5: [np.float32(0.5), np.nan],
        }
    )
    table = in_memory(frame)
    kinds = {column.name: str(column.kind) for column in table.columns}
    assert kinds == {
        "string": "string",
        "category": "string",
        "codes": "number",
        "nullable": "number",
        "boolean": "boolean",
        "masked": "boolean",
        "zoned": "datetime",
        "decimal": "number",
        "date": "datetime",
        "arrow": "number",
        "text": "string",
        "empty": "number",
        "lists": "nested",
        "5": "number",
    }
    rows = rows_of(table).to_pylist()
    assert rows[0]["zoned"] == dt.datetime(2024, 1, 1, 9, 0)  # noqa: DTZ001 - an instant in UTC, without zone
    assert rows[0]["decimal"] == 1.5
    assert all(value is None for name, value in rows[1].items() if name in table.names and name != "codes")


def test_frames_that_are_refused():
    with pytest.raises(DataUnsuitable, match="'a' holds values of several types") as caught:
        in_memory(pd.DataFrame({"a": [1, "x", None]}, dtype="object"))
    assert caught.value.findings[0].check == "col.mixed_types"
    with pytest.raises(DataUnsuitable, match="'a' stands there more than once"):
        in_memory(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataUnsuitable, match="'a' do not fit"):
        in_memory(pd.DataFrame({"a": np.array([2**63 + 1], dtype=np.uint64)}))
    with pytest.raises(DataUnsuitable, match="no columns"):
        in_memory(pd.DataFrame())
    with pytest.raises(DataUnsuitable, match="these names are taken"):
        in_memory(pd.DataFrame({NUMBER_OF_ROW: [1]}))
    with pytest.raises(RequestInvalid, match="list is not a table"):
        in_memory([1, 2])


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    (tmp_path / "none.csv").write_text("a,b,target\n")
    for table in (opened(tmp_path / "none.csv"), in_memory(pd.DataFrame({"a": [], "b": [], "target": []}))):
        assert table.names == ("a", "b", "target")
        assert rows_of(table).num_rows == 0


def test_what_a_task_cannot_read_is_refused_by_name(tmp_path):
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    for path in (good, bad):
        pq.write_table(pa.table({"a": list(range(5_000)), "target": [0, 1] * 2_500}), path, use_dictionary=False)
    damaged = bytearray(bad.read_bytes())
    damaged[50:5_000] = bytes(4_950)
    bad.write_bytes(bytes(damaged))
    with (
        pytest.raises(DataUnsuitable, match=r"bad\.parquet cannot be read") as caught,
        ray_errors_translated("reading the table"),
    ):
        opened(tmp_path)
    assert [finding.check for finding in caught.value.findings] == ["schema.unreadable"]


def test_large_texts_are_described_by_tasks(frame, tmp_path, monkeypatch):
    expected = identity(in_memory(frame))
    path = write_as(frame, "csv folder", tmp_path)
    monkeypatch.setattr(ray_source, "_DESCRIBE_HERE_BYTES", 0)
    assert identity(opened(path)) == expected
    (tmp_path / "2.csv").write_text("a,b\n1,2,3\n")
    with pytest.raises(DataUnsuitable, match=r"2\.csv cannot be read"), ray_errors_translated("reading"):
        opened(path)


@pytest.mark.parametrize("kind", ["csv folder", "parquet folder"])
def test_a_large_table_is_read_anew_and_its_rows_say_where_they_stand(frame, kind, tmp_path, monkeypatch):
    held = opened(write_as(frame, kind, tmp_path))
    for name in ("_HELD_PARQUET_BYTES", "_HELD_TEXT_BYTES"):
        monkeypatch.setattr(ray_source, name, 0)
    monkeypatch.setattr(ray_scan, "_TASK_BYTES", 1)
    table = opened(tmp_path)
    assert isinstance(held.scan, ray_scan.HeldScan)
    assert identity(table) == identity(held)
    rows = rows_of(table).to_pandas().sort_values([FILE_OF_ROW, NUMBER_OF_ROW])
    assert rows["age"].tolist() == frame["age"].tolist()
    assert rows[FILE_OF_ROW].tolist() == [0] * 150 + [1] * 250
    assert rows[NUMBER_OF_ROW].tolist() == [*range(150), *range(250)]
    two = pa.concat_tables(table.scan(iter, ["age"]))
    assert two.column_names == ["age", FILE_OF_ROW, NUMBER_OF_ROW]
    assert sorted(two.column("age").to_pylist()) == sorted(frame["age"])


def test_rows_in_memory_are_numbered_through(frame):
    import ray

    for data in (frame, ray.data.from_pandas([frame.iloc[:100], frame.iloc[100:]])):
        rows = rows_of(in_memory(data)).to_pandas().sort_values(NUMBER_OF_ROW)
        assert rows[NUMBER_OF_ROW].tolist() == list(range(400))
        assert set(rows[FILE_OF_ROW]) == {-1}
        assert rows["age"].tolist() == frame["age"].tolist()


def test_a_file_that_changes_between_two_readings_is_refused(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_source, "_HELD_PARQUET_BYTES", 0)
    table = opened(write_as(frame, "parquet folder", tmp_path))
    assert rows_of(table).num_rows == 400
    frame.iloc[150:390].to_parquet(tmp_path / "1.parquet", row_group_size=60, index=False)
    with (
        pytest.raises(DataUnsuitable, match=r"1\.parquet has changed since this sweep first read it") as caught,
        ray_errors_translated("reading"),
    ):
        rows_of(table)
    assert [finding.check for finding in caught.value.findings] == ["schema.unreadable"]


def test_columns_are_told_from_fields_of_the_same_path(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_source, "_HELD_PARQUET_BYTES", 0)
    rows = pa.table({"a": [{"b": 1}, {"b": 2}], "a.b": [3, 4], "c.d": ["x", "y"], "target": [0, 1]})
    pq.write_table(rows, tmp_path / "t.parquet")
    table = opened(tmp_path)
    assert table.names == ("a", "a.b", "c.d", "target")
    for name, values in {"a": ['{"b": 1}', '{"b": 2}'], "a.b": [3, 4], "c.d": ["x", "y"]}.items():
        read = pa.concat_tables(table.scan(iter, [name]))
        assert read.column(name).to_pylist() == values
