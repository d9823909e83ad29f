"""`raysweep logs`: what the driver of a submitted run prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Annotated

import typer

from raysweep.cli.options import AsJson, Debug, RunAddress, SubmittedRunId
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.progress import PlainLines
from raysweep.errors import Interrupted

Follow = Annotated[bool, typer.Option("--follow", help="Go on until the run is over; Ctrl-C leaves it alone.")]
Raw = Annotated[bool, typer.Option("--raw", help="As it is: events as lines of JSON.")]


def logs(
    run: SubmittedRunId,
    follow: Follow = False,
    raw: Raw = False,
    address: RunAddress = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Print the log of a run's last job: what it has said, a line each, and whatever else came.

    \b
    Examples:
      raysweep logs nightly --follow
      raysweep logs nightly --raw > events.jsonl
    """
    return carry_out(lambda: _logs(run, address, follow=follow, raw=raw or as_json), as_json=as_json, debug=debug)


def _logs(run: str, address: str | None, *, follow: bool, raw: bool) -> Answer:
    from raysweep import api

    found = api.attach(run, address=address)
    if not follow:
        lines = found.logs().splitlines()
        return Answer({"run_id": run, "lines": lines}, lambda: _print(lines, raw=raw))
    try:
        _print((line for line in found.lines() if line is not None), raw=raw)
    except KeyboardInterrupt:
        raise Interrupted(f"no longer followed; the run goes on (raysweep status {run})") from None
    return Answer({"run_id": run, "submission_id": found.submission_id}, lambda: None)


def _print(lines: Iterable[str], *, raw: bool) -> None:
    from raysweep.job.run_state import RunState

    plain, state = PlainLines(_write, time.monotonic), RunState()
    for line in lines:
        said = line if raw else state.read(line)
        if raw:
            _write(line)
        elif isinstance(said, str):
            plain.quote(said)
        elif said is not None:
            plain(said)
    if not raw and state.failed is not None:
        plain.quote(f"raysweep: {state.failed.message}")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
