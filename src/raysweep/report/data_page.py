"""The page about the data: verdict and findings on top, then every column drawn. One file that stands alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from raysweep.documents import shorten
from raysweep.prepare_rules import rule_line
from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Severity, Suitability
from raysweep.report.correlation import SHOWN, correlations, rows_for
from raysweep.report.data_cards import Card, card, name_of
from raysweep.report.data_drawings import DRAWING_STYLE, draw_bars, draw_correlations
from raysweep.report.feature_bins import numbers_of
from raysweep.report.fragments import distinct_text, proposals_list, range_text
from raysweep.report.markup import Html, definitions, join, table, tag
from raysweep.report.page import STYLE, page, rest, section
from raysweep.report.target_bins import Target, target_of
from raysweep.report.view import DataView
from raysweep.report.wording import share_text
from raysweep.rows.canonical import type_name

MAX_CARDS: Final = 60
MAX_ROWS: Final = 2_000
MAX_FINDINGS: Final = 200
MAX_MISSING: Final = 40
PAGE_STYLE: Final = Html("""
body{max-width:64rem}h3{font-size:1rem;margin:0}
h4{font-size:.8rem;font-weight:600;color:var(--soft);margin:.2rem 0 .4rem}
p.soft,span.soft{color:var(--soft);font-size:.85rem}.card p{margin:.2rem 0 .5rem}a{color:var(--blue)}
.scroll bdi{overflow-wrap:anywhere}.verdict.suitable{border-color:var(--green)}
.card{border:1px solid var(--line);border-radius:6px;padding:.8rem 1rem;margin:0 0 .9rem;break-inside:avoid}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:.4rem 1.6rem}
.panel svg{width:100%;max-width:29rem}
.badge{font-size:.75rem;font-weight:400;background:#eef1f4;color:var(--soft);border-radius:9px;
padding:.1rem .5rem;margin:0 0 0 .5rem}
.badge.error{background:#fdecec;color:var(--red)}.badge.warning{background:#fdf4e3;color:var(--amber)}
.badge.waived{background:#f3ecfa;color:#6b46a8}.waived{color:#6b46a8}
.finding{border-left:4px solid var(--line);padding:.1rem 0 .1rem .9rem;margin:0 0 .8rem;break-inside:avoid}
.finding p{margin:.1rem 0;overflow-wrap:anywhere}.finding.error{border-color:var(--red);color:inherit}
.finding.warning{border-color:#e0a93b;color:inherit}.finding.waived{border-color:#9f7aea;color:inherit}
.finding.information{border-color:var(--blue);color:inherit}.finding.skipped{color:inherit}
.legend{font-size:.8rem}.legend span{margin-right:.9rem;white-space:nowrap}
.swatch{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}.proposals p{margin:.1rem 0 .7rem}
@media print{body{margin:0;max-width:none;font-size:11px}*{print-color-adjust:exact}details>*{display:block}}
""")


def data_page(view: DataView) -> str:
    """The page as one HTML document.

    Everything beside the target is drawn from the rows of the sample that will not be validation rows.
    """
    usable = _usable_sample(view)
    target = _target(view, usable)
    header = tag("header", tag("h1", view.name), tag("p", tag("bdi", view.table.address)))
    return page(
        f"{view.name}: {view.check.suitability.value}",
        Html(STYLE + DRAWING_STYLE + PAGE_STYLE),
        header,
        _verdict(view),
        _findings(view.check.findings, view.check.unused_waivers),
        _proposals(view),
        _columns(view),
        _missing(view.profile.columns),
        _correlations(view, usable),
        _cards(view, usable, target),
    )


def _usable_sample(view: DataView) -> Any:
    sample = view.profile.sample
    return sample if view.usable is None else sample.filter(pa.array(np.asarray(view.usable, np.bool_)))


def _target(view: DataView, usable: Any) -> Target | None:
    if view.aim is None or view.aim.target not in usable.column_names:
        return None
    return target_of(view.aim, usable.column(view.aim.target), shorten(view.aim.target, 40))


def _verdict(view: DataView) -> Html:
    check, profile = view.check, view.profile
    style = {Suitability.SUITABLE: "suitable", Suitability.WITH_WARNINGS: "warned"}.get(check.suitability, "refused")
    counted = Counter(one.severity for one in check.findings)
    said = [_counted(counted[one], one.value) for one in Severity if counted[one] and one is not Severity.SKIPPED]
    aim = view.aim
    facts = [
        ("rows", f"{profile.rows:,}, of which {profile.duplicate_rows:,} repeat an earlier one"),
        ("columns", f"{len(profile.columns):,}"),
        *([("target", f"{aim.target} ({aim.kind.value})")] if aim is not None else []),
        *(("inferred", one) for one in (check.task.said if check.task is not None else ())),
        *(("prepared by", rule_line(rule)) for rule in view.prepare),
        *(("left out", f"{shorten(name)}: {why}") for name, why in list(check.left_out.items())[:MAX_MISSING]),
    ]
    return join(
        (
            tag("div", tag("b", check.suitability.value), tag("p", ", ".join(said)), class_=f"verdict {style}"),
            definitions(facts),
        )
    )


def _counted(count: int, severity: str) -> str:
    plural = {"error": "errors", "warning": "warnings", "waived": "waived"}.get(severity, severity)
    return f"{count:,} {severity if count == 1 else plural}"


def _findings(findings: Sequence[Finding], unused: Sequence[str]) -> Html:
    loud = [one for one in findings if one.severity is not Severity.SKIPPED]
    skipped = [one for one in findings if one.severity is Severity.SKIPPED]
    shown = [_finding(one) for one in loud[:MAX_FINDINGS]] or [tag("p", "No finding.")]
    quiet = tag(
        "details",
        tag("summary", f"{len(skipped):,} checks had nothing to look at"),
        tag("ul", *(tag("li", f"{one.check}: {one.message}") for one in skipped[:MAX_FINDINGS])),
    )
    more = rest(len(loud) - MAX_FINDINGS, "findings", "findings.json")
    stale = [tag("p", sentence, class_="soft") for sentence in unused]
    return section("Findings", *shown, more, *stale, *([quiet] if skipped else []))


def _finding(one: Finding) -> Html:
    numbers = [f"{one.count:,} rows"] if one.count is not None else []
    numbers += [share_text(one.share)] if one.share is not None else []
    head = [tag("span", one.severity.value, class_=one.severity.value), " ", tag("b", one.check)]
    head += [" · ", name_of(one.column)] if one.column is not None else []
    details = [
        ("What to do: ", one.advice),
        ("Accepted: ", one.waived or ""),
        ("Examples: ", ", ".join(shorten(example) for example in one.examples)),
        ("Rows: ", ", ".join(shorten(place, 200) for place in one.places)),
    ]
    lines = [tag("p", name, tag("bdi", said), class_="soft") for name, said in details if said]
    measure = [tag("span", f" · {' · '.join(numbers)}", class_="soft")] if numbers else []
    return tag("div", tag("p", *head, *measure), tag("p", one.message), *lines, class_=f"finding {one.severity.value}")


def _proposals(view: DataView) -> Html:
    return section("Proposals", proposals_list(view.check.proposals)) if view.check.proposals else Html()


def _columns(view: DataView) -> Html:
    drawn = {column.name: anchor for anchor, column in _chosen(view)}
    meanings = _meanings(view)
    rows = (
        (
            tag("a", name_of(one.name), href=f"#{drawn[one.name]}") if one.name in drawn else name_of(one.name),
            meanings.get(one.name, ""),
            shorten(type_name(one.kind, one.type)),
            share_text(one.missing_share) if one.nulls else "",
            distinct_text(one),
            range_text(one),
        )
        for one in view.profile.columns[:MAX_ROWS]
    )
    shown = table(("column", "meaning", "type", "missing", "distinct", "range"), rows)
    return section("Columns", shown, rest(len(view.profile.columns) - MAX_ROWS, "columns", "profile.json"))


def _meanings(view: DataView) -> Mapping[str, str]:
    return {name: meaning.value for name, meaning in view.check.meanings.items()}


def _missing(columns: Sequence[ColumnProfile]) -> Html:
    gaps = sorted((one for one in columns if one.nulls), key=lambda one: -one.missing_share)
    if not gaps:
        return section("Missing values", tag("p", "No value is missing."))
    shown = gaps[:MAX_MISSING]
    shares = [one.missing_share for one in shown]
    drawing = draw_bars(
        [shorten(one.name) or "(no name)" for one in shown], shares, [*map(share_text, shares)], "missing values"
    )
    complete = f"{len(gaps):,} of {len(columns):,} columns have missing values."
    return section(
        "Missing values",
        tag("p", complete),
        tag("div", drawing, class_="panel"),
        rest(len(gaps) - len(shown), "columns with missing values", "the table above"),
    )


def _correlations(view: DataView, usable: Any) -> Html:
    present = set(usable.column_names)
    names = [one.name for one in view.profile.columns if one.kind is ColumnKind.NUMBER and one.name in present]
    rows = usable.slice(0, rows_for(len(names)))
    found = correlations(names, [numbers_of(rows.column(name), ColumnKind.NUMBER) for name in names])
    if found is None:
        return Html()
    many = found.chosen_from > len(found.names)
    said = f"Rank correlation (Spearman) on {rows.num_rows:,} rows of the sample"
    said += f": the {SHOWN} most correlated of {found.chosen_from:,} columns of numbers." if many else "."
    words = "Blue: they rise together. Red: one falls as the other rises."
    return section("Correlations", tag("p", f"{said} {words}"), draw_correlations(found))


def _cards(view: DataView, usable: Any, target: Target | None) -> Html:
    meanings, chosen, present = _meanings(view), _chosen(view), set(usable.column_names)
    cards = [
        Card(
            column=one,
            meaning=meanings.get(one.name, ""),
            values=usable.column(one.name).combine_chunks(),
            findings=[finding for finding in view.check.findings if finding.column == one.name],
            anchor=anchor,
            is_target=one.name == view.profile.target,
        )
        for anchor, one in chosen
        if one.name in present
    ]
    said = f"Drawn from {usable.num_rows:,} of {view.profile.rows:,} rows"
    said += ": rows that will be validation rows are not shown." if view.usable is not None else "."
    if target is not None:
        said += " The dashed line is the value over all of them; grey is what is missing."
    hidden = len(view.profile.columns) - len(chosen)
    more = (
        [tag("p", f"{hidden:,} more columns are in the table above; those with findings come first.")] if hidden else []
    )
    return section("Column by column", tag("p", said), *more, *(card(one, target) for one in cards))


def _chosen(view: DataView) -> list[tuple[str, ColumnProfile]]:
    """The columns that get a card, in the source's order: the target and those with findings first, if not all do."""
    loud = {one.column for one in view.check.findings if one.severity is not Severity.SKIPPED}
    target = view.profile.target

    def rank(place: int) -> tuple[bool, bool, int]:
        name = view.profile.columns[place].name
        return name != target, name not in loud, place

    places = sorted(sorted(range(len(view.profile.columns)), key=rank)[:MAX_CARDS])
    return [(f"c{place}", view.profile.columns[place]) for place in places]
