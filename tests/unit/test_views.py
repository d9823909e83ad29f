"""What results show of themselves in a terminal and in a notebook."""

from __future__ import annotations

import pytest

from builders import clean_table
from data_view_builders import view_of
from raysweep.api import Analysis
from raysweep.records.table import Finding
from raysweep.report.markup import text
from raysweep.views import Findings
from record_builders import HOSTILE, make_view


def test_findings_stay_a_sequence_of_findings() -> None:
    plain = make_view().check.findings
    findings = Findings(plain)

    assert findings == plain
    assert findings[0] is plain[0]
    assert isinstance(findings[0], Finding)
    assert repr(findings) == "<Findings: 2 warning>"
    assert repr(Findings()) == "<Findings: none>"


def test_findings_become_a_frame() -> None:
    frame = Findings(make_view().check.findings).to_pandas()

    assert frame["severity"].to_list() == ["warning", "warning"]
    assert {"check", "column", "places", "waived"} <= set(frame.columns)
    assert list(Findings().to_pandas().columns) == list(frame.columns)


def test_the_profile_is_a_table_of_columns() -> None:
    profile = Analysis(view_of(clean_table(300, 1))).profile
    frame = profile.to_pandas().set_index("name")

    assert repr(profile) == "<TableProfile: 300 rows, 9 columns>"
    assert frame.loc["joined", "meaning"] == "date or time"
    assert frame.loc["balance", "nulls"] == profile.column("balance").nulls
    assert (profile.rows, profile.target, len(profile.columns)) == (300, "target", 9)
    assert profile._repr_html_().count("<tr>") == 10


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_values_are_escaped_in_a_notebook(name: str) -> None:
    analysis = Analysis(view_of(clean_table(300, 1).rename(columns={"city": name}).assign(**{f"{name}2": 1})))

    for shown in (analysis._repr_html_(), analysis.profile._repr_html_(), analysis.findings._repr_html_()):
        assert text(name) in shown
        assert "<script" not in shown
        assert "<img" not in shown


def test_an_analysis_shows_verdict_findings_and_proposals() -> None:
    analysis = Analysis(view_of(clean_table(300, 1).assign(copy=lambda frame: frame["amount"])))

    assert repr(analysis).startswith("<Analysis of memory:test: suitable with warnings")
    assert "data.features.exclude: [copy]" in analysis._repr_html_()
    assert "data.features.exclude: [copy]" in [one.line for one in analysis.proposals]
