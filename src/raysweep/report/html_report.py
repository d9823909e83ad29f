"""The report: one HTML file that stands alone, without scripts and without the network."""

from __future__ import annotations

from typing import Final

from raysweep.prepare_rules import rule_line
from raysweep.records.table import LearningTask
from raysweep.records.trial import SearchOutcome
from raysweep.report.check_page import CHECK_STYLE, check_section
from raysweep.report.drawings import draw_front, draw_progress
from raysweep.report.fragments import (
    columns_table,
    findings_table,
    leaderboard_table,
    proposals_list,
    verdict_lines,
)
from raysweep.report.markup import Html, definitions, join, table, tag
from raysweep.report.page import STYLE, page, rest, section
from raysweep.report.split_wording import split_facts, split_table
from raysweep.report.view import ReportInput, states_text
from raysweep.report.wording import learned_from, nodes_text, params_text, usage_line

SHOWN_TRIALS: Final = 50
SHOWN_COLUMNS: Final = 200
DATA_PAGE: Final = "data/analysis.html"
VERDICT_STYLE: Final = {"adequate": "adequate", "adequate with warnings": "warned", "inconclusive": "warned"}


def html_report(view: ReportInput) -> str:
    """The report as one HTML document."""
    sections = (
        _verdict(view),
        _leaderboard(view),
        _search(view),
        _data(view),
        _split(view),
        _loading(view),
    )
    header = tag("header", tag("h1", view.name), tag("p", f"{view.run_id} · {view.created}"))
    return page(f"{view.name}: {view.headline}", Html(STYLE + CHECK_STYLE), header, *sections)


def _verdict(view: ReportInput) -> Html:
    style = VERDICT_STYLE.get(view.headline, "refused")
    check = view.final_check
    if check is None:
        words = "There is no model, and so no score: the sweep ended before the final check."
        return tag("div", tag("b", view.headline), tag("p", words), class_=f"verdict {style}")
    missing = tag("p", tag("b", "No model is published: "), view.without_model) if view.without_model else Html()
    return join(
        (
            tag("div", tag("b", view.headline), verdict_lines(check), missing, class_=f"verdict {style}"),
            check_section(check),
        )
    )


def _leaderboard(view: ReportInput) -> Html:
    if view.task is None or not view.ranking:
        return section("Leaderboard", tag("p", "No trial has a score."))
    best = view.ranking[0].candidate
    return section(
        "Leaderboard",
        tag("p", f"Best: {best.family} ({params_text(best.params)})"),
        _front(view),
        leaderboard_table(view.ranking, view.task.aims, view.part, SHOWN_TRIALS),
        rest(len(view.ranking) - SHOWN_TRIALS, "trials", "trials.parquet"),
    )


def _front(view: ReportInput) -> Html:
    """The Pareto front, a drawing an objective."""
    if view.task is None or not view.task.objectives:
        return Html()
    aims, drawn = view.task.aims, list[Html]()
    for objective in aims.objectives:
        drawing = draw_front(view.ranking, aims, objective)
        if drawing is not None:
            said = f"{aims.metric.name} on {view.part} (up) and {objective.name} (to the right); the front is joined"
            drawn += [tag("p", said), drawing]
    return join(drawn)


def _search(view: ReportInput) -> Html:
    search = view.search
    if search is None:
        return section("Search", tag("p", "No candidate was tried."))
    asked = view.config.get("search", {})
    space = asked.get("space", "auto")
    families = space if isinstance(space, str) else ", ".join(space.get("families", {}))
    facts = (
        ("space", families),
        *((f"bound on {name}", str(bound)) for name, bound in asked.get("constraints", {}).items()),
        ("algorithm", asked.get("algorithm", "")),
        ("scheduler", asked.get("scheduler", "")),
        ("trials", states_text(search)),
        ("scored on", search.part),
        ("ended because", search.stopped_by),
        ("took", f"{search.seconds:,.1f} s, {search.slots:,} trials at a time"),
        *((("ran on", nodes_text(search.nodes)),) if search.nodes else ()),
    )
    used = () if view.usage is None else (("used", usage_line(view.usage)),)
    return section("Search", definitions((*facts, *used)), _progress(search, view.task))


def _progress(search: SearchOutcome, task: LearningTask | None) -> Html:
    if task is None:
        return Html()
    drawing = draw_progress(search.trials, task.metric)
    if drawing is None:
        return tag("p", "Fewer than two trials have a score: there is no progress to draw.")
    return join((tag("p", f"Best score on {search.part} over time"), drawing))


def _data(view: ReportInput) -> Html:
    profile, task = view.profile, view.task
    facts = [
        ("source", view.table.address),
        ("rows", f"{profile.rows:,}, of which {profile.duplicate_rows:,} repeat an earlier one"),
        ("columns", f"{len(profile.columns):,}"),
        ("suitability", view.check.suitability.value),
        ("content digest", tag("code", profile.row_digest)),
    ]
    if task is not None:
        facts += [
            ("target", f"{task.target} ({task.kind.value})"),
            ("learned from", learned_from(task)),
            *(("inferred", said) for said in task.said),
        ]
    facts += [("prepared by", rule_line(rule)) for rule in view.prepare]
    left_out = [("left out", f"{name}: {why}") for name, why in view.check.left_out.items()]
    return section(
        "Data",
        definitions([*facts, *left_out]),
        findings_table(view.check.findings),
        *(tag("p", unused) for unused in view.check.unused_waivers),
        proposals_list(view.check.proposals),
        tag("details", tag("summary", "Columns"), columns_table(profile, view.check.meanings, SHOWN_COLUMNS)),
        tag("p", tag("a", "Every column, drawn", href=DATA_PAGE), " (part of the bundle)"),
    )


def _split(view: ReportInput) -> Html:
    split = view.split
    if split is None:
        return section("Split", tag("p", "The rows were not split."))
    task = view.task or view.aim
    head, rows = split_table(split, () if task is None else task.classes)
    facts = (*split_facts(split), ("compared by", view.part))
    return section("Split", definitions(facts), table(head, ((*row[:-1], tag("code", row[-1])) for row in rows)))


def _loading(view: ReportInput) -> Html:
    if view.final_check is None or view.without_model:
        return Html()
    address = view.bundle_address
    python = f"import raysweep\nmodel = raysweep.load_model({address!r})\nmodel.predict(frame)"
    shell = f"raysweep verify '{address}'\nraysweep show '{address}'"
    others = (tag("p", sentence) for sentence in view.other_forms)
    further = "\n".join(view.other_loading).strip()
    ways = [tag("pre", tag("code", each)) for each in (python, shell, further) if each]
    return section("How to use it", *ways, *others)
