"""Which files an address names, and what the columns of one or many files are; without Ray."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysweep.config import S3Config
from raysweep.errors import DataUnsuitable, NotFound, RequestInvalid
from raysweep.records.table import ColumnKind
from raysweep.rows.hashing import hash_rows
from raysweep.stages.source import readers
from raysweep.stages.source.addresses import FileReach, find_files, infer_format
from raysweep.stages.source.file_schema import reconcile
from raysweep.stages.source.readers import ReadPiece, describe_file, read_piece

REACH = FileReach()


def names(*sources, declared=None):
    return [Path(file.address).name for file in find_files([str(source) for source in sources], REACH, declared)]


def described(*paths):
    formats = [infer_format(find_files([str(path)], REACH), None) for path in paths]
    schemas = [describe_file(str(path), kind, REACH)[0] for path, kind in zip(paths, formats, strict=True)]
    return reconcile(schemas)


def types(*paths):
    return {column.name: column.type for column in described(*paths)}


def read(path, file_format="csv", columns=None):
    columns = columns or described(path)
    return pa.concat_tables(read_piece(ReadPiece(str(path), file_format), columns, REACH))


def csv(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path, check):
    with pytest.raises(DataUnsuitable) as caught:
        described(path)
    assert path.name in str(caught.value)
    assert [finding.check for finding in caught.value.findings] == [check]
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data files of two folders, hidden ones, and one that is no data."""
    for name in ("a.csv", "b.csv", "sub/c.csv", "_tmp/d.csv", ".git/e.csv", ".f.csv", "_g.csv", "README.md"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n1\n")
    return tmp_path / "data"


def test_a_folder_gives_its_visible_data_files(folder):
    assert names(folder) == names(f"{folder}/") == ["a.csv", "b.csv", "c.csv"]


def test_globs(folder, monkeypatch):
    assert names(folder / "*.csv") == ["_g.csv", "a.csv", "b.csv"]
    assert names(folder / "[ab].csv") == ["a.csv", "b.csv"]
    assert names(folder / "**" / "*.csv") == ["_g.csv", "d.csv", "a.csv", "b.csv", "c.csv"]
    assert names(folder / "*" / "c.csv") == ["c.csv"]
    monkeypatch.chdir(folder)
    assert names("a*.csv") == names("./a*.csv") == ["a.csv"]
    with pytest.raises(NotFound, match="nothing matches"):
        names(folder / "*.parquet")
    csv(folder, "x\n", "odd[1].csv")
    assert names(folder / "odd[1].csv") == ["odd[1].csv"]


def test_a_list_of_addresses_names_each_file_once(folder):
    assert names(folder / "b.csv", folder / "a.csv", folder / "b.csv", folder / "a*.csv") == ["a.csv", "b.csv"]


def test_addresses_that_name_nothing(folder, tmp_path):
    with pytest.raises(NotFound, match=r"did you mean 'a\.csv'"):
        names(folder / "aa.csv")
    with pytest.raises(NotFound, match="nor a folder"):
        names(tmp_path / "absent" / "a.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="it is empty"):
        names(tmp_path / "empty")
    csv(tmp_path / "empty", "x\n", "x.docx")
    with pytest.raises(NotFound, match=r"it holds x\.docx"):
        names(tmp_path / "empty")
    with pytest.raises(NotFound, match="cannot be read"):
        names("a" * 300 + ".csv")
    with pytest.raises(RequestInvalid, match="not s3://"):
        names("https://host/a.csv")


def test_formats(folder, tmp_path):
    assert infer_format(find_files([str(folder)], REACH), None) == "csv"
    csv(tmp_path, "x\n", "part-0001")
    with pytest.raises(RequestInvalid, match="does not tell its format"):
        infer_format(find_files([str(tmp_path / "part-0001")], REACH), None)
    csv(folder, "", "z.PARQUET")
    with pytest.raises(RequestInvalid, match="several formats"):
        infer_format(find_files([str(folder)], REACH), None)
    assert names(folder, declared="csv") == ["a.csv", "b.csv", "c.csv"]
    assert names(folder, declared="parquet") == ["z.PARQUET"]
    with pytest.raises(NotFound, match="no jsonl files"):
        names(tmp_path / "data" / "sub", declared="jsonl")
    (tmp_path / "spark").mkdir()
    csv(tmp_path / "spark", "x\n", "part-0001")
    assert names(tmp_path / "spark", declared="csv") == ["part-0001"]


def test_s3_settings_are_completed_from_the_environment(monkeypatch, clean_aws):
    assert FileReach.from_config(S3Config()) == FileReach()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert FileReach.from_config(S3Config()) == FileReach("http://127.0.0.1:9000", "eu-north-1")
    declared = S3Config(endpoint_url="https://s3.example.org", addressing_style="virtual")
    assert FileReach.from_config(declared) == FileReach("https://s3.example.org", "eu-north-1", virtual_hosts=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", ""], "int64"),
        (["1", "2.5"], "double"),
        (["1", "NA", "nan", "null", "None", "#N/A"], "int64"),
        (["1e3", "inf"], "double"),
        (["True", "false", "NA", "TRUE"], "bool"),
        (["True", "0"], "string"),
        (["2024-01-31", "2024-02-01 10:30:00"], "timestamp[us]"),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00:00+02:00"], "timestamp[us, tz=UTC]"),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00:00"], "string"),
        (["2024-01-31", "soon"], "string"),
        (["31.01.2024"], "string"),
        (["0x1F", "0x20"], "string"),
        (["1,5"], "string"),
        ([" 1", "2 "], "int64"),
        (["", "NA"], "double"),
        (["yes", "no"], "string"),
        (["99999999999999999999"], "double"),
    ],
)
def test_types_of_csv_columns(tmp_path, values, expected):
    quoted = "".join(f'"{value}",0\n' for value in values)
    assert types(csv(tmp_path, f"x,y\n{quoted}"))["x"] == expected


