"""Scales, axes and rows of dots that the drawings of numbers are made of; a number that is not known is left out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from raysweep.documents import shorten
from raysweep.report.markup import Html, tag

WIDTH: Final = 760
LABELS: Final = 218
SAID: Final = 190
ROW: Final = 30
TOP: Final = 14
AXIS: Final = 46
LONGEST_LABEL: Final = 29
STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
TICKS: Final = 5
TINY: Final = 1e-9
LARGEST: Final = 1e150
PLAIN: Final = (1e-3, 1e7)


def drawing_style(scope: str) -> Html:
    """The rules for the shapes of drawings inside `scope`, a CSS selector: a notebook has no style sheet of ours."""
    rules = {
        ".model": "fill:#2b6cb0",
        ".other": "fill:#8a97a5",
        ".bad": "fill:#c53030",
        ".hollow": "fill:#fff;stroke:#2b6cb0;stroke-width:2",
        ".interval": "stroke:#2b6cb0;stroke-width:5;opacity:.35;stroke-linecap:round",
        ".interval.other": "stroke:#8a97a5",
        ".interval.bad": "stroke:#c53030",
        ".curve": "fill:none;stroke:#2b6cb0;stroke-width:2",
        ".guide": "fill:none;stroke:#8a97a5;stroke-width:1.5;stroke-dasharray:5 4",
        ".chosen": "stroke:#b7791f;stroke-width:1.5",
        ".floor": "stroke:#1f2933;stroke-width:3",
        ".grid": "stroke:#8a97a5;stroke-width:1;opacity:.25",
        ".quiet": "fill:#6b7785;font-size:12px",
    }
    return Html("".join(f"{scope} {name}{{{rule}}}" for name, rule in rules.items()))


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from `low` to `high` onto pixels from `start` to `end`, with a tick every `step`."""

    low: float
    high: float
    start: float
    end: float
    step: float = 1.0

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        width = self.high - self.low
        share = (value - self.low) / width if width > 0 else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values from one end to the other."""
        first, last = math.ceil(self.low / self.step - TINY), math.floor(self.high / self.step + TINY)
        return [number * self.step for number in range(first, last + 1)]

    def text(self, value: float) -> str:
        """A tick's value, with the digits that its neighbours need."""
        largest = max(abs(self.low), abs(self.high))
        if not PLAIN[0] <= largest < PLAIN[1]:
            return f"{value:.{math.ceil(math.log10(largest / self.step)) + 2}g}"
        digits = 0 if self.step >= STEPS[-1] else max(0, -math.floor(math.log10(self.step) + TINY))
        digits += round(self.step * 10**digits, 6) != round(self.step * 10**digits)
        return f"{value + 0.0:,.{digits}f}"


def known(values: Iterable[float | None]) -> list[float]:
    """Those that are numbers which can be drawn."""
    return [value for value in values if value is not None and abs(value) < LARGEST]


def scale_over(values: Iterable[float | None], start: float, end: float) -> Scale:
    """A scale with a tick at both ends that holds every known value; from 0 to 1 where there is none."""
    numbers = known(values) or [0.0, 1.0]
    low, high = min(numbers), max(numbers)
    if high - low <= TINY * max(abs(low), abs(high)):
        around = 0.1 * abs(low) or 0.5
        low, high = low - around, high + around
    step = _step(low, high)
    return Scale(math.floor(low / step + TINY) * step, math.ceil(high / step - TINY) * step, start, end, step)


