"""The live display on a terminal: stages with a tick, and the search as it goes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raysweep.events import (
    ClusterChanged,
    DataChecked,
    Event,
    Said,
    SearchPlanned,
    Stage,
    StageFinished,
    StageStarted,
)
from raysweep.records.table import DataCheck, Severity, Suitability
from raysweep.report.leaderboard import leaderboard
from raysweep.report.search_state import SearchState, cluster_text
from raysweep.report.wording import score_heading

LEADERS = 5
REFRESHES_PER_SECOND = 4
STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}


class LiveDisplay:
    """A Listener that keeps a few lines at the bottom of the terminal up to date.

    What is finished scrolls away above them as ordinary text, so that it stays in the scrollback.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._stage: tuple[Stage, float] | None = None
        self._search: SearchState | None = None
        self._notice = ""
        self._lock = Lock()
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def notify(self, message: str) -> None:
        """Show the message below the rest; only stores it, since a signal handler may call this."""
        self._notice = message

    def quote(self, line: str) -> None:
        """Let a line of somebody else's scroll away above."""
        self._console.print(Text(line, style="dim"))

    def __call__(self, event: Event) -> None:
        """Show the event."""
        match event:
            case StageStarted(stage):
                self._stage = (stage, self._clock())
            case StageFinished():
                self._finish(event)
            case Said(message):
                self._console.print(Text(f"  {message}", style="dim"))
            case DataChecked(check):
                self._print_findings(check)
            case SearchPlanned():
                self._search = SearchState(event, self._clock())
            case _:
                self._follow(event)

    def _follow(self, event: Event) -> None:
        if self._search is not None:
            with self._lock:
                self._search.update(event)
        if isinstance(event, ClusterChanged):
            self._console.print(Text(f"  {cluster_text(event)}", style="dim"))

    def _finish(self, event: StageFinished) -> None:
        self._stage = None
        if event.stage is Stage.SEARCH:
            self._search = None
        self._live.refresh()  # else the line of the stage that is over is drawn once more
        line = Text("✓ ", style="green")
        line.append(f"{event.stage.value:<9}", style="bold default")
        line.append(f"{event.seconds:>7.1f} s  {event.summary}", style="default")
        self._console.print(line)

    def _print_findings(self, check: DataCheck) -> None:
        for finding in check.findings:
            if finding.severity in STYLES:
                line = Text(f"  {finding.severity.value}: ", style=STYLES[finding.severity])
                line.append(f"{finding.check}: {finding.message}", style="default")
                self._console.print(line)
        if check.suitability is Suitability.UNSUITABLE:
            for one in check.proposals:
                self._console.print(Text.assemble("  proposal: ", one.line, (f"  # {one.why}", "dim")))

    def _render(self) -> RenderableType:
        now, lines = self._clock(), list[RenderableType]()
        if self._stage is not None:
            stage, since = self._stage
            lines.append(Text(f"· {stage.value:<9}{now - since:>7.0f} s", style="cyan"))
        search = self._search
        if search is not None:
            with self._lock:
                lines += self._search_lines(search, now)
        if self._notice:
            lines.append(Text(self._notice, style="bold yellow"))
        return Group(*lines)

    def _search_lines(self, search: SearchState, now: float) -> list[RenderableType]:
        gone = search.share_done(now)
        return [
            _on_own_line(ProgressBar(total=1.0, completed=gone, width=min(60, self._console.width))),
            Text(f"{search.counts()} · {search.cores()} · {search.time(now)}"),
            Text(search.score_text(), style="bold"),
            *self._leaders(search),
        ]

    def _leaders(self, search: SearchState) -> list[RenderableType]:
        rows = leaderboard(search.leaders(LEADERS), search.plan.aims)
        if not rows:
            return []
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("family")
        table.add_column(Text(score_heading(search.plan.metric, search.plan.part)), justify="right")
        table.add_column("state")
        table.add_column("params", overflow="ellipsis", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(cell) for cell in (row.family, row.score, row.state, row.params)))
        return [table]


def _on_own_line(bar: ProgressBar) -> Table:
    line = Table.grid()
    line.add_row(bar)
    return line
