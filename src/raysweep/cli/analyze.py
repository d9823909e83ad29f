"""`raysweep analyze`: profile and data checks only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.options import AsJson, Debug, Events, Sets
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.progress import showing_progress
from raysweep.cli.tables import columns_table, findings_table, output, suitability_line
from raysweep.errors import EXIT_OK, DataUnsuitable
from raysweep.events import DataChecked, Event, Listener, broadcast
from raysweep.records.table import Suitability

if TYPE_CHECKING:
    from raysweep.api import Analysis

Source = Annotated[
    str, typer.Argument(metavar="SWEEP_OR_DATA", help="A sweep file, or a data file or folder (parquet, csv, jsonl).")
]
Target = Annotated[
    str | None,
    typer.Option("--target", metavar="COL", help="The column to predict. Without it, its checks are skipped."),
]


def analyze(
    source: Source,
    target: Target = None,
    overrides: Sets = None,
    as_json: AsJson = False,
    events: Events = None,
    debug: Debug = False,
) -> int:
    """Profile a table and say whether it is fit to learn from; nothing is trained.

    The exit code is 3 where the data are unsuitable.

    \b
    Examples:
      raysweep analyze flights.parquet --target late
      raysweep analyze sweep.yaml --json
    """

    def action() -> Answer:
        return analysis_answer(carry_out_analysis(source, target, overrides or (), as_events=events is not None))

    return carry_out(action, as_json=as_json, debug=debug)


def carry_out_analysis(
    source: str, target: str | None, overrides: Sequence[str] = (), *, as_events: bool = False
) -> Analysis:
    """Analyze with a progress display and Ctrl-C."""
    from raysweep import api

    with showing_progress(as_events=as_events) as progress, catching_interrupts(progress.notify) as interrupts:
        shown = progress if as_events else _without_findings(progress)
        return api.analyze(source, target=target, overrides=overrides, listener=broadcast((interrupts, shown)))


def _without_findings(listener: Listener) -> Listener:
    """`listener`, but not told what the answer says in full."""

    def tell(event: Event) -> None:
        if not isinstance(event, DataChecked):
            listener(event)

    return tell


def analysis_answer(analysis: Analysis) -> Answer:
    """What `analyze` answers."""
    check = analysis.check

    def show() -> None:
        console = output()
        profile = analysis.profile
        console.print(
            Text(
                f"{analysis.table.address}: {profile.rows:,} rows, {len(profile.columns):,} columns, "
                f"{profile.duplicate_rows:,} duplicate rows"
            ),
            soft_wrap=True,
        )
        for said in check.task.said if check.task is not None else ():
            console.print(Text(said), soft_wrap=True)
        console.print()
        console.print(columns_table(profile))
        console.print()
        console.print(findings_table(check.findings))
        console.print()
        console.print(suitability_line(check))

    is_unsuitable = check.suitability is Suitability.UNSUITABLE
    return Answer(analysis.to_document(), show, DataUnsuitable.exit_code if is_unsuitable else EXIT_OK)
