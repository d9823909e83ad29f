"""The report: one HTML file that stands alone, without scripts and without the network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysweep.records.table import LearningTask, PartSummary, Profile
from raysweep.records.trial import SearchOutcome
from raysweep.report.drawings import draw_progress, draw_scores
from raysweep.report.fragments import findings_table, gates_table, leaderboard_table, verdict_lines
from raysweep.report.markup import Html, definitions, join, table, tag
from raysweep.report.view import ReportInput, states_text
from raysweep.report.wording import params_text, share_text

SHOWN_TRIALS: Final = 50
SHOWN_COLUMNS: Final = 200
STYLE: Final = Html("""
:root{--ink:#1f2933;--soft:#637381;--line:#e4e7eb;--blue:#2b6cb0;--green:#2f855a;--amber:#b7791f;--red:#c53030}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink)}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
header p{color:var(--soft);margin:.2rem 0 1.2rem}
.verdict{border-left:6px solid var(--soft);background:#f7f9fb;padding:.8rem 1.2rem;border-radius:4px}
.verdict b{font-size:1.3rem}.verdict.adequate{border-color:var(--green)}
.verdict.warned{border-color:var(--amber)}.verdict.refused{border-color:var(--red)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
td,dd,li,h1{overflow-wrap:break-word}th{color:var(--soft);font-weight:600;white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{color:var(--soft)}dd{margin:0}
.passed{color:var(--green)}.warning{color:var(--amber)}.inconclusive{color:var(--amber)}
.failed,.error{color:var(--red)}.skipped,.information{color:var(--soft)}
svg{max-width:100%;height:auto;font:13px system-ui,sans-serif;fill:var(--ink)}
svg .interval{stroke:var(--blue);stroke-width:4;opacity:.35;stroke-linecap:round}
svg .model{fill:var(--blue)}svg .other{fill:#9aa5b1}svg .axis{stroke:var(--line)}
svg .steps{fill:none;stroke:var(--blue);stroke-width:2}
pre{background:#f7f9fb;padding:.8rem 1rem;border-radius:4px;overflow-x:auto}code{font-size:.9rem}
""")
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
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{view.name}: {view.headline}"),
        tag("style", STYLE),
    )
    header = tag("header", tag("h1", view.name), tag("p", f"{view.run_id} · {view.created}"))
    return "<!DOCTYPE html>\n" + tag("html", head, tag("body", header, *sections), lang="en") + "\n"


def _section(title: str, *content: object) -> Html:
    return tag("section", tag("h2", title), *content)


def _verdict(view: ReportInput) -> Html:
    style = VERDICT_STYLE.get(view.headline, "refused")
    check = view.final_check
    if check is None:
        words = "There is no model, and so no score: the sweep ended before the final check."
        return tag("div", tag("b", view.headline), tag("p", words), class_=f"verdict {style}")
    reasons = tag("ul", *(tag("li", reason) for reason in check.reasons))
    return join(
        (
            tag("div", tag("b", view.headline), verdict_lines(check), class_=f"verdict {style}"),
            _section(f"{check.metric} on validation", draw_scores(check)),
            _section("Why", reasons, gates_table(check)),
        )
    )


def _leaderboard(view: ReportInput) -> Html:
    if view.task is None or not view.ranking:
        return _section("Leaderboard", tag("p", "No trial has a score."))
    shown = view.ranking[:SHOWN_TRIALS]
    best = view.ranking[0].candidate
    return _section(
        "Leaderboard",
        tag("p", f"Best: {best.family} ({params_text(best.params)})"),
        leaderboard_table(shown, view.task.metric.name, view.part),
        _rest(len(view.ranking) - len(shown), "trials", "trials.parquet"),
    )


def _search(view: ReportInput) -> Html:
    search = view.search
    if search is None:
        return _section("Search", tag("p", "No candidate was tried."))
    asked = view.config.get("search", {})
    space = asked.get("space", "auto")
    families = space if isinstance(space, str) else ", ".join(space.get("families", {}))
    facts = (
        ("space", families),
        ("algorithm", asked.get("algorithm", "")),
        ("scheduler", asked.get("scheduler", "")),
        ("trials", states_text(search)),
        ("scored on", search.part),
        ("ended because", search.stopped_by),
        ("took", f"{search.seconds:,.1f} s, {search.slots:,} trials at a time"),
    )
    return _section("Search", definitions(facts), _progress(search, view.task))


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
            ("learned from", f"{len(task.features):,} columns"),
            *(("inferred", said) for said in task.said),
        ]
    left_out = [("left out", f"{name}: {why}") for name, why in view.check.left_out.items()]
    return _section(
        "Data",
        definitions([*facts, *left_out]),
        findings_table(view.check.findings),
        tag("details", tag("summary", "Columns"), _columns(profile)),
    )


def _columns(profile: Profile) -> Html:
    shown = profile.columns[:SHOWN_COLUMNS]
    rows = (
        (
            column.name,
            column.kind.value,
            column.type,
            share_text(column.missing_share),
            f"{'' if column.distinct_exact else 'about '}{column.distinct:,}",
        )
        for column in shown
    )
    more = _rest(len(profile.columns) - len(shown), "columns", "data/profile.json")
    return join((table(("column", "kind", "type", "missing", "distinct"), rows), more))


def _split(view: ReportInput) -> Html:
    split = view.split
    if split is None:
        return _section("Split", tag("p", "The rows were not split."))
    parts: Iterable[tuple[str, PartSummary]] = ((part.value, summary) for part, summary in split.parts.items())
    rows = ((name, f"{summary.rows:,}", tag("code", summary.digest)) for name, summary in parts)
    facts = [
        ("kind", split.kind),
        ("seed", split.seed),
        ("row key", ", ".join(split.key)),
        ("compared by", view.part),
        ("proof", f"{split.keys_shared:,} row keys stand in more than one part, counted over all rows"),
        ("rows without a target", f"{split.left_out_rows:,}"),
    ]
    return _section("Split", definitions(facts), table(("part", "rows", "digest"), rows))


def _loading(view: ReportInput) -> Html:
    if view.final_check is None:
        return Html()
    address = view.bundle_address
    python = f"import raysweep\nmodel = raysweep.load_model({address!r})\nmodel.predict(frame)"
    shell = f"raysweep verify '{address}'\nraysweep show '{address}'"
    return _section("How to use it", tag("pre", tag("code", python)), tag("pre", tag("code", shell)))


def _rest(count: int, what: str, place: str) -> Html:
    return tag("p", f"… and {count:,} more {what}, in {place}") if count > 0 else Html()
