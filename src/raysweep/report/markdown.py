"""Markdown in which every text means nothing but its letters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from raysweep.report.markup import UNSHOWN

# What Markdown reads as markup anywhere, and at the beginning of a line.
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$])")
_SPECIAL_FIRST = re.compile(r"^(\d*)([-+=#.)!])(?=[\s=+#-]|$)")


def plain(value: object) -> str:
    """`value` as one line of Markdown that means nothing but its letters."""
    line = UNSHOWN.sub("\ufffd", " ".join(str(value).split()))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL_FIRST.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", line))


def bullets(lines: Iterable[str]) -> list[str]:
    """A list, a line each."""
    return [f"- {plain(line)}" for line in lines]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table with a row of headings."""
    lines = [[plain(cell) for cell in line] for line in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return [f"| {' | '.join(line)} |" for line in lines]
