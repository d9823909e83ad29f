"""Batch prediction without a sweep: where predictions go, in which form, and that nothing half-written looks whole."""

from __future__ import annotations

import errno
import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from raysweep.bundle.deviations import ColumnDeviation, Deviations
from raysweep.config import S3Config, TaskKind
from raysweep.errors import RequestInvalid, StorageFailed
from raysweep.records.manifest import InputColumn, Signature
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import placed
from raysweep.scoring import one_file
from raysweep.scoring.place import SUCCESS_FILE, Out, check_out, plan_out
from raysweep.scoring.rows import RowScorer, plan_rows
from raysweep.scoring.writing import sink_for
from raysweep.stages.source.stream import open_stream

ROWS = pa.table({"id": ["007", "08", None], "prediction": [0.5, float("inf"), None]})
SIGNATURE = Signature(
    inputs=(
        InputColumn(name="amount", kind=ColumnKind.NUMBER, type="int64"),
        InputColumn(name="city", kind=ColumnKind.STRING, type="string"),
        InputColumn(name="day", kind=ColumnKind.DATETIME, type="timestamp[ns]"),
    ),
    target="late",
    task=TaskKind.BINARY,
    classes=(False, True),
)


class Known:
    """Knows Bonn; predicts amount / 100."""

    def raw_predictions(self, features: pa.Table) -> np.ndarray:
        positive = features.column("amount").to_numpy() / 100
        return np.stack([1 - positive, positive], axis=1)

    def count_deviations(self, features: pa.Table) -> Deviations:
        unseen = sum(city not in {None, "Bonn"} for city in features.column("city").to_pylist())
        return Deviations(features.num_rows, {"city": ColumnDeviation(unseen, 0)} if unseen else {})


def texts(**columns: list[str | None]) -> pa.Table:
    return placed(pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()}), 0, 10)


def scorer_of(names: list[str], *, keep_text: bool = False) -> RowScorer:
    kept = tuple(Column(name, ColumnKind.STRING, "string") for name in names)
    return RowScorer(SIGNATURE, kept, is_text=True, keep_text=keep_text, files=("new.csv",))


GOOD = {"id": ["007", "08"], "amount": ["10", " 90.5 "], "city": ["Bonn", "Rome"], "day": ["2026-01-01", None]}


def test_texts_are_read_as_the_signature_says():
    scorer = scorer_of(["id", "amount", "day"])
    (scored,) = scorer.score(texts(**GOOD), Known())
    rows, unseen = scorer.tallied(scored)
    assert rows.schema == scorer.schema
    assert rows.select(["id", "amount", "prediction"]).to_pylist() == [
        {"id": "007", "amount": 10.0, "prediction": False},
        {"id": "08", "amount": 90.5, "prediction": True},
    ]
    assert [str(day) for day in rows.column("day").to_pylist()] == ["2026-01-01 00:00:00", "None"]
    assert rows.column("probability_true").to_pylist() == [0.1, 0.905]
    assert unseen == {"city": ColumnDeviation(1, 0)}


def test_texts_pass_through_as_they_are():
    scorer = scorer_of(["amount", "id"], keep_text=True)
    (scored,) = scorer.score(texts(**GOOD), Known())
    assert scorer.tallied(scored)[0].column("amount").to_pylist() == ["10", " 90.5 "]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("amount", "ten", "'amount' holds 'ten' (new.csv, row 12), which is no number"),
        ("day", "31.12.2026", "'day' holds '31.12.2026' (new.csv, row 12), which is no date or time"),
    ],
)
def test_a_text_that_is_no_such_value_is_named(column: str, value: str, said: str):
    with pytest.raises(RequestInvalid, match="mend it") as error:
        list(scorer_of([]).score(texts(**{**GOOD, column: [GOOD[column][0], value]}), Known()))
    assert said in str(error.value)


