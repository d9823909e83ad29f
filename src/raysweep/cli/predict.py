"""`raysweep predict`: every row of a table through a published model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from raysweep.cli.consoles import make_console
from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.options import AsJson, Bundle, Debug, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.tables import output
from raysweep.records.final_check import Verdict

if TYPE_CHECKING:
    from raysweep.scoring.predictions import Predictions


class TableFormat(StrEnum):
    """What a table is written as."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A file, folder, glob or s3:// address (parquet, csv, jsonl).")
]
Place = Annotated[str, typer.Argument(metavar="OUT", help="A file by its ending, else a folder or s3:// prefix.")]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="A,B", help="Columns of DATA to keep beside the predictions; all when absent; '' for none."
    ),
]
Format = Annotated[TableFormat | None, typer.Option("--format", help="Default: as OUT is called, else as DATA.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier prediction has left at OUT.")]
_HEARTBEAT_SECONDS = 10.0


def predict(  # noqa: PLR0913, PLR0917 - one argument an option
    bundle: Bundle,
    data: Data,
    out: Place,
    columns: Columns = None,
    table_format: Format = None,
    overwrite: Overwrite = False,
    s3_endpoint: S3Endpoint = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Predict every row of a table with a published model.

    Rows are written in the order of DATA, with its columns, `prediction` and, for classes, `probability_<class>`. The
    table is streamed by Ray and may be larger than memory; a small one does not wait for Ray. A folder or prefix gets
    parts and, last, _SUCCESS.json, which lists them: without it the predictions are not whole.

    \b
    Examples:
      raysweep predict runs/nightly customers.parquet predictions.csv
      raysweep predict s3://bucket/runs/nightly 's3://bucket/new/*.csv' s3://bucket/scored --columns id
    """

    def action() -> Answer:
        from raysweep import api

        kept = None if columns is None else [name for name in columns.split(",") if name]
        with _showing_rows() as show, catching_interrupts(lambda _: None) as interrupts:

            def progress(done: int, rows: int | None) -> None:
                interrupts.listen()  # Ray puts a handler of its own for SIGTERM when it starts
                show(done, rows)

            found = api.predict(
                bundle,
                data,
                out,
                columns=kept,
                format=None if table_format is None else table_format.value,
                overwrite=overwrite,
                s3=s3_settings(s3_endpoint),
                progress=progress,
            )
        return Answer(found.to_document(), lambda: _show(found))

    return carry_out(action, as_json=as_json, debug=debug)


@contextmanager
def _showing_rows() -> Iterator[Callable[[int, int | None], None]]:
    """Told how many rows are done, shows it on stderr: as a bar on a terminal, else in a line now and then."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (SpinnerColumn(), TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        bar = shown.add_task("rows", total=None)
        yield lambda done, rows: shown.update(bar, completed=done, total=rows)


def _lines(console: Console) -> Callable[[int, int | None], None]:
    said = time.monotonic()

    def tell(done: int, rows: int | None) -> None:
        nonlocal said
        if time.monotonic() - said >= _HEARTBEAT_SECONDS:
            said = time.monotonic()
            console.print(f"{done:,} rows" + (f" of {rows:,}" if rows is not None else ""), highlight=False)

    return tell


def _show(found: Predictions) -> None:
    console = output()
    if not found.verdict.startswith(Verdict.ADEQUATE.value):
        console.print(Text(f"the final check found this model {found.verdict}", "yellow"), soft_wrap=True)
    for line in found.deviation_lines:
        console.print(Text(line, "yellow"), soft_wrap=True)
    files = f"{len(found.files):,} {found.format} file{'s' if len(found.files) != 1 else ''}"
    console.print(Text(f"✓ {found.rows:,} rows in {files}: {found.out}", "green"), soft_wrap=True)
