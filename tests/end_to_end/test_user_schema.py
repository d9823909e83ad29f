"""Rules of the user's own, from the sweep file to the exit code and the bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import raysweep
from builders import clean_table
from raysweep.errors import DataUnsuitable
from sweep_builders import read_document

RULES = "columns:\n  amount: {dtype: float64, ge: 0}   # nobody pays a negative amount\n  plan: {nullable: true}\n"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    frame = clean_table(1_000, seed=1)
    frame.loc[[3, 77], "amount"] = -1.5
    frame.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "rules.yaml").write_text(RULES)
    path = tmp_path / "sweep.yaml"
    path.write_text("version: 1\ndata: {source: table.csv, target: target}\nchecks: {schema: rules.yaml}\n")
    return path


def test_analyze_ends_with_3_and_the_finding(sweep: Path, command: Callable[..., Any], ray_session: None):
    ran = command("analyze", sweep, "--json")
    assert ran.code == 3
    (broken,) = [one for one in json.loads(ran.out)["findings"] if one["check"] == "schema.rule"]
    assert broken["message"] == "amount breaks greater_than_or_equal_to(0) in 2 of 1,000 rows"
    assert (broken["severity"], broken["count"], broken["examples"]) == ("error", 2, ["-1.5"])
    assert [place.rpartition("table.csv ")[2] for place in broken["places"]] == ["row 4", "row 78"]
    borne = command("analyze", sweep, "--set", "checks.set.schema.rule.error=0.01", "--json")
    assert borne.code == 0


def test_the_schema_is_published_beside_the_sweep_file(
    sweep: Path, tmp_path: Path, command: Callable[..., Any], ray_session: None
):
    with pytest.raises(DataUnsuitable, match=r"schema\.rule: amount breaks greater_than_or_equal_to\(0\)") as stopped:
        raysweep.run_sweep(sweep, overrides=[f"export.to={tmp_path / 'runs'}"])
    folder = Path(stopped.value.bundle_url)
    assert (folder / "config/schema.yaml").read_text() == RULES
    assert "schema: schema.yaml" in (folder / "config/sweep.yaml").read_text()
    assert "schema.rule" in {one["check"] for one in read_document(folder, "data/findings.json")["findings"]}
    assert "config/schema.yaml" in (folder / "SHA256SUMS").read_text()
    (sweep.parent / "rules.yaml").unlink()
    again = command("analyze", folder / "config/sweep.yaml", "--json")
    assert "schema.rule" in {one["check"] for one in json.loads(again.out)["findings"]}


def test_a_schema_that_is_refused_starts_nothing(sweep: Path, command: Callable[..., Any]):
    (sweep.parent / "rules.yaml").write_text("columns: {amount: {unique: true}}\n")
    for verb in ("analyze", "run", "check"):
        ran = command(verb, sweep)
        assert ran.code == 2
        assert "columns.amount.unique: is refused: it takes all rows at once" in ran.err
        assert "Ray runs with" not in ran.err
