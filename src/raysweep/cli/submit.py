"""`raysweep submit`: a sweep as a job of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from raysweep.cli.consoles import printable
from raysweep.cli.following import follow
from raysweep.cli.options import AsJson, Debug, Events, S3Endpoint, Sets, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.run import ended_answer

if TYPE_CHECKING:
    from raysweep.job.submitted import SubmittedRun


class Installation(StrEnum):
    """How raysweep gets to the cluster."""

    CODE = "code"
    INDEX = "index"
    NONE = "none"


Sweep = Annotated[str | None, typer.Argument(metavar="SWEEP", help="Path of a sweep file (YAML or JSON).")]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Instead of SWEEP: the s3:// address of a run to go on with. A published one stays as it is: a new run "
        "starts from its trials, with what --set changes.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="Ray's dashboard, such as http://head:8265. Default: RAY_API_SERVER_ADDRESS, else RAY_ADDRESS where it is "
        "http(s).",
    ),
]
RunId = Annotated[
    str | None,
    typer.Option("--run", metavar="ID", help="Name of the run's folder. Default: the sweep's name."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for what comes of it.")]
UploadData = Annotated[
    bool, typer.Option("--upload-data", help="Put local data below export.to, by their content, unless they are there.")
]
SharedPaths = Annotated[
    bool, typer.Option("--shared-paths", help="Local paths of the sweep are on a file system that every node sees.")
]
Install = Annotated[
    Installation,
    typer.Option(
        "--install",
        help="How raysweep gets there: code, what runs here is sent along; index, this version from the package index "
        "that the nodes use, with all that it needs (a minute or so); none, the nodes have it.",
    ),
]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is submitted, and how, as the command line says it."""

    sweep: str | None
    resume: str | None
    overrides: list[str]
    address: str | None
    run_id: str | None
    install: Installation
    shared_paths: bool
    upload_data: bool
    s3_endpoint: str | None

    def submit(self) -> SubmittedRun:
        from raysweep import api

        return api.submit(
            self.sweep,
            resume=self.resume,
            address=self.address,
            run_id=self.run_id,
            overrides=self.overrides,
            install=self.install.value,
            shared_paths=self.shared_paths,
            upload_data=self.upload_data,
            s3=s3_settings(self.s3_endpoint),
            tell=_say,
        )


def submit(  # noqa: PLR0913, PLR0917 - each argument is one thing that a user says
    sweep: Sweep = None,
    resume: Resume = None,
    address: Address = None,
    run_id: RunId = None,
    overrides: Sets = None,
    detach: Detach = False,
    upload_data: UploadData = False,
    shared_paths: SharedPaths = False,
    install: Install = Installation.CODE,
    s3_endpoint: S3Endpoint = None,
    as_json: AsJson = False,
    events: Events = None,
    debug: Debug = False,
) -> int:
    """Run a sweep on a Ray cluster, as a job there, and follow it: the same progress, summary and exit code as `run`.

    The same line again follows the run while it is running, and goes on with it after whatever broke it off. Sent are
    the sweep, its space and rules, and raysweep itself; never data, never credentials: the nodes have those of the
    store in their own environment. A token for the cluster is read from RAY_AUTH_TOKEN or the file that
    RAY_AUTH_TOKEN_PATH names. A key that export.sign names is never sent: it has to be on the nodes (--shared-paths).

    Ctrl-C asks the run to finish with what there is; a second one leaves it to itself.

    \b
    Examples:
      raysweep submit sweep.yaml --address http://head:8265
      raysweep submit sweep.yaml --run nightly --detach        then: raysweep status nightly
      raysweep submit sweep.yaml --upload-data --set export.to=s3://bucket/runs
      raysweep submit --resume s3://bucket/runs/nightly --set search.trials=500
    """
    wish = _Wish(sweep, resume, overrides or [], address, run_id, install, shared_paths, upload_data, s3_endpoint)

    def action() -> Answer:
        run = wish.submit()
        return _left(run) if detach else ended_answer(follow(run, as_events=events is not None))

    return carry_out(action, as_json=as_json, debug=debug)


def _left(run: SubmittedRun) -> Answer:
    document = {"run_id": run.run_id, "submission_id": run.submission_id, "address": run.address}
    lines = (
        f"run {run.run_id}: job {run.submission_id} at {run.address}",
        f"  raysweep status {run.named}",
        f"  raysweep logs {run.named} --follow",
        f"  raysweep stop {run.named}",
    )
    show: Callable[[], None] = lambda: typer.echo("\n".join(lines))  # noqa: E731 - one line is all it is
    return Answer(document, show)


def _say(sentence: str) -> None:
    typer.echo(printable(sentence), err=True)
