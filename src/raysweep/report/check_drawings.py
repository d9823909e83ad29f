"""Drawings of what a final check found of a model's generalisation: gaps, slices, seeds, learning curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.records.final_check import FinalCheck
from raysweep.records.model_facts import LearningCurve, SeedSpread, Slice
from raysweep.report.axes import Dot, DotRow, Guide, Scale, draw_rows, known, scale_over, svg, y_axis
from raysweep.report.check_wording import axis_title, is_weak, loss_text, probability_text, sign_of
from raysweep.report.markup import Html, tag
from raysweep.report.wording import TESTING, VALIDATION, measured_text, part_text

BARS = 2.0
CURVE = (560, 250)
LEFT, RIGHT, TOP, BELOW = 84, 24, 30, 46
ONE = 1.0


def draw_gap(check: FinalCheck) -> Html | None:
    """The fit on training rows, scored part by part, each step with two standard errors; None without a gap."""
    gap = check.gap
    if gap is None:
        return None
    rows = [_step("training", gap.training, None)] if gap.training is not None else []
    rows += [_step(TESTING, gap.testing, gap.fit_standard_error), _step(VALIDATION, gap.validation, gap.standard_error)]
    guides = []
    if gap.optimism is not None:
        expected = gap.testing - sign_of(check.metric) * gap.optimism.expected
        said = "" if gap.optimism.part == TESTING else f" of {part_text(gap.optimism.part)}"
        guides.append(Guide(expected, f"{TESTING} less optimism{said}"))
    label = f"{check.metric} of the fit on training rows, on training, {TESTING} and {VALIDATION} rows"
    return draw_rows(rows, axis_title(check.metric, "of the fit on training rows"), label, guides)


def _step(part: str, score: float, error: float | None) -> DotRow:
    around = None if error is None else (score - BARS * error, score + BARS * error)
    return DotRow(f"on {part}", (Dot(score),), measured_text(score), around)


def draw_slices(slices: Sequence[Slice], check: FinalCheck) -> Html:
    """Each slice's score beside the dummy's and its floor; the weak ones in red."""
    rows = []
    for one in slices:
        floor = (Dot(one.floor, "floor"),) if one.floor is not None else ()
        style = "bad" if is_weak(one, check.metric) else "model"
        dots = (*floor, Dot(one.dummy_score, "other"), Dot(one.score, style))
        said = f"{measured_text(one.score)}, loss {loss_text(one)}, p {probability_text(one.p_value)}"
        rows.append(DotRow(one.name, dots, said))
    label = f"{check.metric} on {VALIDATION} slice by slice, beside the dummy and the floor"
    guides = [Guide(check.score.value, "all validation rows")]
    return draw_rows(rows, axis_title(check.metric, f"of slices of {VALIDATION} rows"), label, guides)


def draw_seeds(seeds: SeedSpread, metric: str) -> Html:
    """The scores of the same params with several seeds; the winner's own seed in blue."""
    rows = []
    for part, scores in ((TESTING, seeds.testing), (VALIDATION, seeds.validation)):
        dots = tuple(Dot(score, "other") for score in scores[1:]) + tuple(Dot(score) for score in scores[:1])
        said = f"{measured_text(min(scores))} to {measured_text(max(scores))}" if known(scores) else "-"
        rows.append(DotRow(f"on {part}", dots, said))
    label = f"{metric} of the winner fitted with {len(seeds.validation)} seeds, on {TESTING} and {VALIDATION} rows"
    return draw_rows(rows, axis_title(metric, "of the winner's params, seed by seed"), label)


def draw_learning_curve(curve: LearningCurve, metric: str) -> Html | None:
    """The testing score over the training rows, and the score expected of twice as many; None without two points."""
    points = [(rows, score) for rows, score in curve.points if math.isfinite(score)]
    if len(points) <= ONE:
        return None
    ahead = [(2 * points[-1][0], curve.doubled)] if curve.doubled is not None and math.isfinite(curve.doubled) else []
    every = [*points, *ahead]
    width, height = CURVE
    across = Scale(math.log2(points[0][0]), math.log2(every[-1][0]), LEFT + 10, width - RIGHT - 20)
    up = scale_over([score for _, score in every], height - BELOW, TOP)
    places = [(across(math.log2(rows)), up(score)) for rows, score in every]
    joined = places[: len(points)]
    drawn = [
        *y_axis(up, LEFT, width - RIGHT, f"{metric} on {TESTING}"),
        *_row_counts([rows for rows, _ in every], across, height - BELOW),
        tag("text", "training rows (logarithmic)", x=width / 2, y=height - 8, text_anchor="middle", class_="quiet"),
        tag("polyline", points=" ".join(f"{x},{y}" for x, y in joined), class_="curve"),
        *(
            tag("circle", tag("title", f"{rows:,} rows: {measured_text(score)}"), cx=x, cy=y, r=4.5, class_="model")
            for (x, y), (rows, score) in zip(joined, points, strict=True)
        ),
    ]
    if ahead:
        (x1, y1), (x2, y2) = places[-2:]
        drawn.append(tag("line", x1=x1, x2=x2, y1=y1, y2=y2, class_="guide"))
        drawn.append(
            tag("circle", tag("title", f"expected: {measured_text(curve.doubled)}"), cx=x2, cy=y2, r=5, class_="hollow")
        )
    expected = f", expected {measured_text(curve.doubled)} with twice as many" if ahead else ""
    return svg(drawn, height, f"{metric} on {TESTING} by the number of training rows{expected}", width)


def _row_counts(counts: Sequence[int], across: Scale, bottom: float) -> list[Html]:
    """The numbers of rows below the axis; those that would stand in one another are left out."""
    drawn: list[Html] = []
    taken = -math.inf
    for count in counts:
        x, said = across(math.log2(count)), f"{count:,}"
        room = 4 * len(said)
        if x - room < taken:
            continue
        taken = x + room + 6
        drawn.append(tag("text", said, x=x, y=bottom + 17, text_anchor="middle", class_="quiet"))
    return drawn
