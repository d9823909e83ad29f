"""HTML in which every text is escaped: tags are built here, and nothing else counts as markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

# Not allowed in HTML; and those that turn the direction of the text around a name.
UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
WITHOUT_END = frozenset({"meta", "br"})


class Html(str):
    """Text that is markup already; only `tag` and `join` make it."""

    __slots__ = ()


def text(value: object) -> Html:
    """`value` as text that means nothing to a browser."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(UNSHOWN.sub("\ufffd", str(value)), quote=True))


def join(children: Iterable[object]) -> Html:
    """Markup and texts one after the other."""
    return Html("".join(text(child) for child in children))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element; texts among its children and its attributes are escaped.

    Args:
        name: of the element.
        children: markup or texts.
        attributes: `class_` stands for `class`, and `_` for `-`.
    """
    shown = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    if name in WITHOUT_END:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{join(children)}</{name}>")


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """A table with a row of headings."""
    headings = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    lines = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    return tag("div", tag("table", tag("thead", headings), tag("tbody", *lines)), class_="scroll")


def definitions(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and what they stand for."""
    return tag("dl", *(join((tag("dt", name), tag("dd", value))) for name, value in pairs))
