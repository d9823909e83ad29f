"""What commands print for people: findings, leaderboard, verdict, and the commands to go on with."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from raysweep.cli.consoles import make_console
from raysweep.documents import shorten
from raysweep.records.aims import Aims
from raysweep.records.final_check import FinalCheck, Gate, Outcome, Verdict
from raysweep.records.table import (
    ColumnKind,
    ColumnProfile,
    DataCheck,
    Finding,
    Meaning,
    Profile,
    Proposal,
    Severity,
    Suitability,
)
from raysweep.report.check_wording import cause_line, heaviest_first, promotion_text
from raysweep.report.leaderboard import Row
from raysweep.report.wording import MARKS, heading_note, score_heading, share_text, verdict_texts

SEVERITY_STYLES = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.WAIVED: "magenta",
    Severity.INFORMATION: "cyan",
    Severity.SKIPPED: "dim",
}
GATE_STYLES = {
    Outcome.PASSED: "green",
    Outcome.WARNING: "yellow",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.FAILED: "bold red",
}
VERDICT_STYLES = {
    Verdict.ADEQUATE: "green",
    Verdict.WITH_WARNINGS: "yellow",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_ADEQUATE: "red",
}
SUITABILITY_STYLES = {
    Suitability.SUITABLE: "green",
    Suitability.WITH_WARNINGS: "yellow",
    Suitability.UNSUITABLE: "bold red",
}
NARROW_WIDTH = 110
MAX_COLUMNS_SHOWN = 60
SHOWN_CAUSES = 2
TYPES_SHOWN = {ColumnKind.NUMBER, ColumnKind.DATETIME, ColumnKind.NESTED}


def output() -> Console:
    """Stdout; wide where it is a file or a pipe, so that nothing is folded there."""
    return make_console()


def findings_table(findings: Sequence[Finding]) -> Table:
    """The findings; texts from the data are never read as markup."""
    table = _table("severity", "check", "column", "what, and what to do")
    for finding in findings:
        what = Text(finding.message)
        if finding.advice and finding.severity in {Severity.ERROR, Severity.WARNING}:
            what.append(f"\n→ {finding.advice}", style="dim")
        if finding.places:
            what.append(f"\nexamples: {_places(finding.places)}", style="dim")
        if finding.waived is not None:
            what.append(f"\naccepted: {finding.waived}", style="dim")
        style = SEVERITY_STYLES[finding.severity]
        cells = (Text(finding.severity.value, style), Text(finding.check), Text(finding.column or ""), what)
        table.add_row(*cells)
    return table


def columns_table(profile: Profile, meanings: Mapping[str, Meaning]) -> Table:
    """What each column seems to be for, was read as, and what is in it."""
    table = _table("column", "meaning", "read as", "missing", "distinct", "from", "to", "most frequent")
    for column in profile.columns[:MAX_COLUMNS_SHOWN]:
        about = "" if column.distinct_exact else "about "
        table.add_row(
            Text(shorten(column.name)),
            Text(meanings[column.name].value if column.name in meanings else ""),
            Text(f"{column.kind.value} ({column.type})" if column.kind in TYPES_SHOWN else column.kind.value),
            Text(share_text(column.missing_share) if column.nulls else ""),
            Text(f"{about}{column.distinct:,}"),
            Text(_end(column.minimum)),
            Text(_end(column.maximum)),
            Text(_most_frequent(column)),
        )
    rest = len(profile.columns) - MAX_COLUMNS_SHOWN
    if rest > 0:
        table.add_row(Text(f"… and {rest:,} columns more (--json has them all)"))
    return table


def _places(places: Sequence[str]) -> str:
    """Example rows; a file is named once for those that follow one another in it."""
    parts = (place.rpartition("row ") for place in places)
    return "; ".join(
        file + ", ".join(row + number for _, row, number in rows)
        for file, rows in groupby(parts, key=lambda part: part[0])
    )


def _end(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.6g}"


def _most_frequent(column: ColumnProfile) -> str:
    if not column.values or column.kind is ColumnKind.NUMBER:
        return ""
    return ", ".join(f"{shorten(str(value), 20)} ({count:,})" for value, count in column.values[:3])


def proposals_text(proposals: Sequence[Proposal]) -> Text:
    """Lines for the sweep file, each with its reason above it as a comment."""
    said = Text("Proposals for the sweep file (nothing of this is applied):", style="bold")
    for one in proposals:
        said.append(f"\n  # {one.why}", style="dim")
        said.append(f"\n  {one.line}", style="default")
    return said


def suitability_line(check: DataCheck) -> Text:
    """What the data gate decided."""
    return Text.assemble("The data are ", (check.suitability.value, SUITABILITY_STYLES[check.suitability]))


def leaderboard_table(rows: Iterable[Row], aims: Aims, part: str, width: int) -> Group:
    """The trials, best first; below them what was scored, where the heading is too short for it.

    Args:
        rows: the lines.
        aims: what the trials were after.
        part: what the scores were measured on.
        width: of the console; a narrow one gets fewer columns and shortened params.
    """
    scores = (score_heading(aims.metric.name, part), *aims.further)
    table = _narrow_leaderboard(rows, scores) if width < NARROW_WIDTH else _wide_leaderboard(rows, scores)
    note = heading_note(aims.metric.name, part)
    return Group(table, *([Text(note, style="dim")] if note else []))


def _wide_leaderboard(rows: Iterable[Row], scores: Sequence[str]) -> Table:
    table = _table("#", "family", *scores, "effort", "seconds", "state", "params", "trial")
    _keep_whole(table, "family", *scores, "state")
    for row in rows:
        scored = (row.score, *row.further)
        cells = (row.rank, row.family, *scored, row.effort, row.seconds, row.state, row.params, row.trial)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _narrow_leaderboard(rows: Iterable[Row], scores: Sequence[str]) -> Table:
    metric, _, rest = scores[0].partition(" ")
    folded = (f"{metric}\n{rest}", *(name.replace("_", "_\n") for name in scores[1:]))
    table = _table("#", "family", *folded, "effort", "state", "params")
    _keep_whole(table, "family", *folded, "state", "params")
    table.expand = True
    table.columns[-1].ratio = 1  # params get what the others leave
    for row in rows:
        cells = (row.rank, row.family, row.score, *row.further, row.effort, row.state, row.params)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _keep_whole(table: Table, *headings: str) -> None:
    for column in table.columns:
        if str(column.header) in headings:
            column.no_wrap, column.overflow = True, "ellipsis"


def verdict_panel(check: FinalCheck) -> Panel:
    """The verdict, the score beside what it is compared with, the gates, and what to do; on one screen."""
    style = VERDICT_STYLES[check.verdict]
    score, *others = verdict_texts(check)
    lines = [
        Text(check.verdict.value, style=f"bold {style}"),
        Text(score, style="bold"),
        *map(Text, others),
        Text(""),
    ]
    return Panel(Group(*lines, _gates(check), *_next(check)), title="verdict", title_align="left", border_style=style)


def _gates(check: FinalCheck) -> Table:
    """A line each; where there is more to say, those that passed share one, so that all fits on a screen."""
    loud = [gate for gate in heaviest_first(check.gates) if check.why_not is None or gate.outcome is not Outcome.PASSED]
    quiet = [gate.name for gate in check.gates if gate not in loud]
    rest = [Gate(f"{len(quiet):,} gates", Outcome.PASSED, ", ".join(quiet))] if quiet else []
    grid = Table.grid(padding=(0, 2))
    for gate in loud + rest:
        mark = Text(f"{MARKS[gate.outcome]} {gate.outcome.value}", style=GATE_STYLES[gate.outcome])
        grid.add_row(mark, Text(gate.name), Text(gate.reason))
    return grid


def _next(check: FinalCheck) -> Iterator[Text]:
    """Whether to take the place of the model in production; what is missing, and the likeliest ways to mend it."""
    if check.production is not None:
        yield Text(f"\n{promotion_text(check.production, check.gates)}", style="bold")
    if check.why_not is not None:
        yield Text(f"\nwhy not: {check.why_not.shortfall}")
        for place, cause in enumerate(check.why_not.causes[:SHOWN_CAUSES], 1):
            yield Text(f"  {place}. {cause_line(cause, check.metric)}")
        yield Text("more in report.html", style="dim")


def next_steps(url: str, *, has_model: bool, finished: bool = True, without_model: str = "") -> Text:
    """Where the bundle is, and what to do with it; a run that is not finished can be gone on with.

    Args:
        url: of the bundle.
        has_model: whether a model was checked finally.
        finished: whether the run is published.
        without_model: why the model is not published nevertheless.
    """
    quoted = shlex.quote(url)
    if not finished:
        lines = [f"folder  {url}", f"        raysweep show {quoted}", f"        raysweep resume {quoted}"]
        return Text("\n".join(lines), no_wrap=True, overflow="ignore")
    lines = [f"bundle  {url}", f"        raysweep show {quoted}", f"        raysweep verify {quoted}"]
    if without_model:
        lines.append(f"model   none is published: {without_model}")
    elif has_model:
        lines += [
            f"python  import raysweep; model = raysweep.load_model({url!r})",
            "        model.predict(frame)",
        ]
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in headings:
        is_number = heading in {"#", "seconds", "trial"}
        # Long text may fold anywhere: a name without a blank must not push the rest off the screen.
        table.add_column(Text(heading), overflow="fold", justify="right" if is_number else "left")
    return table
