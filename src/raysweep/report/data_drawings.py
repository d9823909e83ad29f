"""The drawings of the page about the data, as inline SVG: bars, histograms, the target by bins, correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from raysweep.documents import shorten
from raysweep.records.table import ColumnKind
from raysweep.report.correlation import Correlations
from raysweep.report.feature_bins import Bins, Floats, Histogram, value_text
from raysweep.report.markup import Html, tag
from raysweep.report.target_bins import Spot, Target
from raysweep.report.wording import number_text, share_text

WIDTH: Final = 440
ROW: Final = 18
LABELS: Final = 172
VALUES: Final = 62
HISTOGRAM_HEIGHT: Final = 150
CELL_NAMES: Final = 170
FULL: Final = 800
NUMBERED_CELLS: Final = 14
DRAWING_STYLE: Final = Html("""
.panel svg{font-size:12px}svg .bar{fill:var(--blue);opacity:.75}svg .bar.none{fill:#9aa5b1}svg .track{fill:#eef1f4}
svg .soft{fill:var(--soft)}svg .band{stroke:var(--blue);stroke-width:6;opacity:.3}
svg .dot{fill:var(--blue)}svg .base{stroke:var(--soft);stroke-dasharray:3 3}
.c0{fill:#2b6cb0;background:#2b6cb0}.c1{fill:#dd8a3a;background:#dd8a3a}.c2{fill:#3a9a72;background:#3a9a72}
.c3{fill:#b5496b;background:#b5496b}.c4{fill:#7d67b8;background:#7d67b8}.c5{fill:#c9ae2f;background:#c9ae2f}
.c6{fill:#8a97a5;background:#8a97a5}
""")


def draw_bars(labels: Sequence[str], shares: Sequence[float], texts: Sequence[str], about: str) -> Html:
    """A bar a row; the longest stands for the largest share."""
    most = max([*shares, 0.0]) or 1.0
    room = WIDTH - LABELS - VALUES
    rows = []
    for number, (label, share, said) in enumerate(zip(labels, shares, texts, strict=True)):
        y, length = number * ROW, round(room * share / most, 1)
        style = "bar none" if label in {"missing", "other values"} else "bar"
        rows += [
            _label(label, y),
            tag(
                "rect", tag("title", f"{label}: {said}"), x=LABELS, y=y + 3, width=length, height=ROW - 6, class_=style
            ),
            tag("text", said, x=LABELS + length + 6, y=y + 13, class_="soft"),
        ]
    return _svg(rows, WIDTH, len(labels) * ROW + 4, about)


def draw_histogram(histogram: Histogram, kind: ColumnKind, about: str) -> Html:
    """The counts as bars side by side, with the ends of the scale below."""
    bottom, most = HISTOGRAM_HEIGHT - 22, max(1, int(histogram.counts.max()))
    step = WIDTH / len(histogram.counts)
    ends = [*pairwise(histogram.edges.tolist())]
    bars = []
    for number, count in enumerate(histogram.counts.tolist()):
        if not count:
            continue
        height = max(1.0, round((bottom - 6) * count / most, 1))
        place = {"x": round(number * step, 1), "y": round(bottom - height, 1), "width": round(step - 1, 1)}
        title = tag("title", f"{_bin_text(ends[number], histogram, kind)}: {count:,} rows")
        bars.append(tag("rect", title, **place, height=height, class_="bar"))
    low, high = _end(ends[0][0], kind), _end(ends[-1][1] - histogram.whole, kind)
    bars += [
        tag("line", x1=0, x2=WIDTH, y1=bottom, y2=bottom, class_="axis"),
        tag("text", low, x=0, y=HISTOGRAM_HEIGHT - 5, class_="soft"),
        tag("text", high, x=WIDTH, y=HISTOGRAM_HEIGHT - 5, text_anchor="end", class_="soft"),
    ]
    return _svg(bars, WIDTH, HISTOGRAM_HEIGHT, about)


def _bin_text(ends: tuple[float, float], histogram: Histogram, kind: ColumnKind) -> str:
    begin, end = (value_text(one, kind) for one in (ends[0], ends[1] - histogram.whole))
    return begin if begin == end else f"{begin} to {end}"


def draw_spots(bins: Bins, spots: Sequence[Spot | None], target: Target, *, shares: bool, about: str) -> Html:
    """For each bin a dot and its interval; the dashed line is the value over all rows."""
    known = [spot for spot in spots if spot is not None]
    low = min([target.overall, *(spot.low for spot in known)])
    high = max([target.overall, *(spot.high for spot in known)])
    room, bottom = WIDTH - LABELS - VALUES, len(spots) * ROW + 4

    def across(value: float) -> float:
        place = (value - low) / (high - low) if math.isfinite(high - low) and high > low else 0.5
        return round(LABELS + 4 + place * (room - 8), 1)

    said = share_text if shares else number_text
    base = across(target.overall)
    drawn = [tag("line", x1=base, x2=base, y1=0, y2=bottom, class_="base")]
    for number, (label, spot) in enumerate(zip(bins.labels, spots, strict=True)):
        y = number * ROW + 9
        drawn.append(_label(label, number * ROW))
        if spot is None:
            continue
        title = f"{label}: {said(spot.value)} [{said(spot.low)}, {said(spot.high)}], {bins.counts[number]:,} rows"
        drawn += [
            tag("line", x1=across(spot.low), x2=across(spot.high), y1=y, y2=y, class_="band"),
            tag("circle", tag("title", title), cx=across(spot.value), cy=y, r=4, class_="dot"),
            tag("text", said(spot.value), x=WIDTH, y=y + 4, text_anchor="end", class_="soft"),
        ]
    return _svg(drawn, WIDTH, bottom, about)


def draw_class_shares(bins: Bins, shares: Floats, target: Target, about: str) -> Html:
    """For each bin the shares of the classes beside one another."""
    room = WIDTH - LABELS
    drawn = []
    for number, label in enumerate(bins.labels):
        y, x = number * ROW, float(LABELS)
        drawn.append(_label(label, y))
        for code, share in enumerate(shares[number].tolist()):
            if math.isnan(share) or not share:
                continue
            said = f"{label}: {target.labels[code]} {share_text(share)} of {bins.counts[number]:,} rows"
            place = {"x": round(x, 1), "y": y + 2, "width": round(room * share, 1), "height": ROW - 4}
            drawn.append(tag("rect", tag("title", said), **place, class_=f"c{code}"))
            x += room * share
    return _svg(drawn, WIDTH, len(bins.labels) * ROW + 4, about)


def draw_correlations(found: Correlations) -> Html:
    """The lower half of the matrix: blue where columns rise together, red where one falls as the other rises."""
    count = len(found.names)
    cell = round(min(44.0, (FULL - CELL_NAMES) / count), 1)
    drawn = []
    for row in range(1, count):
        name = shorten(found.names[row], 24)
        drawn.append(
            tag("text", name, x=CELL_NAMES - 8, y=round((row - 0.5) * cell + 4, 1), text_anchor="end", class_="name")
        )
        drawn += [_cell(found, row, column, cell) for column in range(row)]
    below = round((count - 1) * cell + 12, 1)
    for column in range(count - 1):
        x = round(CELL_NAMES + (column + 0.6) * cell, 1)
        turned = f"rotate(-55 {x} {below})"
        drawn.append(tag("text", shorten(found.names[column], 18), x=x, y=below, text_anchor="end", transform=turned))
    wide = round(CELL_NAMES + (count - 1) * cell + 10, 1)
    return _svg(drawn, wide, below + 105, "rank correlation of the columns of numbers", width=wide)


def _cell(found: Correlations, row: int, column: int, cell: float) -> Html:
    value = float(found.matrix[row, column])
    x, y = round(CELL_NAMES + column * cell, 1), round((row - 1) * cell, 1)
    known = not math.isnan(value)
    names = f"{shorten(found.names[row])} and {shorten(found.names[column])}"
    title = tag("title", f"{names}: {_two_digits(value)}" if known else f"{names}: too few rows")
    color = "#f4f5f7" if not known else _shade(value)
    square = tag("rect", title, x=x, y=y, width=round(cell - 1, 1), height=round(cell - 1, 1), fill=color)
    if not known or len(found.names) > NUMBERED_CELLS:
        return square
    ink = "#ffffff" if abs(value) > 0.6 else "#1f2933"  # noqa: PLR2004
    place = {"x": round(x + cell / 2, 1), "y": round(y + cell / 2 + 4, 1)}
    return tag("g", square, tag("text", _two_digits(value), **place, text_anchor="middle", fill=ink, font_size="11"))


def _two_digits(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # adding 0 turns -0 into 0


def _shade(value: float) -> str:
    end = (43, 108, 176) if value > 0 else (197, 48, 48)
    mixed = (round(255 + (channel - 255) * abs(value)) for channel in end)
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _label(label: str, y: float) -> Html:
    style = "soft" if label in {"missing", "other values"} else "name"
    shown = tag("title", label), shorten(label, 25)
    return tag("text", *shown, x=LABELS - 8, y=y + 13, text_anchor="end", class_=style)


def _end(value: float, kind: ColumnKind) -> str:
    return value_text(value, kind)[:10] if kind is ColumnKind.DATETIME else number_text(value)


def _svg(drawn: Sequence[Html], across: float, height: float, about: str, **more: object) -> Html:
    return tag("svg", *drawn, viewBox=f"0 0 {across} {height}", role="img", aria_label=about, **more)
