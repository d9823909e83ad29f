"""`raysweep status`: how far a submitted run is, or all of a cluster."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from raysweep.cli.options import AsJson, Debug, RunAddress
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.tables import output
from raysweep.errors import EXIT_NOT_ADEQUATE, EXIT_OK
from raysweep.report.search_state import clock_text

if TYPE_CHECKING:
    from raysweep.job.jobs_api import Job
    from raysweep.job.jobs_of_run import Attempt
    from raysweep.job.submitted import RunStatus

Run = Annotated[str | None, typer.Argument(metavar="[RUN]", help="The id of a run; all of the cluster where absent.")]


def status(run: Run = None, address: RunAddress = None, as_json: AsJson = False, debug: Debug = False) -> int:
    """Say how far a submitted run is: job, stage, trials, the best score, and how to go on. Without RUN: all of them.

    \b
    Examples:
      raysweep status nightly
      raysweep status --address http://head:8265
    """

    def action() -> Answer:
        return _all(address) if run is None else _one(run, address)

    return carry_out(action, as_json=as_json, debug=debug)


def _one(run: str, address: str | None) -> Answer:
    from raysweep import api

    found = api.attach(run, address=address).status()
    return Answer(found.to_document(), lambda: _print(found))


def _all(address: str | None) -> Answer:
    from raysweep.job.jobs_api import JobsApi
    from raysweep.job.remembered import choose_address
    from raysweep.job.submitted import all_runs, job_document

    cluster = JobsApi(choose_address(address))
    cluster.check_cluster()
    runs = all_runs(cluster)
    document = {"address": cluster.address, "runs": [job_document(attempt.job) for _, attempt in runs]}
    return Answer(document, lambda: _print_all(cluster.address, runs))


def _print(status: RunStatus) -> None:
    job, state = status.job, status.state
    lines = [
        f"run     {status.run_id}  (job {job.submission_id} at {status.address})",
        f"state   {_state(job)}, attempt {status.attempt.number}",
    ]
    if state.host:
        lines.append(f"driver  process {state.pid} on {state.host}")
    if state.progress():
        lines.append(f"sweep   {state.progress()}")
    if state.ended is not None:
        lines.append(f"verdict {state.ended.final_check.verdict.value}; {state.ended.bundle_url}")
    if state.failed is not None:
        lines.append(f"error   {state.failed.message}")
    elif job.state.is_over and state.ended is None:
        lines.append(f"error   ended without a result: {job.message.strip().partition(chr(10))[0]}")
    lines += [f"        {step}" for step in status.next_steps]
    for line in lines:
        output().print(Text(line), soft_wrap=True)


def _print_all(address: str, runs: list[tuple[str, Attempt]]) -> None:
    if not runs:
        output().print(Text(f"the cluster at {address} knows no submitted run"))
        return
    table = Table("run", "state", "attempt", "store", "submitted from", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for run, attempt in runs:
        said = attempt.job.metadata
        cells = (run, _state(attempt.job), str(attempt.number))
        table.add_row(*map(Text, (*cells, said.get("raysweep_store", ""), said.get("raysweep_submitted_from", ""))))
    output().print(table)


def _state(job: Job) -> str:
    # To Ray every code but 0 is a failure, also that of a sweep whose model is not adequate.
    word = "done" if job.exit_code in {EXIT_OK, EXIT_NOT_ADEQUATE} else job.state.value.lower()
    if job.started is None:
        return word
    since = f"{datetime.fromtimestamp(job.started, UTC):%Y-%m-%d %H:%M:%S} UTC"
    seconds = (job.ended or time.time()) - job.started
    code = "" if job.exit_code is None else f", exit code {job.exit_code}"
    return f"{word}{code}; begun {since}, {clock_text(max(0.0, seconds))} {'in all' if job.ended else 'ago'}"
