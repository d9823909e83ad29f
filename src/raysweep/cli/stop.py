"""`raysweep stop`: a submitted run finishes with what there is, or stops at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from raysweep.cli.options import AsJson, Debug
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.run import ended_answer
from raysweep.cli.submit import Address, Detach
from raysweep.errors import Interrupted

if TYPE_CHECKING:
    from raysweep.job.submitted import SubmittedRun

Run = Annotated[str, typer.Argument(metavar="RUN", help="The id of a submitted run.")]
Now = Annotated[bool, typer.Option("--now", help="Stop at once, and publish nothing; the run can be gone on with.")]


def stop(
    run: Run,
    now: Now = False,
    detach: Detach = False,
    address: Address = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Let a submitted run finish with what there is: no new trial, the final check, the bundle. It is waited for.

    A run that has not come to its search yet stops at once. The exit code is that of the sweep; 0 where it stopped
    without a result, as it was asked to.

    \b
    Examples:
      raysweep stop nightly
      raysweep stop nightly --now
    """
    return carry_out(lambda: _stop(run, address, now=now, detach=detach), as_json=as_json, debug=debug)


def _stop(run: str, address: str | None, *, now: bool, detach: bool) -> Answer:
    from raysweep import api

    found = api.attach(run, address=address)
    was_there = found.stop(now=now)
    if not was_there:
        typer.echo(f"the run {run} was over already", err=True)
    elif detach:
        return _said(found, "is asked to stop")
    try:
        return ended_answer(found.wait())
    except Interrupted as error:
        return _said(found, f"has stopped: {error}. `{found.again()}` goes on with it")


def _said(run: SubmittedRun, words: str) -> Answer:
    document = {"run_id": run.run_id, "submission_id": run.submission_id, "stopped": True}
    return Answer(document, lambda: typer.echo(f"the run {run.run_id} {words}"))
