"""The one place that turns what came of a command into output and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import typer

from raysweep.cli.consoles import printable
from raysweep.cli.json_values import to_json
from raysweep.errors import EXIT_OK, BundleRefused, DataUnsuitable, NoTrialFinished, RaysweepError, RequestInvalid

EXIT_UNEXPECTED = 1
EXIT_USAGE = RequestInvalid.exit_code
HIDDEN = "run again with --debug to see where it comes from"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command hands back.

    Attributes:
        document: for `--json`.
        show: prints the same for people, on stdout.
        exit_code: of the process.
    """

    document: Any
    show: Callable[[], None]
    exit_code: int = EXIT_OK


def carry_out(action: Callable[[], Answer], *, as_json: bool, debug: bool) -> int:
    """Do what a command does, answer on stdout, and give its exit code.

    With `as_json`, stdout gets one JSON document and nothing else, whether it went well or not.
    """
    try:
        with redirect_stdout(sys.stderr if as_json else sys.stdout):
            answer = action()
        if as_json:
            typer.echo(to_json(answer.document))
        else:
            answer.show()
    except typer.Exit:
        raise
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary to the user: every failure gets a message and a code
        return report_error(error, as_json=as_json, debug=debug)
    return answer.exit_code


def report_error(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Say what went wrong, on stderr and with `as_json` on stdout too, and give the exit code."""
    code = error.exit_code if isinstance(error, RaysweepError) else EXIT_UNEXPECTED
    if debug:
        typer.echo("".join(traceback.format_exception(error)), err=True)
    typer.echo(f"raysweep: {printable(_message(error))}", err=True)
    if as_json:
        typer.echo(to_json({"error": _document(error, code)}))
    return code


def report_usage(message: str) -> int:
    """Give the JSON document for a command line that was not understood."""
    error = {"kind": "UsageError", "message": message, "exit_code": EXIT_USAGE, "problems": []}
    typer.echo(to_json({"error": error}))
    return EXIT_USAGE


def _message(error: Exception) -> str:
    if not isinstance(error, RaysweepError):
        words = str(error).strip() or "without a message"
        return f"unexpected {type(error).__name__}: {words}; {HIDDEN}"
    message = str(error)
    if isinstance(error, DataUnsuitable | NoTrialFinished) and error.bundle_url and error.bundle_url not in message:
        message += f"\nwhat was found is in {error.bundle_url}"
    if isinstance(error, BundleRefused):
        unsaid = [problem for problem in error.problems if problem not in message]
        message += "".join(f"\n  - {problem}" for problem in unsaid)
    return message


def _document(error: Exception, code: int) -> dict[str, Any]:
    document = {
        "kind": type(error).__name__,
        "message": str(error),
        "exit_code": code,
        "problems": getattr(error, "problems", ()),
    }
    if isinstance(error, DataUnsuitable):
        document["findings"] = error.findings
    if hasattr(error, "bundle_url"):
        document["bundle_url"] = error.bundle_url
    return document