def test_types_are_decided_over_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1_000)
    rows = [f"{number},{number},{number},,true\n" for number in range(2_000)]
    rows.insert(1_000, "x,0.5,3,2024-01-01,\n")
    path = csv(tmp_path, "a,b,c,d,e\n" + "".join(rows))
    assert types(path) == {"a": "string", "b": "double", "c": "int64", "d": "timestamp[us]", "e": "bool"}
    table = read(path)
    assert table.num_rows == 2_001
    assert table.column("a")[999:1_001].to_pylist() == ["999", "x"]
    assert table.column("b")[999:1_001].to_pylist() == [999.0, 0.5]
    assert table.column("e")[999:1_001].to_pylist() == [True, None]
    assert table.column("d").null_count == 2_000


def test_quotes_newlines_and_spaces_in_text_are_kept(tmp_path):
    path = csv(tmp_path, 'a,b\n"x, ""y""\nz",1\n  s ,2\n')
    assert read(path).column("a").to_pylist() == ['x, "y"\nz', "  s "]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    assert types(csv(tmp_path, "\ufeffa,b\n1,2\n")) == {"a": "int64", "b": "int64"}


@pytest.mark.parametrize(("name", "pack"), [("t.csv.gz", gzip.compress), ("t.csv.bz2", bz2.compress)])
def test_compressed_files(tmp_path, name, pack):
    path = csv(tmp_path, pack(b"a,b\n1,x\n2,y\n"), name)
    assert read(path).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    broken = csv(tmp_path, pack(b"a,b\n" + b"1,x\n" * 9_999)[:-20], "broken." + name)
    refusal(broken, "schema.unreadable")


def test_header_only_files_have_columns_and_no_rows(tmp_path):
    path = csv(tmp_path, "a,b\n")
    assert types(path) == {"a": "double", "b": "double"}
    assert read(path).num_rows == 0
    assert read(path).column_names == ["a", "b"]
    full = csv(tmp_path, "a,b\n1,x\n", "full.csv")
    assert types(path, full) == types(full, path) == {"a": "int64", "b": "string"}


@pytest.mark.parametrize(
    ("text", "check", "said"),
    [
        ("", "schema.unreadable", "cannot be read: Empty"),
        ("\n", "schema.unreadable", "cannot be read"),
        ("a,b\n1,2\n3\n", "schema.unreadable", "Expected 2 columns, got 1"),
        ("a,b\n1,2\n3,4,5\n", "schema.unreadable", "Expected 2 columns, got 3"),
        ("a;b\n1;2\n", "schema.unreadable", "not separated by commas"),
        ("a\tb\n1\t2\n", "schema.unreadable", "not separated by commas"),
        ("a,b,a\n1,2,3\n", "schema.duplicate_name", "'a' stands there more than once"),
        (",b\n1,2\n", "schema.empty_name", "column 1 of 2 has no name"),
        ("a,  \n1,2\n", "schema.empty_name", "column 2 of 2 has no name"),
        (b"a,b\n\xe9\xe8,1\n", "schema.unreadable", "cannot be read"),
        (b"a\xe9,b\n1,1\n", "schema.unreadable", "cannot be read"),
        (b"PAR1\x00\x01\x02", "schema.unreadable", ""),
    ],
)
def test_csv_files_that_are_refused(tmp_path, text, check, said):
    if text == b"PAR1\x00\x01\x02":
        assert "cannot be read" in refusal(csv(tmp_path, text, "t.parquet"), check)
    else:
        assert said in refusal(csv(tmp_path, text), check)


def test_odd_but_usable_names(tmp_path):
    odd = ["größe", "<b>bold</b>", "a" * 5_000, 'quote"d', "日本", "a.b", " lead", "line\nbreak"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in odd)
    path = csv(tmp_path, f"{header}\n{','.join('1' for _ in odd)}\n")
    assert list(types(path)) == odd
    twice = csv(tmp_path, f"{'a' * 5_000},{'a' * 5_000}\n1,2\n", "twice.csv")
    assert len(refusal(twice, "schema.duplicate_name")) < 500


