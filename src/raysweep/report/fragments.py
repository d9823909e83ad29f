"""The pieces of HTML that the report and the notebook share."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.records.final_check import FinalCheck
from raysweep.records.table import Finding
from raysweep.records.trial import Trial
from raysweep.report.leaderboard import leaderboard
from raysweep.report.markup import Html, join, table, tag
from raysweep.report.wording import MARKS, comparison_line, gap_line, heading_note, score_heading, score_line


def leaderboard_table(ranking: Sequence[Trial], metric: str, part: str) -> Html:
    """The trials, best first; below them what was scored, where the heading is too short for it."""
    head = ("#", "family", score_heading(metric, part), "effort", "seconds", "state", "params", "trial")
    rows = (
        (row.rank, row.family, row.score, row.effort, row.seconds, row.state, row.params, row.trial)
        for row in leaderboard(ranking)
    )
    note = heading_note(metric, part)
    return join((table(head, rows), *([tag("p", note)] if note else [])))


def verdict_lines(check: FinalCheck) -> Html:
    """The final score, the comparisons and the gap, a line each."""
    lines = [score_line(check), *(comparison_line(one) for one in check.comparisons), gap_line(check)]
    return tag("ul", *(tag("li", line) for line in lines))


def gates_table(check: FinalCheck) -> Html:
    """Every gate with its outcome and reason."""
    return table(
        ("gate", "outcome", "reason"),
        (
            (
                gate.name,
                tag("span", f"{MARKS[gate.outcome]} {gate.outcome.value}", class_=gate.outcome.value),
                gate.reason,
            )
            for gate in check.gates
        ),
    )


def findings_table(findings: Sequence[Finding]) -> Html:
    """Every finding, worst first as the gate orders them."""
    if not findings:
        return tag("p", "No finding.")
    return table(
        ("severity", "check", "column", "what", "advice"),
        (
            (
                tag("span", one.severity.value, class_=one.severity.value),
                one.check,
                one.column or "",
                one.message,
                one.advice,
            )
            for one in findings
        ),
    )
