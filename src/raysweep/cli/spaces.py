"""`raysweep spaces`: the shipped search spaces, listed or printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raysweep.cli.options import AsJson, Debug
from raysweep.cli.outcome import Answer, carry_out
from raysweep.documents import suggest
from raysweep.errors import NotFound
from raysweep.space import load_space, shipped_spaces

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The space to print; without it, all are listed.")]


def spaces(name: Name = None, as_json: AsJson = False, debug: Debug = False) -> int:
    """List the search spaces that come with raysweep, or print one as YAML.

    \b
    Examples:
      raysweep spaces
      raysweep spaces xgboost > my_space.yaml
    """
    return carry_out(lambda: _list() if name is None else _print(name), as_json=as_json, debug=debug)


def _list() -> Answer:
    rows = [
        {"name": name, "about": _about(path), "families": list(load_space(name, base=Path()).families)}
        for name, path in shipped_spaces().items()
    ]

    def show() -> None:
        for row in rows:
            typer.echo(f"{row['name']:10} {row['about']}")
            typer.echo(f"{'':10} families: {', '.join(row['families'])}")

    return Answer({"spaces": rows}, show)


def _print(name: str) -> Answer:
    shipped = shipped_spaces()
    if name not in shipped:
        raise NotFound(f"there is no shipped space {name!r} (there are: {', '.join(shipped)}){suggest(name, shipped)}")
    space = load_space(name, base=Path()).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = shipped[name].read_text(encoding="utf-8")
    return Answer(space, lambda: typer.echo(text, nl=False))


def _about(path: Path) -> str:
    """The comment that the file opens with, on one line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# ").rstrip())
    return " ".join(comment)
