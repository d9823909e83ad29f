"""`raysweep resume`: go on after a crash, or with more budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.options import AsJson, Debug, Events, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.progress import failures_told, showing_progress
from raysweep.cli.run import sweep_answer
from raysweep.cli.show import view_answer
from raysweep.events import broadcast

if TYPE_CHECKING:
    from raysweep.bundle.view import RunView
    from raysweep.results import SweepResult

Run = Annotated[str, typer.Argument(metavar="RUN", help="A folder, an s3:// address, or the id of a run under runs/.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change search.trials, .stop, .space, .concurrency or .trial, cluster, confirm or export.top. May be "
        "repeated.",
    ),
]
NewId = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="Name of the new run's folder, where RUN is published.")
]


def resume(  # noqa: PLR0913, PLR0917 - each argument is one thing that a user says
    run: Run,
    changes: Changes = None,
    run_id: NewId = None,
    s3_endpoint: S3Endpoint = None,
    as_json: AsJson = False,
    events: Events = None,
    debug: Debug = False,
) -> int:
    """Go on with a run: after a crash, where it stopped; after its end, with more budget or a wider space.

    What was asked comes out of the run's journal, and no finished trial is run again. A run that has not finished
    goes on in its own folder; of two drivers on one run the older one stops with exit code 6. A published run stays
    as it is: a new one starts from its trials, and names it in its manifest. The data have to be the same. A finished
    bundle that could not be put is put, and nothing is computed again.

    \b
    Examples:
      raysweep resume flights-late-20260101-120000-abc123
      raysweep resume runs/nightly --set search.trials=500
      raysweep resume s3://bucket/runs/nightly --set search.space=wider.yaml --set search.stop.seconds=3600
    """
    from raysweep.bundle.view import RunView

    def action() -> Answer:
        result = _carry_out(run, changes or [], run_id, s3_endpoint, as_events=events is not None)
        return view_answer(result) if isinstance(result, RunView) else sweep_answer(result)

    return carry_out(action, as_json=as_json, debug=debug)


def _carry_out(
    run: str, changes: list[str], run_id: str | None, s3_endpoint: str | None, *, as_events: bool
) -> SweepResult | RunView:
    from raysweep import api

    with (
        showing_progress(as_events=as_events) as progress,
        failures_told(progress),
        catching_interrupts(progress.notify) as interrupts,
    ):
        return api.resume(
            run,
            overrides=changes,
            run_id=run_id,
            s3=s3_settings(s3_endpoint),
            listener=broadcast((interrupts, progress)),
            interrupted=interrupts.asked,
        )
