"""`raysweep verify`: every hash of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from raysweep.cli.options import AsJson, Debug, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.tables import output
from raysweep.errors import EXIT_OK, BundleRefused

if TYPE_CHECKING:
    from raysweep.bundle.verify import Verification

Bundle = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="A folder, an s3:// address, or the id of a run under runs/.")
]

Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help="The table that the sweep was about: is each row in the same part?"),
]


def verify(
    bundle: Bundle,
    data: Data = None,
    s3_endpoint: S3Endpoint = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Check that every file of a bundle is there and unchanged.

    With --data the rows of a table are dealt out again, and have to fall into the bundle's parts. The exit code is 8
    where something is missing, changed or not listed, or rows fall otherwise.

    \b
    Examples:
      raysweep verify runs/flights-late-20260101-120000-abc123
      raysweep verify runs/flights-late-20260101-120000-abc123 --data flights.parquet
    """
    return carry_out(lambda: _verify(bundle, data, s3_endpoint), as_json=as_json, debug=debug)


def _verify(bundle: str, data: str | None, s3_endpoint: str | None) -> Answer:
    from raysweep import api

    found = api.verify(bundle, data=data, s3=s3_settings(s3_endpoint))
    code = EXIT_OK if found.ok else BundleRefused.exit_code
    return Answer(found.to_document(), lambda: _show(found), code)


def _show(found: Verification) -> None:
    console = output()
    wrong = [row for row in found.rows if not row.ok]
    for row in wrong:
        console.print(Text.assemble(("✗ ", "bold red"), row.path, ": ", row.problem), soft_wrap=True)
    told = {f"{row.path}: {row.problem}" for row in wrong}
    for problem in found.problems:
        if problem not in told:
            console.print(Text.assemble(("✗ ", "bold red"), problem), soft_wrap=True)
    for row in found.rows:
        if row.ok and row.path.startswith("split: "):
            console.print(Text.assemble(("✓ ", "green"), row.path), soft_wrap=True)
    intact = len(found.rows) - len(wrong)
    if found.ok:
        console.print(Text(f"✓ {found.url}: all {intact:,} files are as they were published", "green"), soft_wrap=True)
    else:
        words = f"{found.url} is not as it was published ({intact:,} of {len(found.rows):,} files are); do not use it"
        console.print(Text(words, "bold red"), soft_wrap=True)
