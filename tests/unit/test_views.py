"""What results show of themselves in a terminal and in a notebook."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from builders import clean_table
from check_builders import make_full_check
from data_view_builders import view_of
from raysweep.documents import readable_json
from raysweep.records.final_check import Verdict
from raysweep.records.published_check import final_check_document, read_final_check_document
from raysweep.records.table import Finding
from raysweep.report.markup import text
from raysweep.results import Analysis
from raysweep.views import Findings, VerdictView
from record_builders import HOSTILE, make_final_check, make_view


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


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_its_text_and_the_enum(verdict: Verdict) -> None:
    shown = VerdictView(make_final_check(verdict))

    assert shown == verdict == str(shown) == f"{shown}" == shown.value
    assert [shown == other for other in Verdict].count(True) == 1
    assert {verdict: 1}[shown] == 1  # type: ignore[index]
    assert Verdict(shown) is verdict
    assert (shown.name, shown.allows_use) == (verdict.name, verdict.allows_use)
    assert json.loads(json.dumps({"verdict": shown})) == {"verdict": verdict.value}


def test_a_verdict_says_why_and_what_to_do() -> None:
    check = make_full_check()
    shown = VerdictView(check)

    assert shown.reasons == check.reasons
    assert shown.why_not is check.why_not
    assert shown.final_check is check
    assert repr(shown).startswith("<Verdict: not adequate; roc_auc 0.8107 [0.7921, 0.8288] on validation (2,000 rows; ")
    assert "97.5 % bootstrap interval" in repr(shown)
    assert shown.to_document() == final_check_document(check)
    assert read_final_check_document(json.loads(readable_json(shown.to_document()))) == check


def test_a_verdict_in_a_notebook_shows_scores_gates_causes_and_calibration() -> None:
    shown = VerdictView(make_full_check())._repr_html_()

    for said in ("not adequate", "goal 0.85: missed", "bring twice as many rows", "12,000 rows more", "reliability"):
        assert said in shown
    assert shown.count("<svg") == 2
    assert VerdictView(make_final_check())._repr_html_().count("<svg") == 1
    assert "<script" not in shown


def test_a_verdict_may_be_copied_and_kept_but_not_changed() -> None:
    shown = VerdictView(make_full_check())

    for other in (pickle.loads(pickle.dumps(shown)), copy.copy(shown), copy.deepcopy(shown)):  # noqa: S301 - our own
        assert other == shown
        assert other.final_check == shown.final_check
    with pytest.raises(FrozenInstanceError):
        shown.final_check = replace(shown.final_check, verdict=Verdict.ADEQUATE)
