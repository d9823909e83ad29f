"""`raysweep reproduce`: a published sweep carried out again, and what is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.options import AsJson, Bundle, Debug, Events, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.progress import showing_progress
from raysweep.cli.tables import output
from raysweep.documents import shorten
from raysweep.errors import EXIT_OK
from raysweep.events import Event, StageStarted, broadcast

if TYPE_CHECKING:
    from raysweep.reproduction.outcome import Compared, Reproduction, StageCompared

Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help="Where the table is now, if it is not where the sweep read it."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Ask for something else on purpose, such as search.seed=1. May be repeated."
    ),
]
Search = Annotated[
    bool,
    typer.Option("--search", help="Search again, too, and compare every trial: of a sweep with search.deterministic."),
]
_LONGEST = 60


def reproduce(  # noqa: PLR0913, PLR0917 - one argument an option
    bundle: Bundle,
    data: Data = None,
    changes: Changes = None,
    search: Search = False,
    s3_endpoint: S3Endpoint = None,
    as_json: AsJson = False,
    events: Events = None,
    debug: Debug = False,
) -> int:
    """Carry a published sweep out again from its bundle, and say what is the same.

    The bundle is verified; the table is read, checked and split; the winner is fitted on the same rows with the same
    params, seed and rounds; its predictions and scores are compared. Nothing is published, and nothing counts as a new
    use of the validation rows.

    \b
    The outcome is about what the model gives:
      identical               predictions and scores are the same bit for bit
      equivalent              predictions are within 1e-6 (of numbers: of their spread)
      statistically the same  the score lies in the interval that was published
      different               it does not, or there is no such model (exit code 8)
    The first stage that differs is named beside it, in this order: environment, data, split, checks, preparation,
    search, model, predictions, final check. With another version of a package that changed nothing the outcome is
    identical, and the first stage that differs is the environment.

    \b
    Examples:
      raysweep reproduce runs/flights-late-20260101-120000-abc123
      raysweep reproduce s3://bucket/runs/nightly --data /mnt/flights.parquet
      raysweep reproduce runs/nightly --set search.seed=1
    """

    def action() -> Answer:
        found = _carry_out(bundle, data, changes or [], s3_endpoint, search=search, as_events=events is not None)
        return Answer(found.to_document(), lambda: _show(found), found.exit_code)

    return carry_out(action, as_json=as_json, debug=debug)


def _carry_out(
    bundle: str, data: str | None, changes: list[str], s3_endpoint: str | None, *, search: bool, as_events: bool
) -> Reproduction:
    from raysweep import api

    with showing_progress(as_events=as_events) as progress, catching_interrupts(progress.notify) as interrupts:

        def keep_listening(event: Event) -> None:
            if isinstance(event, StageStarted):  # a search that is repeated has nothing to be finished early for
                interrupts.listen()

        listener = broadcast((keep_listening, progress))
        return api.reproduce(bundle, data, changes, s3_settings(s3_endpoint), search=search, listener=listener)


def _show(found: Reproduction) -> None:
    console = output()
    table = Table(box=None, pad_edge=False)
    for name in ("", "stage", "compared", "then", "now"):
        table.add_column(name, overflow="fold")
    for stage in found.stages:
        _add_stage(table, stage)
    console.print(table)
    console.print()
    style = "green" if found.first_difference is None else "yellow" if found.exit_code == EXIT_OK else "bold red"
    console.print(Text(f"{found.url}: {found.sentence}", style), soft_wrap=True)


def _add_stage(table: Table, stage: StageCompared) -> None:
    """A line for the stage where all is the same, and one for each thing that is not, or is told."""
    same = [one for one in stage.compared if one.same]
    if stage.not_reached:
        table.add_row(Text("✗", "bold red"), stage.stage.value, "not carried out", "", Text(stage.not_reached))
    elif stage.same:
        table.add_row(Text("✓", "green"), stage.stage.value, f"{len(same)} things, all the same", "", "")
    for one in (*stage.differing, *(one for one in stage.compared if one.same is None and one.then != one.now)):
        table.add_row(*_row(stage, one))


def _row(stage: StageCompared, one: Compared) -> tuple[Any, ...]:
    mark = Text("·", "dim") if one.same is None else Text("✗", "bold red")
    then, now = ("" if value is None else Text(shorten(str(value), _LONGEST)) for value in (one.then, one.now))
    return mark, "" if one.same is None else stage.stage.value, Text(one.what), then, now
