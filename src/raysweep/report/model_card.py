"""The model card: what the model is, how good it is, and what it must not be used for, as Markdown."""

from __future__ import annotations

from raysweep.prepare_rules import rule_line
from raysweep.records.table import Severity
from raysweep.report.check_card import check_sections
from raysweep.report.check_wording import fits_line, heaviest_first, opening_line, production_line
from raysweep.report.leaderboard import leaderboard
from raysweep.report.markdown import bullets, plain, table
from raysweep.report.split_wording import split_facts, split_table
from raysweep.report.view import ReportInput, states_text
from raysweep.report.wording import (
    interval_name,
    interval_text,
    learned_from,
    nodes_text,
    params_text,
    verdict_texts,
)

SHOWN_TRIALS = 10
SHOWN_FINDINGS = 50


def model_card(view: ReportInput) -> str:
    """The model card of a sweep, also of one that came to no model."""
    sections = [
        [f"# {plain(view.name)}", "", f"Run {plain(view.run_id)}, {plain(view.created)}, made by raysweep."],
        _verdict(view),
        _intended_use(view),
        _metrics(view),
        *check_sections(view.final_check),
        _model(view),
        _data(view),
        _preparation(view),
        _accepted(view),
        _split(view),
        _search(view),
        _loading(view),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _verdict(view: ReportInput) -> list[str]:
    lines = ["## Verdict", "", f"**{plain(view.headline)}**", ""]
    check = view.final_check
    if check is None:
        return [*lines, "There is no model: the sweep ended before the final check."]
    said = [*verdict_texts(check), fits_line(check)]
    said += [production_line(check.production, check.gates)] if check.production is not None else []
    said += [opening_line(check.opened)] if check.opened is not None else []
    gates = ((gate.name, gate.outcome.value, gate.reason) for gate in heaviest_first(check.gates))
    if view.without_model:
        lines += [f"**No model is published**: {plain(view.without_model)}.", ""]
    return [*lines, *bullets(said), "", *table(("gate", "outcome", "reason"), gates)]


def _intended_use(view: ReportInput) -> list[str]:
    task, check = view.task, view.final_check
    if task is None or check is None:
        return []
    use = (
        f"Predicts {task.target} ({task.kind.value}) for rows like those of {view.table.address}, "
        f"from {learned_from(task)}."
    )
    lines = ["## Intended use and limits", "", plain(use)]
    if not check.verdict.allows_use:
        lines += ["", f"The verdict is {plain(check.verdict.value)}: do not rely on this model."]
    limits = [finding.message for finding in view.check.findings if finding.severity is Severity.WARNING]
    return [*lines, *([""] if limits else []), *bullets(limits[:SHOWN_FINDINGS])]


def _metrics(view: ReportInput) -> list[str]:
    if view.final_check is None:
        return []
    rows = ((name, interval_text(estimate)) for name, estimate in view.final_check.metrics.items())
    return ["## All metrics", "", *table(("metric", f"on validation, {interval_name(view.final_check)}"), rows)]


def _model(view: ReportInput) -> list[str]:
    if view.final_check is None or not view.ranking:
        return []
    best = view.ranking[0].candidate
    facts = [
        f"family: {best.family}",
        f"params: {params_text(best.params) or 'the defaults'}",
        f"fitted on: {view.final_check.fitted_on}",
        f"seed: {best.seed}",
    ]
    return ["## Model", "", *bullets(facts)]


def _data(view: ReportInput) -> list[str]:
    profile, check = view.profile, view.check
    facts = [
        f"source: {view.table.address}",
        f"{profile.rows:,} rows, {len(profile.columns):,} columns, {profile.duplicate_rows:,} duplicate rows",
        f"suitability: {check.suitability.value}",
        f"content digest (sha256): {profile.row_digest}",
        *(view.task.said if view.task is not None else ()),
        *(f"left out: {name}: {why}" for name, why in check.left_out.items()),
    ]
    shown = check.findings[:SHOWN_FINDINGS]
    rows = ((one.severity.value, one.check, one.column or "", one.message) for one in shown)
    findings = table(("severity", "check", "column", "what"), rows) if shown else ["No finding."]
    return ["## Data", "", *bullets(facts), "", *findings]


def _preparation(view: ReportInput) -> list[str]:
    if not view.prepare:
        return []
    said = "The model does this to rows as they are in the source, in this order:"
    return [
        "## Preparation",
        "",
        said,
        "",
        *(f"{place}. {plain(rule_line(rule))}" for place, rule in enumerate(view.prepare, 1)),
    ]


def _accepted(view: ReportInput) -> list[str]:
    """The findings that the sweep file waives; each with its reason, its bound and its last day."""
    waived = [one for one in view.check.findings if one.severity is Severity.WAIVED]
    if not waived:
        return []
    rows = ((one.check, one.column or "", one.message, one.waived or "") for one in waived)
    head = ("check", "column", "what", "accepted because (up to, until)")
    return ["## Accepted findings", "", *table(head, rows)]


def _split(view: ReportInput) -> list[str]:
    split = view.split
    if split is None:
        return ["## Split", "", "The rows were not split."]
    task = view.task or view.aim
    head, rows = split_table(split, () if task is None else task.classes)
    return ["## Split", "", *bullets(f"{name}: {said}" for name, said in split_facts(split)), "", *table(head, rows)]


def _search(view: ReportInput) -> list[str]:
    search = view.search
    if search is None:
        return ["## Search", "", "No candidate was tried."]
    said = [
        f"trials: {states_text(search)}",
        f"ended because: {search.stopped_by}",
        f"took {search.seconds:,.1f} s, {search.slots:,} trials at a time",
        *([f"ran on {nodes_text(search.nodes)}"] if search.nodes else []),
    ]
    lines = ["## Search", "", *bullets(said)]
    if view.task is None or not view.ranking:
        return [*lines, "", "No trial has a score."]
    head = ("rank", "family", f"{view.task.metric.name} on {search.part}", *view.task.aims.further, "state", "params")
    shown = leaderboard(view.ranking, view.task.aims, SHOWN_TRIALS)
    rows = ((row.rank, row.family, row.score, *row.further, row.state, row.params) for row in shown)
    return [*lines, "", *table(head, rows)]


def _loading(view: ReportInput) -> list[str]:
    if view.final_check is None or view.without_model:
        return []
    address = " ".join(view.bundle_address.split())
    return [
        "## How to use it",
        "",
        "    import raysweep",
        f"    model = raysweep.load_model({address!r})",
        "    model.predict(frame)",
        *(line for sentence in view.other_forms for line in ("", plain(sentence))),
        *(line and f"    {line}" for line in view.other_loading),
    ]
