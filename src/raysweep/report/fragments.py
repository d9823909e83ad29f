"""The pieces of HTML that the report and the notebook share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.documents import shorten
from raysweep.records.aims import Aims
from raysweep.records.final_check import FinalCheck
from raysweep.records.model_facts import Cause, WhyNot
from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Meaning, Profile, Proposal
from raysweep.records.trial import Trial
from raysweep.report.check_wording import gain_text, heaviest_first
from raysweep.report.leaderboard import leaderboard
from raysweep.report.markup import Html, join, table, tag
from raysweep.report.page import rest
from raysweep.report.wording import (
    MARKS,
    heading_note,
    number_text,
    score_heading,
    share_text,
    verdict_texts,
)
from raysweep.rows.canonical import type_name

SHOWN_NAME: Final = 80
SHOWN_LINE: Final = 4_000


def leaderboard_table(ranking: Sequence[Trial], aims: Aims, part: str, count: int) -> Html:
    """The first trials, best first; below them what was scored, where the heading is too short for it."""
    metric = aims.metric.name
    head = ("#", "family", score_heading(metric, part), *aims.further, "effort", "seconds", "state", "params", "trial")
    rows = (
        (row.rank, row.family, row.score, *row.further, row.effort, row.seconds, row.state, row.params, row.trial)
        for row in leaderboard(ranking, aims, count)
    )
    note = heading_note(metric, part)
    return join((table(head, rows), *([tag("p", note)] if note else [])))


def verdict_lines(check: FinalCheck) -> Html:
    """The final score, the comparisons and the gap, a line each."""
    return tag("ul", *(tag("li", line) for line in verdict_texts(check)))


def gates_table(check: FinalCheck) -> Html:
    """Every gate with its outcome and reason, those that failed first."""
    return table(
        ("gate", "outcome", "reason"),
        (
            (
                gate.name,
                tag("span", f"{MARKS[gate.outcome]} {gate.outcome.value}", class_=gate.outcome.value),
                gate.reason,
            )
            for gate in heaviest_first(check.gates)
        ),
    )


def why_not(why: WhyNot | None, metric: str) -> Html:
    """What is missing, and its causes with what to do about each, the likeliest first; nothing for None."""
    if why is None:
        return Html()
    looked = tag("ul", *(tag("li", sentence) for sentence in why.looked_at))
    without = (
        tag("details", tag("summary", "Also looked at, and no cause by what is known"), looked)
        if why.looked_at
        else Html()
    )
    said = "Causes, the likeliest first:" if why.causes else "None of the known causes shows."
    causes = tag("ol", *(_cause(one, metric) for one in why.causes), class_="causes")
    return join((tag("p", tag("b", why.shortfall)), tag("p", said), causes, without))


def _cause(one: Cause, metric: str) -> Html:
    return tag(
        "li",
        tag("p", tag("b", one.name.value), tag("span", f" (weight {one.weight:.2f})", class_="soft")),
        tag("p", one.evidence),
        tag("p", tag("b", "What to do: "), one.advice),
        tag("p", f"Expected gain: {gain_text(one, metric)}. Price: {one.price}", class_="soft"),
    )


def findings_table(findings: Sequence[Finding]) -> Html:
    """Every finding, worst first as the gate orders them; why it was accepted, where it was."""
    if not findings:
        return tag("p", "No finding.")
    return table(
        ("severity", "check", "column", "what", "advice"),
        (
            (
                tag("span", one.severity.value, class_=one.severity.value),
                one.check,
                tag("bdi", shorten(one.column or "", SHOWN_NAME)),
                one.message,
                one.advice if one.waived is None else f"accepted: {one.waived}",
            )
            for one in findings
        ),
    )


def proposals_list(proposals: Sequence[Proposal]) -> Html:
    """Lines for the sweep file to be copied, each with its reason; nothing where there are none."""
    if not proposals:
        return Html()
    lines = (join((tag("pre", tag("code", _bounded(one.line))), tag("p", one.why))) for one in proposals)
    said = "Lines for the sweep file. Nothing of this is applied."
    return tag("div", tag("p", said), *lines, class_="proposals")


def columns_table(profile: Profile, meanings: Mapping[str, Meaning], limit: int) -> Html:
    """What each column seems to be for, was read as, and holds."""
    rows = (
        (
            tag("bdi", shorten(column.name, SHOWN_NAME)),
            meanings[column.name].value if column.name in meanings else "",
            column.kind.value,
            shorten(type_name(column.kind, column.type)),
            share_text(column.missing_share) if column.nulls else "",
            distinct_text(column),
            range_text(column),
        )
        for column in profile.columns[:limit]
    )
    shown = table(("column", "meaning", "kind", "type", "missing", "distinct", "range"), rows)
    return join((shown, rest(len(profile.columns) - limit, "columns", "profile.json")))


def distinct_text(column: ColumnProfile) -> str:
    """How many different values there are."""
    return f"{'' if column.distinct_exact else 'about '}{column.distinct:,}"


def range_text(column: ColumnProfile) -> str:
    """From the smallest to the largest value."""
    if column.minimum is None or column.maximum is None or column.kind is ColumnKind.BOOLEAN:
        return ""
    return " to ".join(_end_text(one) for one in (column.minimum, column.maximum))


def _end_text(end: float | str) -> str:
    return end.removesuffix("T00:00:00").replace("T", " ") if isinstance(end, str) else number_text(end)


def _bounded(line: str) -> str:
    return line if len(line) <= SHOWN_LINE else f"{line[:SHOWN_LINE]}… (the whole line is in findings.json)"
