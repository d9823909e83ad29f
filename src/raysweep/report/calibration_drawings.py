"""Drawings of whether predictions mean what they say: reliability of probabilities, bias of numbers, the threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from raysweep.records.model_facts import Bin, Calibration, Threshold
from raysweep.report.axes import Scale, known, scale_over, svg, x_axis, y_axis
from raysweep.report.check_wording import is_about_numbers
from raysweep.report.markup import Html, tag
from raysweep.report.wording import TESTING, VALIDATION, number_text

SQUARE: Final = 340
SMALL_SQUARE: Final = 240
WIDE: Final = (560, 280)
LEFT, RIGHT, TOP, BELOW = 64, 20, 30, 46
LARGEST: Final = 9.0
SMALLEST: Final = 2.5
HALF: Final = 0.5
NAMES_APART: Final = 55


def draw_calibration(calibration: Calibration, *, small: bool = False) -> Html | None:
    """The reliability diagram, or for numbers the bias with its spread; None where no bin is known."""
    bins = [one for one in calibration.bins if math.isfinite(one.predicted) and math.isfinite(one.observed)]
    if not bins:
        return None
    return _draw_bias(bins) if is_about_numbers(calibration) else _draw_reliability(bins, small=small)


def _draw_reliability(bins: Sequence[Bin], *, small: bool) -> Html:
    size = SMALL_SQUARE if small else SQUARE
    ends = [value for one in bins for value in (one.predicted, one.observed)]
    across = scale_over([min(ends), max(ends), *([0.0] if min(ends) < HALF else [])], LEFT, size - RIGHT)
    up = Scale(across.low, across.high, size - BELOW, TOP, across.step)
    most = max(one.rows for one in bins)
    places = [(across(one.predicted), up(one.observed)) for one in bins]
    drawn = [
        *y_axis(up, LEFT, size - RIGHT, "share of rows of the class"),
        *x_axis(across, TOP, size - BELOW, "mean predicted probability"),
        tag("line", x1=LEFT, y1=size - BELOW, x2=size - RIGHT, y2=TOP, class_="guide"),
        tag("polyline", points=" ".join(f"{x},{y}" for x, y in places), class_="curve", opacity=0.4),
    ]
    for (x, y), one in zip(places, bins, strict=True):
        said = f"predicted {one.predicted:.3g}, observed {one.observed:.3g}, {one.rows:,} rows"
        radius = round(max(SMALLEST, (LARGEST if not small else LARGEST / 2) * math.sqrt(one.rows / most) / 1.5), 1)
        drawn.append(tag("circle", tag("title", said), cx=x, cy=y, r=radius, class_="model"))
    label = f"reliability diagram on {VALIDATION} rows: observed share over predicted probability in {len(bins)} bins"
    return svg(drawn, size, label, size)


def _draw_bias(bins: Sequence[Bin]) -> Html:
    """Target minus prediction over the prediction; the bars are one standard deviation of it."""
    width, height = WIDE
    biases = [one.observed - one.predicted for one in bins]
    around = [one.spread if math.isfinite(one.spread) else 0.0 for one in bins]
    across = scale_over([one.predicted for one in bins], LEFT + 20, width - RIGHT - 10)
    ends = [end for bias, spread in zip(biases, around, strict=True) for end in (bias - spread, bias + spread)]
    up = scale_over([*ends, 0.0], height - BELOW, TOP)
    drawn = [
        *y_axis(up, LEFT + 20, width - RIGHT, "target minus prediction"),
        *x_axis(across, TOP, height - BELOW, f"mean prediction, {len(bins)} bins of as many rows"),
        tag("line", x1=LEFT + 20, x2=width - RIGHT, y1=up(0.0), y2=up(0.0), class_="guide"),
    ]
    for one, bias, spread in zip(bins, biases, around, strict=True):
        x = across(one.predicted)
        said = f"prediction {number_text(one.predicted)}: bias {bias:.3g}, spread {spread:.3g}, {one.rows:,} rows"
        drawn.append(tag("line", x1=x, x2=x, y1=up(bias - spread), y2=up(bias + spread), class_="interval"))
        drawn.append(tag("circle", tag("title", said), cx=x, cy=up(bias), r=5, class_="model"))
    return svg(drawn, height, f"bias and spread on {VALIDATION} rows in {len(bins)} bins of rising prediction", width)


def draw_threshold(one: Threshold) -> Html | None:
    """The criterion on testing rows over the threshold, with the one chosen and 0.5; None where no point is known."""
    points = [(at, score) for at, score in one.curve if math.isfinite(at) and math.isfinite(score)]
    if not points:
        return None
    width, height = WIDE
    across = scale_over([at for at, _ in points] + known([one.value]) + [HALF], LEFT, width - RIGHT)
    up = scale_over([score for _, score in points] + known([one.testing_score]), height - BELOW, TOP + 14)
    line = " ".join(f"{across(at)},{up(score)}" for at, score in points)
    half = across(HALF)
    drawn = [
        *y_axis(up, LEFT, width - RIGHT, f"{one.criterion} on {TESTING}"),
        *x_axis(across, TOP + 14, height - BELOW, "threshold: say yes from this probability on"),
        tag("line", x1=half, x2=half, y1=TOP + 14, y2=height - BELOW, class_="guide"),
        tag("polyline", points=line, class_="curve"),
    ]
    if math.isfinite(one.value):
        x = across(one.value)
        drawn.append(tag("line", x1=x, x2=x, y1=TOP + 14, y2=height - BELOW, class_="chosen"))
        if math.isfinite(one.testing_score):
            drawn.append(tag("circle", cx=x, cy=up(one.testing_score), r=5, class_="model"))
        if abs(x - half) > NAMES_APART:
            drawn.append(tag("text", "0.5", x=half, y=TOP + 8, text_anchor="middle", class_="quiet"))
        drawn.append(tag("text", f"chosen: {number_text(one.value)}", x=x, y=TOP + 8, text_anchor="middle"))
    label = f"{one.criterion} on {TESTING} rows over the threshold; chosen {number_text(one.value)}"
    return svg(drawn, height, label, width)
