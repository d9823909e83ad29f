"""`raysweep analyze`: profile and data checks only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.options import AsJson, Debug, Events, Sets
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.progress import showing_progress
from raysweep.cli.tables import columns_table, findings_table, output, proposals_text, suitability_line
from raysweep.errors import EXIT_OK, DataUnsuitable, StorageFailed
from raysweep.events import DataChecked, Event, Listener, broadcast
from raysweep.records.table import Suitability

if TYPE_CHECKING:
    from raysweep.results import Analysis

Source = Annotated[
    str, typer.Argument(metavar="SWEEP_OR_DATA", help="A sweep file, or a data file or folder (parquet, csv, jsonl).")
]
Target = Annotated[
    str | None,
    typer.Option("--target", metavar="COL", help="The column to predict. Without it, its checks are skipped."),
]

Folder = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="FOLDER", help="Where the files go. Default: analysis/ and the sweep's or file's name."
    ),
]
PAGE = "analysis.html"


def analyze(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Source,
    target: Target = None,
    out: Folder = None,
    overrides: Sets = None,
    as_json: AsJson = False,
    events: Events = None,
    debug: Debug = False,
) -> int:
    """Profile a table and say whether it is fit to learn from; no model is made.

    Writes findings.json, profile.json and analysis.html, a page that shows every column. The exit code is 3 where the
    data are unsuitable.

    \b
    Examples:
      raysweep analyze flights.parquet --target late
      raysweep analyze sweep.yaml --json
    """

    def action() -> Answer:
        analysis = carry_out_analysis(source, target, overrides or (), as_events=events is not None)
        return saved_answer(analysis, Path("analysis") / analysis.name if out is None else Path(out))

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


def saved_answer(analysis: Analysis, folder: Path) -> Answer:
    """What `analyze` answers: what was found, and where it is written, or why it could not be."""
    answer = analysis_answer(analysis)
    try:
        place = str(analysis.save(folder))
    except StorageFailed as error:
        words = f"nothing is saved: {error}; --out names another folder"
        failed = {"kind": type(error).__name__, "message": words, "exit_code": error.exit_code, "problems": []}
        document = {**answer.document, "folder": None, "error": failed}
        return Answer(document, _followed(answer, lambda: typer.echo(f"raysweep: {words}", err=True)), error.exit_code)

    def say() -> None:
        output().print(Text(f"folder  {place}\n        open {Path(place) / PAGE} in a browser"), soft_wrap=True)

    return Answer({**answer.document, "folder": place}, _followed(answer, say), answer.exit_code)


def _followed(answer: Answer, then: Callable[[], None]) -> Callable[[], None]:
    def show() -> None:
        answer.show()
        then()

    return show


def analysis_answer(analysis: Analysis) -> Answer:
    """What was found, without a place where it is written."""
    check = analysis.check
    is_unsuitable = check.suitability is Suitability.UNSUITABLE
    code = DataUnsuitable.exit_code if is_unsuitable else EXIT_OK
    return Answer(analysis.to_document(), lambda: _print(analysis), code)


def _print(analysis: Analysis) -> None:
    console, profile, check = output(), analysis.profile, analysis.check
    size = f"{profile.rows:,} rows, {len(profile.columns):,} columns, {profile.duplicate_rows:,} duplicate rows"
    console.print(Text(f"{analysis.table.address}: {size}"), soft_wrap=True)
    for said in (*(check.task.said if check.task is not None else ()), *check.unused_waivers):
        console.print(Text(said), soft_wrap=True)
    console.print()
    console.print(columns_table(profile.profile, check.meanings))
    console.print()
    console.print(findings_table(check.findings))
    console.print()
    if check.proposals:
        console.print(proposals_text(check.proposals), soft_wrap=True)
        console.print()
    console.print(suitability_line(check))
