"""The report and the model card hold for names made to break them, and for sweeps that came to nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from builders import sweep_config
from raysweep.prepare_rules import Drop, ToNull
from raysweep.records.aims import Aims
from raysweep.records.final_check import Verdict
from raysweep.records.manifest import Artifact, CodeRecord, FormatRecord
from raysweep.records.metric import METRICS
from raysweep.records.table import Finding, Meaning, Preparation, Proposal, Severity
from raysweep.records.trial import TrialState
from raysweep.report.drawings import best_over_time
from raysweep.report.html_report import html_report
from raysweep.report.leaderboard import leaderboard
from raysweep.report.model_card import model_card, plain
from raysweep.report.notebook import findings_html, leaderboard_html, verdict_html
from raysweep.report.view import ReportInput
from raysweep.stages.export.code_state import CodeState
from raysweep.stages.export.contents import BundleContents
from raysweep.stages.export.export import make_manifest
from raysweep.views import Leaderboard
from record_builders import HOSTILE, OPAQUE, make_final_check, make_sized_view, make_trial, make_view

NOTHING = {"task": None, "split": None, "search": None, "ranking": (), "final_check": None}
AUC = Aims.named("roc_auc")
BUILDERS = pytest.mark.parametrize("build", [html_report, model_card])

Build = Callable[[ReportInput], str]


class Tags(HTMLParser):
    """Collects the names of all elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)


def tags_of(document: str) -> Tags:
    tags = Tags()
    tags.feed(document)
    return tags


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_markup_in_the_report(name: str) -> None:
    strange = make_view((name, "age", name), name=name, run_id=name, created=name, outcome=name)
    usual, found = tags_of(html_report(make_view())), tags_of(html_report(strange))

    assert found.names == usual.names
    assert found.attributes == usual.attributes


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_markup_in_a_notebook(name: str) -> None:
    view = make_view((name, name))
    document = leaderboard_html(view.ranking, AUC, name) + findings_html(view.check.findings)

    assert tags_of(document).names == {"div", "style", "table", "thead", "tbody", "tr", "th", "td", "span", "bdi"}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_markup_in_the_model_card(name: str) -> None:
    card = model_card(make_view((name, "age", name), name=name))
    rows = [line for line in card.splitlines() if line.startswith("|") and "col.missing" in line]

    assert "<" not in card
    assert [line.replace("\\|", "").count("|") for line in rows] == [5, 5, 5]
    assert plain(name) in card


def test_a_name_cannot_begin_a_new_line_in_the_model_card() -> None:
    card = model_card(make_view(("age", "x\n\n# Verdict: perfect")))

    assert not any(line.startswith("# Verdict") for line in card.splitlines())


@pytest.mark.parametrize("text", ["# a", "- a", "1. a", "+ a", "= a"])
def test_the_first_letter_is_no_list_and_no_heading(text: str) -> None:
    assert "\\" in plain(text)


def test_a_control_character_does_not_reach_the_report() -> None:
    report = html_report(make_view(("a\x00b\u202ec",)))

    assert "\x00" not in report
    assert "\u202e" not in report


@BUILDERS
def test_what_is_opaque_is_not_printed(build: Build) -> None:
    assert OPAQUE not in build(make_view())


def test_the_report_stands_alone() -> None:
    report = html_report(make_view())

    assert {"script", "link", "img", "iframe"}.isdisjoint(tags_of(report).names)
    assert "http" not in report


@BUILDERS
def test_every_score_stands_beside_its_part(build: Build) -> None:
    document = build(make_view())

    assert "0.81 [0.79, 0.83] on validation" in document.replace("\\", "")
    assert "on testing" in document


@BUILDERS
def test_unsuitable_data_have_a_report_too(build: Build) -> None:
    document = build(make_view(**NOTHING, outcome="data unsuitable"))

    assert "data unsuitable" in document
    assert "There is no model" in document
    assert "load_model" not in document


@BUILDERS
def test_a_search_without_a_score_has_a_report_too(build: Build) -> None:
    document = build(make_view(ranking=(), final_check=None, outcome="no trial finished"))

    assert "no trial finished" in document
    assert "No trial has a score" in document