def test_truncated_and_empty_parquet(tmp_path):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"a": list(range(1_000))}), whole)
    cut = csv(tmp_path, whole.read_bytes()[:-100], "cut.parquet")
    refusal(cut, "schema.unreadable")
    refusal(csv(tmp_path, b"", "zero.parquet"), "schema.unreadable")
    damaged = bytearray(whole.read_bytes())
    damaged[10:400] = bytes(390)
    broken = csv(tmp_path, bytes(damaged), "broken.parquet")
    with pytest.raises(DataUnsuitable, match=r"broken\.parquet cannot be read"):
        read(broken, "parquet")


def test_parquet_without_rows(tmp_path):
    path = tmp_path / "none.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int32())}), path)
    assert read(path, "parquet").schema == pa.schema([("a", pa.int64())])


def test_json_lines(tmp_path):
    path = csv(tmp_path, '{"a": 1, "b": "x", "c": true}\n{"b": null, "a": 2.5}\n', "t.jsonl")
    assert types(path) == {"a": "double", "b": "string", "c": "bool"}
    assert read(path, "jsonl").to_pydict() == {"a": [1.0, 2.5], "b": ["x", None], "c": [True, None]}
    refusal(csv(tmp_path, "", "empty.jsonl"), "schema.unreadable")
    refusal(csv(tmp_path, '{"a": 1}\n{"a": ', "cut.jsonl"), "schema.unreadable")
    refusal(csv(tmp_path, '{"a": 1}\n{"a": "x"}\n', "mixed.jsonl"), "schema.unreadable")
    refusal(csv(tmp_path, "[1, 2]\n", "list.jsonl"), "schema.unreadable")


def test_files_of_one_folder_with_other_columns(tmp_path):
    first = csv(tmp_path, "a,b\n1,2\n", "1.csv")
    other = csv(tmp_path, "a,c,d\n1,2,3\n", "2.csv")
    with pytest.raises(DataUnsuitable) as caught:
        described(first, other)
    assert "2.csv lacks 'b' and has 'c', 'd' more" in str(caught.value)
    assert "1.csv" in str(caught.value)
    assert caught.value.findings[0].check == "schema.mismatch"
    swapped = csv(tmp_path, "b,a\n9,x\n", "3.csv")
    columns = described(first, swapped)
    assert [column.name for column in columns] == ["a", "b"]
    assert read(swapped, columns=columns).to_pydict() == {"a": ["x"], "b": [9]}


def test_types_of_several_files_are_reconciled(tmp_path):
    for name, values in {"1": [1, 2], "2": [1.5, None], "3": [None, None]}.items():
        pd.DataFrame({"a": values}).to_parquet(tmp_path / f"{name}.parquet")
    paths = sorted(tmp_path.glob("*.parquet"))
    assert types(*paths) == types(*reversed(paths)) == {"a": "double"}
    assert types(paths[0], paths[2]) == types(paths[2], paths[0]) == {"a": "int64"}
    texts = tmp_path / "4.parquet"
    pd.DataFrame({"a": ["x"]}).to_parquet(texts)
    with pytest.raises(DataUnsuitable, match=r"'a' is number \(int64\) in .*1\.parquet, but string .*4\.parquet"):
        described(paths[0], texts)


@pytest.mark.parametrize(
    ("first", "second"),
    [("1\n2\n", "x\n"), ("1\n", "2.5\n"), ("true\n", "1\n"), ("2024-01-01\n", "7\n"), ("NA\n", "5\n"), ("x\n", "1\n")],
)
def test_a_csv_in_two_files_has_the_columns_of_one(tmp_path, first, second):
    whole = csv(tmp_path, "a,b\n" + "".join(f"{line},0\n" for line in (first + second).split()), "whole.csv")
    parts = [
        csv(tmp_path, "a,b\n" + "".join(f"{line},0\n" for line in text.split()), f"{number}.csv")
        for number, text in enumerate([first, second])
    ]
    columns = described(*parts)
    assert columns == described(whole)
    read_parts = pa.concat_tables([read(path, columns=columns) for path in parts])
    assert hash_rows(read_parts, ["a", "b"]).tolist() == hash_rows(read(whole), ["a", "b"]).tolist()


def test_nested_columns_are_known_as_such(tmp_path):
    path = csv(tmp_path, '{"a": [1, 2], "b": {"c": 1}}\n', "t.jsonl")
    assert {column.kind for column in described(path)} == {ColumnKind.NESTED}
    assert read(path, "jsonl").column("a").to_pylist() == ["[1, 2]"]


def test_the_nameless_index_of_pandas_is_no_column(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=[7, 5, 6])
    frame.to_parquet(tmp_path / "nameless.parquet")
    frame.rename_axis("customer").to_parquet(tmp_path / "named.parquet")
    reach = FileReach()
    nameless, _ = describe_file(str(tmp_path / "nameless.parquet"), "parquet", reach)
    named, _ = describe_file(str(tmp_path / "named.parquet"), "parquet", reach)
    assert [column.name for column in nameless.columns] == ["a"]
    assert [column.name for column in named.columns] == ["a", "customer"]
