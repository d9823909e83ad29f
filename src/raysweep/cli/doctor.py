"""`raysweep doctor`: what would go wrong here, before it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from raysweep.cli.options import AsJson, Debug, Sets
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.tables import output

if TYPE_CHECKING:
    from raysweep.diagnosis import Diagnoses, Diagnosis

Sweep = Annotated[
    str | None, typer.Argument(metavar="[SWEEP]", help="A sweep file; without it, only this machine and its Ray.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="A cluster to look at, instead of cluster.address: host:port or auto on a node of it; from elsewhere "
        "http://head:8265, as for raysweep submit: then a job looks from there.",
    ),
]
_MARKS = {"ok": ("✓ ", "green"), "lacking": ("! ", "yellow"), "failed": ("✗ ", "bold red"), "skipped": ("· ", "dim")}


def doctor(
    sweep: Sweep = None,
    overrides: Sets = None,
    address: Address = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Say what would go wrong in a sweep, before it does.

    Tried in this order: the request, the packages that it wants, the working folder, the data's addresses, the store
    (put, put if absent, put if match, get, list, delete, encryption where it is asked for, each with the permission to
    ask for), the bundle in production, Ray, every node of a cluster (versions, GPUs, room, clock, reach of the data and
    of the store), and whether Ray gives one trial what it asks for. Nothing is read of the table, and nothing is left
    behind. The exit code is the one that a sweep would end with, 0 where all is well.

    \b
    Examples:
      raysweep doctor
      raysweep doctor sweep.yaml
      raysweep doctor sweep.yaml --address auto
      raysweep doctor sweep.yaml --address http://head:8265
    """
    return carry_out(
        lambda: _doctor(sweep, overrides or [], address, None if as_json else _print), as_json=as_json, debug=debug
    )


def _doctor(
    sweep: str | None, overrides: list[str], address: str | None, tell: Callable[[Diagnosis], None] | None
) -> Answer:
    from raysweep import api

    found = api.doctor(sweep, overrides=overrides, address=address, tell=tell)
    return Answer(found.to_document(), lambda: _conclude(found), found.exit_code)


def _print(row: Diagnosis) -> None:
    mark = _MARKS[row.state.value]
    output().print(Text.assemble(mark, (f"{row.area:<10} ", "dim"), f"{row.what}: ", row.said), soft_wrap=True)
    if row.permission and row.state.value in {"failed", "lacking"}:
        output().print(Text(f"             ask for {row.permission}", "dim"), soft_wrap=True)


def _conclude(found: Diagnoses) -> None:
    if found.ok:
        output().print(Text("✓ nothing would keep a sweep from starting", "green"))
    else:
        output().print(Text(f"a sweep would end with exit code {found.exit_code}: see ✗ above", "bold red"))