def test_dates_of_several_forms_are_named():
    mixed = {**GOOD, "day": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00"]}
    with pytest.raises(RequestInvalid, match=r"'day' of new.csv holds dates with a time zone and without"):
        list(scorer_of([]).score(texts(**mixed), Known()))


def with_categories(*categories: str) -> RowScorer:
    inputs = [
        one.model_copy(update={"categories": categories or None}) if one.name == "city" else one
        for one in SIGNATURE.inputs
    ]
    kept = (Column("city", ColumnKind.STRING, "string"),)
    signature = SIGNATURE.model_copy(update={"inputs": tuple(inputs)})
    return RowScorer(signature, kept, is_text=True, keep_text=True, files=("new.csv",))


@pytest.mark.parametrize(
    ("categories", "seen"),
    [
        ((), [None, None, None, None, "Bonn"]),  # of a manifest that does not have them
        (("Bonn",), [None, None, None, None, "Bonn"]),
        (("Bonn", "N/A"), [None, "N/A", None, None, "Bonn"]),
        (("", "null"), ["", None, "null", "", "Bonn"]),
    ],
)
def test_what_stands_for_a_missing_value_is_one_unless_the_model_has_learned_it(categories, seen, monkeypatch):
    given: list[str | None] = []

    def keep(self: Known, features: pa.Table) -> np.ndarray:
        given.extend(features.column("city").to_pylist())
        assert features.column("amount").null_count == features.num_rows
        return np.full((features.num_rows, 2), 0.5)

    monkeypatch.setattr(Known, "raw_predictions", keep)
    city = ["", "N/A", "null", None, "Bonn"]
    scorer = with_categories(*categories)
    block = texts(city=city, amount=["NA", "", "NaN", None, "null"], day=["None", None, "", "nan", "NULL"])
    (scored,) = scorer.score(block, Known())
    assert given == seen
    assert scorer.tallied(scored)[0].column("city").to_pylist() == city, "what is kept is as it was"


class Refusing(Known):
    """Takes no amounts above 50."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def raw_predictions(self, features: pa.Table) -> np.ndarray:
        if any(amount is not None and amount > 50 for amount in features.column("amount").to_pylist()):
            raise self.error
        return super().raw_predictions(features)


TYPED = {"amount": [10.0, 20.0, 90.5, 99.0], "city": ["Bonn"] * 4, "day": [None] * 4}


def typed(**columns: list[object]) -> pa.Table:
    return placed(pa.table({**TYPED, **columns}), 0, 10)


@pytest.mark.parametrize(
    ("model", "columns", "said"),
    [
        (Known(), {"amount": ["1", "2", "many", "3"]}, r"'amount' must hold .*many.* \(a.parquet, row 13\)$"),
        (Known(), {"day": [None, True, False, None]}, r"'day' must hold values of kind datetime.*row 12\)$"),
        (Known(), {"amount": [None, date(2026, 1, 1)] * 2}, r"'amount' must hold .*date.*row 12\)$"),
        (Refusing(RequestInvalid("too much")), {}, r"^too much \(a.parquet, row 13\)$"),
        (Refusing(ZeroDivisionError("by 0")), {}, r"cannot take a row \(a.parquet, row 13\): ZeroDivisionError: by 0"),
    ],
)
def test_a_value_that_the_model_does_not_take_is_named_with_its_row(model: Known, columns, said: str):
    scorer = RowScorer(SIGNATURE, (), is_text=False, keep_text=False, files=("a.parquet",))
    with pytest.raises(RequestInvalid, match=said):
        list(scorer.score(typed(**columns), model))


def test_a_column_without_a_value_is_of_every_kind():
    scorer = RowScorer(SIGNATURE, (), is_text=False, keep_text=False, files=("a.parquet",))
    rows = 40  # more than are looked at one by one
    nothing = {"amount": [1.0] * rows, "city": ["Bonn"] * rows, "day": pa.nulls(rows, pa.float64())}
    (scored,) = scorer.score(placed(pa.table(nothing), 0, 0), Known())
    assert scored.num_rows == rows


def test_a_csv_file_passes_through_as_it_stands_there(here: Path):
    (here / "a.csv").write_text('id,n\nN/A,\n"",NULL\n007,"1"\n')
    stream = open_stream([str(here / "a.csv")], S3Config())
    rows = [row for block in stream.blocks(["id", "n"]) for row in block.select(["id", "n"]).to_pylist()]
    assert rows == [{"id": "N/A", "n": None}, {"id": "", "n": "NULL"}, {"id": "007", "n": "1"}]


def columns_of(*names: str) -> list[Column]:
    return [Column(name, ColumnKind.STRING, "string") for name in names]


def test_columns_that_are_kept():
    columns = columns_of("id", "amount", "city", "day")
    assert [one.name for one in plan_rows(columns, SIGNATURE, None, place="t")] == ["id", "amount", "city", "day"]
    assert [one.name for one in plan_rows(columns, SIGNATURE, ["day", "id"], place="t")] == ["day", "id"]
    assert plan_rows(columns, SIGNATURE, [], place="t") == ()


@pytest.mark.parametrize(
    ("names", "keep", "said"),
    [
        (("amount", "day"), None, "new.csv lacks 1 of the 3 columns that the model wants: 'city'"),
        (("amount", "City", "day"), None, "did you mean 'City'"),
        (("amount", "city", "day"), ["idd"], "of the 1 columns that --columns wants: 'idd'"),
        (("amount", "city", "day", "prediction"), None, "'prediction', and a prediction is written under that name"),
        (("amount", "city", "day", "probability_true"), None, "--columns"),
    ],
)
def test_columns_that_do_not_fit_are_named(names: tuple[str, ...], keep: list[str] | None, said: str):
    with pytest.raises(RequestInvalid) as error:
        plan_rows(columns_of(*names), SIGNATURE, keep, place="new.csv")
    assert said in str(error.value)


def test_a_clash_that_is_not_kept_is_none():
    names = columns_of("amount", "city", "day", "prediction")
    assert [one.name for one in plan_rows(names, SIGNATURE, ["city"], place="t")] == ["city"]


@pytest.mark.parametrize(
    ("out", "wanted", "source", "expected"),
    [
        ("a.csv", None, "parquet", ("csv", True)),
        ("a.csv.gz", None, "parquet", ("csv", True)),
        ("a.pq", "parquet", "csv", ("parquet", True)),
        ("folder", None, "csv", ("csv", False)),
        ("folder", "jsonl", "csv", ("jsonl", False)),
        ("folder", None, "pandas", ("parquet", False)),
        ("s3://bucket/scored", None, "parquet", ("parquet", False)),
        ("s3://bucket/scored.csv", None, "parquet", ("csv", True)),
        ("folder.csv/", None, "parquet", ("parquet", False)),
    ],
)
def test_what_an_address_means(out: str, wanted: str | None, source: str, expected: tuple[str, bool]):
    place = plan_out(out, wanted, source, S3Config())
    assert (place.format, place.is_file) == expected


@pytest.mark.parametrize(
    ("out", "wanted", "said"),
    [
        ("a.csv", "parquet", "change one of them"),
        ("folder", "xml", "--format xml"),
        ("https://example.org/a", None, "no place to write to"),
        ("s3://bucket", None, "a whole bucket"),
        ("s3://bucket/", None, "a whole bucket"),
    ],
)
def test_places_that_are_none(out: str, wanted: str | None, said: str):
    with pytest.raises(RequestInvalid, match=said):
        plan_out(out, wanted, "csv", S3Config())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/deep/a.csv").write_text("x\n1\n")
    (tmp_path / "bundle").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "out"),
    [
        (["data/deep/a.csv"], "data/deep/a.csv"),
        (["data"], "data/scored.csv"),
        (["data"], "data/deep/scored"),
        (["data/deep/a.csv"], "data"),
        (["data/deep/*.csv"], "data/deep/b.csv"),
        (["data"], "link/b.csv"),
        (["s3://bucket/new"], "s3://bucket/new/scored"),
        (["s3://bucket/new/a.csv"], "s3://bucket/new"),
        (["elsewhere.csv"], "bundle/scored.csv"),
        (["elsewhere.csv"], "."),
    ],
)
def test_a_place_in_the_table_or_in_the_bundle_is_refused(here: Path, sources: list[str], out: str):
    (here / "link").symlink_to(here / "data")
    place = plan_out(out, "csv", "csv", S3Config())
    with pytest.raises(RequestInvalid, match="lies in the"):
        check_out(place, sources, [str(here / "data/deep/a.csv")], str(here / "bundle"), overwrite=True)


@pytest.mark.parametrize("out", ["data2.csv", "data/b.csv", "scored"])
def test_a_place_beside_the_table_is_good(here: Path, out: str):
    files = [str(here / "data/deep/a.csv")]
    check_out(plan_out(out, "csv", "csv", S3Config()), ["data/deep/*.csv"], files, "bundle", overwrite=False)


def test_what_stands_there_is_kept(here: Path):
    (here / "old.csv").write_text("old")
    (here / "mine").mkdir()
    (here / "mine/thesis.tex").write_text("years of work")
    (here / "part-00000.csv").write_text("no folder of parts")
    for out, overwrite, said in [
        ("old.csv", False, "exists: name another place, or replace it with --overwrite"),
        ("mine", False, "exists"),
        ("mine", True, "holds 'thesis.tex', which no prediction has written"),
        ("part-00000.csv", False, "exists"),
    ]:
        with pytest.raises(RequestInvalid, match=said):
            check_out(plan_out(out, None, "csv", S3Config()), ["data"], [], "bundle", overwrite=overwrite)
    (here / "folder.csv").mkdir()
    with pytest.raises(RequestInvalid, match="is a folder"):
        check_out(plan_out("folder.csv", None, "csv", S3Config()), ["data"], [], "bundle", overwrite=True)


def write(out: str, *, overwrite: bool = False, times: int = 1):
    place = plan_out(out, None, "parquet", S3Config())
    with sink_for(place, ROWS.schema, overwrite=overwrite) as sink:
        for _ in range(times):
            sink.write(ROWS)
        return sink.finish({"bundle": "b"})


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.csv.bz2", "o.parquet", "o.jsonl", "o.jsonl.gz"])
def test_each_form_says_the_same(here: Path, name: str):
    (file,) = write(name, times=2)
    content = (here / name).read_bytes()
    assert (file.rows, file.size_bytes) == (6, len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    if "csv" in name:
        found = pd.read_csv(name, dtype={"id": str})
    else:
        found = pd.read_parquet(name) if name.endswith("parquet") else pd.read_json(name, lines=True, dtype={"id": str})
    assert found["id"].iloc[:2].tolist() == ["007", "08"]
    assert found["id"].isna().tolist() == [False, False, True] * 2
    if "json" not in name:  # which has no infinity
        assert found["prediction"].iloc[1] == np.inf
    assert list(here.glob(".*")) == []


def test_csv_has_quotes_where_a_text_needs_them_alone(here: Path):
    said = ["plain", "N/A", "007", "", None, "a,b", 'say "hi"', "two\r\nlines", " led", "Zürich"]
    rows = pa.table(
        {
            "text, or": pa.array(said, pa.string()),
            "number": [1.5, 2e-9, 3e20, float("inf"), None, 0.1 + 0.2, -0.0, 1.0, 12345678.9, 1e22],
            "whole": pa.array(range(10)).cast(pa.int64()),
            "flag": [True, None] * 5,
            "day": pa.array([0, None] * 5, pa.timestamp("us")),
        }
    )
    place = plan_out("quoted.csv", None, "parquet", S3Config())
    with sink_for(place, rows.schema, overwrite=False) as sink:
        sink.write(rows)
        sink.finish({})
    lines = (here / "quoted.csv").read_text().split("\n")
    assert lines[:3] == [
        '"text, or",number,whole,flag,day',
        "plain,1.5,0,true,1970-01-01 00:00:00.000000",
        "N/A,2e-9,1,,",
    ]
    assert [lines[4][:3], lines[5][:1]] == ['"",', ","], "an empty text is told from a missing one"
    options = pacsv.ConvertOptions(
        column_types=rows.schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    parsing = pacsv.ParseOptions(newlines_in_values=True)
    assert pacsv.read_csv("quoted.csv", parse_options=parsing, convert_options=options).equals(rows)


def test_a_folder_has_parts_and_a_summary(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(one_file, "PART_ROWS", 4)
    files = write("scored", times=5)
    assert [one.rows for one in files] == [6, 6, 3]
    assert sorted(one.name for one in (here / "scored").iterdir()) == [
        SUCCESS_FILE,
        *(f"part-{number:05d}.parquet" for number in range(3)),
    ]
    summary = json.loads((here / "scored" / SUCCESS_FILE).read_text())
    assert summary["rows"] == 15
    for one in summary["parts"]:
        assert hashlib.sha256((here / "scored" / one["path"]).read_bytes()).hexdigest() == one["sha256"]
    assert pq.read_table([one.address for one in files]).num_rows == 15
    write("scored", overwrite=True)
    assert len(list((here / "scored").iterdir())) == 2
    assert sorted(one.name for one in here.iterdir()) == ["bundle", "data", "scored"]


def test_no_rows_are_a_table_all_the_same(here: Path):
    assert write("none.csv", times=0)[0].rows == 0
    assert (here / "none.csv").read_text() == "id,prediction\n"
    write("none", times=0)
    assert pq.read_table(here / "none/part-00000.parquet").schema.names == ["id", "prediction"]


def broken_off(place: Out, error: BaseException) -> None:
    with sink_for(place, ROWS.schema, overwrite=True) as sink:
        sink.write(ROWS)
        raise error


@pytest.mark.parametrize("out", ["o.csv", "o.parquet", "o.jsonl", "scored"])
@pytest.mark.parametrize("error", [RequestInvalid("a value"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_what_was_there(here: Path, out: str, error: BaseException):
    before = write(out)
    place = plan_out(out, None, "parquet", S3Config())
    with pytest.raises(type(error)):
        broken_off(place, error)
    assert sorted(one.name for one in here.iterdir()) == sorted(["bundle", "data", out])
    assert hashlib.sha256(Path(before[0].address).read_bytes()).hexdigest() == before[0].sha256


@pytest.mark.parametrize("out", ["o.csv", "o.parquet", "scored"])
def test_a_full_disk_is_named_and_leaves_nothing(here: Path, out: str, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(one_file.Counted, "write", full)
    with pytest.raises(StorageFailed, match="the disk is full"):
        write(out)
    assert sorted(one.name for one in here.iterdir()) == ["bundle", "data"]


def test_a_csv_file_is_described_by_its_first_line(here: Path):
    (here / "a.csv").write_text("id,n\n007,1\nx,y\n")
    stream = open_stream([str(here / "a.csv")], S3Config())
    assert [(one.name, one.kind) for one in stream.columns] == [("id", "string"), ("n", "string")]
    assert stream.rows is None
    assert [row["id"] for block in stream.blocks(["id"]) for row in block.to_pylist()] == ["007", "x"]