@BUILDERS
def test_a_gap_that_was_not_measured_is_said(build: Build) -> None:
    assert "not measured" in build(make_view(final_check=replace(make_final_check(), gap=None)))


def test_the_model_card_warns_of_a_model_that_is_not_adequate() -> None:
    card = model_card(make_view(final_check=make_final_check(Verdict.NOT_ADEQUATE)))

    assert "do not rely on this model" in card


def test_a_notebook_shows_a_sweep_without_a_verdict() -> None:
    assert "no verdict" in verdict_html(None)
    assert "adequate" in verdict_html(make_final_check())


def test_the_best_score_over_time_never_gets_worse() -> None:
    trials = [make_trial(0, 0.7), make_trial(1, 0.6), make_trial(2, 0.9, TrialState.FAILED), make_trial(3, 0.8)]

    assert best_over_time(trials, METRICS["roc_auc"]) == [(2.0, 0.7), (4.0, 0.7), (8.0, 0.8)]
    assert best_over_time(trials, METRICS["rmse"]) == [(2.0, 0.7), (4.0, 0.6), (8.0, 0.6)]


def test_the_leaderboard_shows_the_params_that_differ() -> None:
    rows = leaderboard([make_trial(0, 0.8, eta=0.1), make_trial(1, 0.7, eta=0.2)], AUC)

    assert [row.params for row in rows] == ["eta=0.1", "eta=0.2"]
    assert [row.rank for row in rows] == ["1", "2"]


def test_the_pareto_front_comes_first_and_is_drawn() -> None:
    view = make_sized_view()
    assert view.task is not None
    rows = leaderboard(view.ranking, view.task.aims)

    assert [(row.trial, row.state, row.further) for row in rows] == [
        ("1", "complete, on the front", ("87.89 KiB",)),
        ("0", "complete, on the front", ("1.953 KiB",)),
        ("2", "complete", ("3.906 KiB",)),
        ("3", "complete, breaks size_bytes", ("8.583 MiB",)),
    ]
    page = html_report(view)
    assert "roc_auc over size_bytes, the Pareto front joined" in page
    assert "<dt>bound on size_bytes</dt><dd>1000000.0</dd>" in page
    assert "1.953 KiB" in model_card(view)
    assert "Pareto" not in html_report(make_view())


def test_the_front_in_python() -> None:
    view = make_sized_view()
    assert view.task is not None
    found = Leaderboard(view.ranking, view.task.aims, "testing")
    frame = found.to_pandas()

    assert [trial.candidate.number for trial in found.front] == [1, 0]
    assert frame.on_front.tolist() == [True, True, False, False]
    assert frame.breaks.tolist() == ["", "", "", "size_bytes"]
    assert frame.size_bytes.tolist() == [90_000.0, 2_000.0, 4_000.0, 9e6]
    assert "on_front" not in Leaderboard(view.ranking, AUC, "testing").to_pandas().columns
    assert "87.89 KiB" in found._repr_html_()


def test_where_no_params_differ_the_important_ones_are_shown() -> None:
    params = {"a": 1, "b": 2, "encoding": "ordinal", "c": 3, "learning_rate": 0.1}
    expected = "learning_rate=0.1, max_depth=6, encoding=ordinal, a=1"

    assert [row.params for row in leaderboard([make_trial(0, 0.8, **params)], AUC)] == [expected]
    assert {row.params for row in leaderboard([make_trial(n, 0.8, **params) for n in range(2)], AUC)} == {expected}


def test_one_score_is_no_progress_to_draw() -> None:
    view = make_view()
    assert view.search is not None
    report = html_report(replace(view, search=replace(view.search, trials=view.search.trials[:1])))

    assert "best roc_auc over time" in html_report(view)
    assert "best roc_auc over time" not in report
    assert "Fewer than two trials have a score" in report


def test_the_heading_is_short_with_cross_validation_and_the_part_is_said_once() -> None:
    document = leaderboard_html(make_view().ranking, AUC, "training+testing, cross-validated in 5 folds")

    assert ">roc_auc, 5-fold CV</th>" in document
    assert document.count("Scores are roc_auc on training+testing, cross-validated in 5 folds.") == 1


