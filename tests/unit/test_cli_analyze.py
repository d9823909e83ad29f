"""`raysweep analyze` without Ray: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders import clean_table
from data_view_builders import view_of
from raysweep import api
from raysweep.cli.main import main
from raysweep.records.table import Finding, Proposal, Severity
from raysweep.report.view import DataView
from raysweep.results import Analysis

FILES = {"analysis.html", "findings.json", "profile.json"}
PROPOSED = Proposal("data.features.exclude: [price, 'a b']", "they may be known only with the target")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def proposing(view: DataView) -> DataView:
    waived = Finding(
        "col.missing",
        Severity.WAIVED,
        "gaps",
        "fill",
        "balance",
        places=("a.csv row 3", "a.csv row 1,204", "b.csv row 1"),
        waived="sensors fail (up to 0.2)",
    )
    findings = (*view.check.findings, waived)
    return replace(view, check=replace(view.check, findings=findings, proposals=(PROPOSED,)))


def analyze(view: DataView, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(api, "analyze", lambda *_, **__: Analysis(view))
    with pytest.raises(SystemExit) as left:
        main(["analyze", "table.csv", *arguments])
    return int(left.value.code or 0)


def test_suitable_data_are_written_and_exit_with_0(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert analyze(proposing(view_of(clean_table(2_000, 1))), monkeypatch) == 0

    folder = Path("analysis/small")
    assert {path.name for path in folder.iterdir()} == FILES
    shown = capsys.readouterr().out
    assert "analysis/small" in shown.splitlines()[-2]
    assert "nothing of this is applied" in shown
    assert "\n  data.features.exclude: [price, 'a b']\n" in shown
    assert "date or time" in shown
    assert "accepted: sensors fail (up to 0.2)" in shown
    assert "examples: a.csv row 3, row 1,204; b.csv row 1 " in shown
    assert "a.csv row 3, a.csv row 1,204, b.csv row 1<" in (folder / "analysis.html").read_text(encoding="utf-8")


def test_what_is_written_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    view = proposing(view_of(clean_table(2_000, 1)))
    analyze(view, monkeypatch, "--out", "here/and there")

    folder = Path("here/and there")
    found = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    assert found["schema_version"] == 1
    assert found["meanings"]["joined"] == "date or time"
    assert found["structure"]["times"] == ["joined"]
    assert found["proposals"] == [{"line": PROPOSED.line, "why": PROPOSED.why}]
    assert found["unused_waivers"] == []
    assert found["findings"][-1]["waived"] == "sensors fail (up to 0.2)"
    assert {"measured", "places"} <= set(found["findings"][0])
    assert json.loads((folder / "profile.json").read_text(encoding="utf-8"))["rows"] == 2_000
    assert (folder / "analysis.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_unsuitable_data_are_written_too_and_exit_with_3(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert analyze(view_of(clean_table(300, 1).assign(target=1)), monkeypatch, "--json") == 3

    document = json.loads(capsys.readouterr().out)
    assert document["folder"] == "analysis/small"
    assert {path.name for path in Path(document["folder"]).iterdir()} == FILES
    assert {"meanings", "proposals"} <= set(document)


def test_a_folder_that_cannot_be_written_exits_with_6_after_the_findings(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("taken").write_text("a file")
    assert analyze(view_of(clean_table(300, 1).assign(target=1)), monkeypatch, "--out", "taken") == 6

    shown = capsys.readouterr()
    assert "target.constant" in shown.out
    assert "nothing is saved: taken" in shown.err
    assert "--out" in shown.err


def test_the_json_document_says_that_nothing_was_saved(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").write_text("a file")
    assert analyze(view_of(clean_table(300, 1)), monkeypatch, "--out", "taken", "--json") == 6

    document = json.loads(capsys.readouterr().out)
    assert document["folder"] is None
    assert document["error"]["kind"] == "StorageFailed"
    assert document["findings"]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("data/flights.parquet", "flights"),
        ("a b (1).csv.gz", "a-b-1"),
        ("s3://bucket/year=2013/", "year-2013"),
        ("folder/*.csv", "folder"),
        ("../..", "table"),
        ("Über/Straße.CSV", "Straße"),
    ],
)
def test_a_data_file_gives_the_folder_its_name(address: str, name: str) -> None:
    assert api._name_of(address) == name
