"""`raysweep verify`: every hash of a bundle, its signature, and what its model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from raysweep.cli.options import AsJson, Bundle, Debug, PublicKey, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.tables import output
from raysweep.errors import EXIT_OK, BundleRefused

if TYPE_CHECKING:
    from raysweep.bundle.verify import Verification

Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="DATA", help="The table that the sweep was about: does it hold the same, in the same parts?"
    ),
]


def verify(
    bundle: Bundle,
    data: Data = None,
    key: PublicKey = None,
    s3_endpoint: S3Endpoint = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Check that every file of a bundle is there and unchanged, and that its model predicts what it did.

    With --data a table is compared with the sweep's, and its rows are dealt out again: they have to hold the same
    values and fall into the bundle's parts. The exit code is 8 where something is missing, changed or not listed, or
    the table is another one.

    \b
    Examples:
      raysweep verify runs/flights-late-20260101-120000-abc123
      raysweep verify runs/flights-late-20260101-120000-abc123 --data flights.parquet
    """
    return carry_out(lambda: _verify(bundle, data, key, s3_endpoint), as_json=as_json, debug=debug)


def _verify(bundle: str, data: str | None, key: str | None, s3_endpoint: str | None) -> Answer:
    from raysweep import api

    found = api.verify(bundle, data=data, key=key, s3=s3_settings(s3_endpoint))
    code = EXIT_OK if found.ok else BundleRefused.exit_code
    return Answer(found.to_document(), lambda: _show(found, data), code)


def _show(found: Verification, data: str | None) -> None:
    console = output()
    for row in (*found.rows, *found.split):
        if not row.ok:
            console.print(Text.assemble(("✗ ", "bold red"), row.path, ": ", row.problem), soft_wrap=True)
    for row in (*found.rows, *found.split):
        if row.ok and (row.said or row in found.split):
            console.print(Text.assemble(("✓ ", "green"), row.path, ": " if row.said else "", row.said), soft_wrap=True)
    for note in found.notes:
        console.print(Text.assemble(("! ", "yellow"), note), soft_wrap=True)
    words = _conclusion(found, data)
    console.print(Text(f"✓ {words}", "green") if found.ok else Text(words, "bold red"), soft_wrap=True)


def _conclusion(found: Verification, data: str | None) -> str:
    intact = sum(row.ok for row in found.rows)
    if not found.is_whole:
        unseen = "" if data is None else f"; {data} was not compared"
        words = f"{found.url} is not as it was published ({intact:,} of {len(found.rows):,} files are); do not use it"
        return words + unseen
    words = f"{found.url}: all {intact:,} files are as they were published"
    if data is None:
        return words
    if found.ok:
        return f"{words}, and {data} is the table of this bundle"
    fault = "is not the table of this bundle" if found.is_other_table else "has the same rows in several parts"
    return f"{words}; {data} {fault}: see ✗ above"