WAIVED = Finding(
    "rows.duplicates", Severity.WAIVED, "4 % repeat", "mend it", waived="meters repeat (up to 0.08, until 2027-03-31)"
)
RULES = (ToNull(rule="to_null", columns=("age",), values=(-999,)), Drop(rule="drop", columns=("a|b", "<b>")))


def gated_view() -> ReportInput:
    view = make_view(prepare=RULES)
    proposals = (Proposal("data.group: <b>city</b>", "rows of one city belong together"),)
    check = replace(
        view.check,
        findings=(*view.check.findings, WAIVED),
        proposals=proposals,
        meanings={"age": Meaning.NUMBER},
        unused_waivers=("checks.accept: col.missing met no finding; it can go",),
    )
    return replace(view, check=check)


@BUILDERS
def test_what_was_accepted_is_said_with_reason_bound_and_day(build: Build) -> None:
    assert "meters repeat (up to 0.08, until 2027-03-31)" in build(gated_view())


def test_the_model_card_has_a_section_for_what_was_accepted() -> None:
    assert "## Accepted findings" in model_card(gated_view())
    assert "## Accepted findings" not in model_card(make_view())


@BUILDERS
def test_the_preparation_is_said_rule_by_rule(build: Build) -> None:
    document = build(gated_view()).replace("\\", "")

    assert "to_null (values -999): age" in document
    assert "drop: a|b, &lt;b&gt;" in document


def test_the_report_holds_meanings_proposals_and_waivers_without_use() -> None:
    report = html_report(gated_view())

    assert "<td>number</td>" in report
    assert "data.group: &lt;b&gt;city&lt;/b&gt;" in report
    assert "rows of one city belong together" in report
    assert "col.missing met no finding" in report
    assert 'href="data/analysis.html"' in report


@BUILDERS
def test_inputs_are_counted_where_the_preparation_changes_their_number(build: Build) -> None:
    view = make_view()
    assert view.task is not None
    prepared = replace(view.task, preparation=Preparation(view.task.features[:1], ()))

    assert "2 columns made of 1 input" in build(replace(view, task=prepared))
    assert "made of" not in build(view)


def test_the_manifest_lists_what_was_accepted() -> None:
    contents = BundleContents(
        view=replace(gated_view(), outcome="done"),
        config=sweep_config(),
        data_documents={},
        shipped=None,
        best=(),
        training=None,
        code=CodeState(CodeRecord(), b""),
        packages={"raysweep": "0.1.0"},
    )
    artifact = Artifact(path="trials.parquet", sha256="0", size_bytes=0, media_type="")
    (waived,) = make_manifest(contents, (artifact,)).data.waived

    assert (waived.check, waived.column, waived.message) == ("rows.duplicates", None, "4 % repeat")
    assert waived.reason == "meters repeat (up to 0.08, until 2027-03-31)"


def test_a_form_that_is_not_published_is_told_with_its_reason():
    refused = FormatRecord(
        name="onnx", published=False, tolerance=1e-6, difference=0.3, reason="off by 0.3 <beside> a split"
    )
    view = replace(make_view(), formats=(FormatRecord(name="native", published=True), refused))
    assert "Not published as onnx: off by 0.3 &lt;beside&gt; a split." in html_report(view)
    assert "Not published as onnx: off by 0.3" in model_card(view)
    assert "Not published as" not in html_report(replace(view, without_model="it cannot be written"))


def test_the_forms_that_are_published_say_how_they_are_loaded():
    onnx = FormatRecord(name="onnx", published=True, files=("model/model.onnx",), tolerance=1e-6, difference=1e-9)
    mlflow = FormatRecord(name="mlflow", published=True, files=("mlflow/MLmodel",), difference=0.0)
    view = replace(make_view(), formats=(FormatRecord(name="native", published=True), onnx, mlflow))
    address = view.bundle_address
    for said in (
        f"session = onnxruntime.InferenceSession('{address}/model/model.onnx')",
        f"mlflow.pyfunc.load_model('{address}/mlflow').predict(frame)",
    ):
        assert f"    {said}\n" in model_card(view)
        assert said.replace("'", "&#x27;") in html_report(view)
    only = replace(view, formats=(view.formats[0], onnx.model_copy(update={"published": False}), mlflow))
    assert "onnxruntime" not in model_card(only) + html_report(only)