def _step(low: float, high: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, so that at most `TICKS` of it make the way."""
    rough = (high - low) / TICKS
    if not (math.isfinite(rough) and rough > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next((step for step in STEPS if step * power >= rough), STEPS[-1])


def x_axis(scale: Scale, top: float, bottom: float, title: str) -> list[Html]:
    """Grid lines from `top` to `bottom`, their values and the title below."""
    drawn = []
    for tick in scale.ticks:
        x = scale(tick)
        drawn.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        drawn.append(tag("text", scale.text(tick), x=x, y=bottom + 16, text_anchor="middle", class_="quiet"))
    middle = (scale.start + scale.end) / 2
    return [*drawn, tag("text", title, x=middle, y=bottom + 35, text_anchor="middle", class_="quiet")]


def y_axis(scale: Scale, left: float, right: float, title: str) -> list[Html]:
    """Grid lines from `left` to `right`, their values at the left, the title above."""
    drawn = []
    for tick in scale.ticks:
        y = scale(tick)
        drawn.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        drawn.append(tag("text", scale.text(tick), x=left - 8, y=y + 4, text_anchor="end", class_="quiet"))
    return [*drawn, tag("text", title, x=4, y=14, class_="quiet")]


def svg(shapes: Iterable[Html], height: float, label: str, width: float = WIDTH) -> Html:
    """The drawing, with what it shows for those who cannot see it."""
    size = {"width": f"{width:g}", "height": f"{height:g}"}
    return tag("svg", *shapes, viewBox=f"0 0 {width:g} {height:g}", **size, role="img", aria_label=label)


@dataclass(frozen=True, slots=True)
class Dot:
    """A value in a row; style `floor` is a stroke across the row."""

    value: float | None
    style: str = "model"


@dataclass(frozen=True, slots=True)
class DotRow:
    """A line of a drawing: a name, dots with an interval, and what they say in numbers."""

    name: str
    dots: tuple[Dot, ...]
    said: str
    interval: tuple[float, float] | None = None
    style: str = ""


@dataclass(frozen=True, slots=True)
class Guide:
    """A dashed line across all rows, named above it."""

    value: float
    name: str


def draw_rows(rows: Sequence[DotRow], title: str, label: str, guides: Sequence[Guide] = ()) -> Html:
    """Rows of dots over one axis.

    Args:
        rows: from top to bottom.
        title: of the axis: what is measured, on which part.
        label: what the drawing shows.
        guides: values to compare with; the one that is not known is left out.
    """
    guides = [guide for guide in guides if math.isfinite(guide.value)]
    values = [dot.value for row in rows for dot in row.dots] + [end for row in rows for end in row.interval or ()]
    scale = scale_over([*values, *(guide.value for guide in guides)], LABELS + 14, WIDTH - SAID - 14)
    top = TOP + (16 if guides else 0)
    bottom = top + ROW * len(rows)
    drawn = x_axis(scale, top, bottom, title)
    for guide in guides:
        x = scale(guide.value)
        drawn.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="guide"))
        drawn.append(tag("text", guide.name, x=x, y=top - 5, text_anchor="middle", class_="quiet"))
    drawn += [_dot_row(row, scale, top + ROW * number + ROW / 2) for number, row in enumerate(rows)]
    return svg(drawn, bottom + AXIS, label)


def _dot_row(row: DotRow, scale: Scale, y: float) -> Html:
    name = tag("text", shorten(row.name, LONGEST_LABEL), x=LABELS, y=y + 5, text_anchor="end")
    parts = [tag("title", f"{row.name}: {row.said}"), name]
    ends = known(row.interval or ())
    if len(ends) == 2:  # noqa: PLR2004
        style = f"interval {row.style}".strip()
        parts.append(tag("line", x1=scale(ends[0]), x2=scale(ends[1]), y1=y, y2=y, class_=style))
    for dot in row.dots:
        if not known([dot.value]):
            continue
        x = scale(dot.value or 0.0)
        is_floor = dot.style == "floor"
        stroke = tag("line", x1=x, x2=x, y1=y - 9, y2=y + 9, class_="floor")
        parts.append(stroke if is_floor else tag("circle", cx=x, cy=y, r=5.5, class_=dot.style))
    return tag("g", *parts, tag("text", row.said, x=WIDTH - SAID, y=y + 5))
