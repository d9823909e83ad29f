"""The consoles that commands print to, which show control characters of data and bundles instead of obeying them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.segment import Segment

PIPED_WIDTH: Final = 160
# C0 and C1 but for the newline and the tab, and what turns the direction of text around.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with control characters spelled out, such as `\\x1b`: nothing that a terminal would act on is left."""
    return _CONTROLS.sub(lambda found: ascii(found.group())[1:-1], text)


def make_console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr that shows every text as `printable` has it."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and not stderr:
        console = Console(highlight=False, width=PIPED_WIDTH)  # wide, so that nothing is folded in a file or a pipe
    console.push_render_hook(_Printable())
    return console


class _Printable(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(one) for one in renderables]


@dataclass(frozen=True, slots=True)
class _Shown:
    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return self._segments(console, options)

    def _segments(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for one in console.render(self.inner, options):
            yield one if one.control else Segment(printable(one.text), one.style)
