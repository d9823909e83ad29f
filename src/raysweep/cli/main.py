"""The `raysweep` command: its commands, one file each, and its entry point."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, cast

import typer

from raysweep.cli.analyze import analyze
from raysweep.cli.check import check
from raysweep.cli.demo import demo
from raysweep.cli.doctor import doctor
from raysweep.cli.logs import logs
from raysweep.cli.outcome import EXIT_USAGE, report_usage
from raysweep.cli.predict import predict
from raysweep.cli.promote import promote
from raysweep.cli.reproduce import reproduce
from raysweep.cli.resume import resume
from raysweep.cli.run import run
from raysweep.cli.show import show
from raysweep.cli.spaces import spaces
from raysweep.cli.status import status
from raysweep.cli.stop import stop
from raysweep.cli.submit import submit
from raysweep.cli.verify import verify

# Typer brings click along under a name that differs between its versions.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    run,
    resume,
    demo,
    show,
    verify,
    predict,
    reproduce,
    promote,
    spaces,
    analyze,
    check,
    doctor,
    submit,
    status,
    logs,
    stop,
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"raysweep {version('raysweep')}")
        raise typer.Exit


@app.callback()
def describe(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the best model for a table, on one machine or a Ray cluster, with a score that holds.

    Try it: raysweep demo

    \b
    Exit codes: 0 done, model adequate; 1 unexpected; 2 the request is wrong; 3 the data are unsuitable;
    4 no trial finished; 5 Ray; 6 storage; 7 done, but the model is not adequate or the evidence is
    inconclusive; 8 a bundle was refused; 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_run_command(given))


def _run_command(arguments: list[str]) -> int:
    try:
        return int(app(args=arguments, prog_name="raysweep", standalone_mode=False) or 0)
    except UsageError as error:
        error.show()
        words = error.format_message()
        return report_usage(words) if "--json" in arguments else EXIT_USAGE
