"""`raysweep run`: a whole sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.options import AsJson, Debug, Events, Sets, SweepFile
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.progress import failures_told, showing_progress
from raysweep.cli.tables import leaderboard_table, next_steps, output, verdict_panel
from raysweep.cli.until_published import answer_if_published
from raysweep.errors import EXIT_NOT_ADEQUATE, EXIT_OK
from raysweep.events import SweepEnded, broadcast
from raysweep.report.leaderboard import leaderboard
from raysweep.report.wording import usage_line

if TYPE_CHECKING:
    from raysweep.results import SweepResult

RunId = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="ID",
        help="Name of the run's folder; a run of that name that has not finished goes on. Default: name, time, six "
        "digits.",
    ),
]
UntilPublished = Annotated[
    bool,
    typer.Option(
        "--until-published",
        help="For schedulers that try again what failed: exit 0 once a model is published, whatever its verdict, and "
        "where the run was published before, show it; SIGTERM stops at once, for another try to go on, and only SIGINT "
        "finishes with what there is. Wants --run.",
    ),
]


def run(  # noqa: PLR0913, PLR0917 - each argument is one thing that a user says
    sweep: SweepFile,
    overrides: Sets = None,
    run_id: RunId = None,
    until_published: UntilPublished = False,
    as_json: AsJson = False,
    events: Events = None,
    debug: Debug = False,
) -> int:
    """Run a sweep: check the data, search, check the winner once on sealed rows, publish the bundle.

    Ctrl-C during the search finishes with what there is; a second one stops at once. The exit code is 0 where the
    model may be used and 7 where not.

    \b
    Examples:
      raysweep run sweep.yaml
      raysweep run sweep.yaml --set search.trials=20 --set export.to=s3://bucket/runs
      raysweep run sweep.yaml --run nightly          the same line again, after a crash, goes on with the run
      raysweep run sweep.yaml --json > result.json
    """

    def action() -> Answer:
        before = answer_if_published(sweep, overrides or (), run_id) if until_published else None
        if before is not None:
            return before
        result = carry_out_sweep(
            sweep, overrides or (), run_id, as_events=events is not None, goes_on_elsewhere=until_published
        )
        answer = sweep_answer(result)
        return replace(answer, exit_code=EXIT_OK) if until_published else answer

    return carry_out(action, as_json=as_json, debug=debug)


def carry_out_sweep(
    sweep: str | Mapping[str, Any],
    overrides: Sequence[str],
    run_id: str | None,
    *,
    as_events: bool,
    goes_on_elsewhere: bool = False,
) -> SweepResult:
    """Run the sweep with a progress display and Ctrl-C; SIGTERM leaves it to another try where there will be one."""
    from raysweep import api

    with (
        showing_progress(as_events=as_events) as progress,
        failures_told(progress),
        catching_interrupts(progress.notify, only_ctrl_c_finishes=goes_on_elsewhere) as interrupts,
    ):
        return api.run_sweep(
            sweep,
            run_id=run_id,
            overrides=overrides,
            listener=broadcast((interrupts, progress)),
            interrupted=interrupts.asked,
        )


def sweep_answer(result: SweepResult) -> Answer:
    """What `run` and `demo` answer."""
    return ended_answer(result.to_event())


def ended_answer(ended: SweepEnded) -> Answer:
    """What a command answers that has brought a sweep to its end, wherever it ran."""

    def show() -> None:
        console = output()
        rows = leaderboard(ended.leaders, ended.aims)
        console.print(leaderboard_table(rows, ended.aims, ended.part, console.width))
        hidden = ended.scored - len(rows)
        if hidden > 0:
            console.print(f"… and {hidden:,} more")
        console.print()
        console.print(verdict_panel(ended.final_check))
        console.print(Text(usage_line(ended.usage), style="dim"))
        steps = next_steps(ended.bundle_url, has_model=True, without_model=ended.without_model)
        console.print(steps, soft_wrap=True)

    code = EXIT_OK if ended.final_check.verdict.allows_use else EXIT_NOT_ADEQUATE
    return Answer(ended.document, show, code)
