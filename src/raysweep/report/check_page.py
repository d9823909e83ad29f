"""The report's section on the final check: how good the model is, where it is weak, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raysweep.documents import shorten
from raysweep.records.final_check import FinalCheck
from raysweep.records.model_facts import Behaviour, Calibration, Confusion, LearningCurve, Slice, Threshold
from raysweep.report.axes import drawing_style
from raysweep.report.calibration_drawings import draw_calibration, draw_threshold
from raysweep.report.check_drawings import draw_gap, draw_learning_curve, draw_seeds, draw_slices
from raysweep.report.check_wording import (
    FINALIST_HEAD,
    TOO_FEW,
    behaviour_line,
    calibration_facts,
    finalist_cells,
    finalist_gains,
    fits_line,
    gap_lines,
    is_about_numbers,
    is_weak,
    loss_text,
    opening_line,
    probability_text,
    probe_mark,
    production_line,
    seeds_line,
    threshold_line,
    weakest_first,
)
from raysweep.report.drawings import draw_scores
from raysweep.report.fragments import gates_table, why_not
from raysweep.report.markup import Html, definitions, join, table, tag
from raysweep.report.page import rest, section
from raysweep.report.wording import VALIDATION, interval_name, interval_text, measured_text, number_text, share_text

SHOWN_SLICES: Final = 30
SHOWN_NAME: Final = 120
FILE: Final = "final_check.json"
CHECK_STYLE: Final = Html(
    drawing_style("svg")
    + """
h3{font-size:1rem;margin:1.6rem 0 .4rem}figure{margin:.4rem 0;break-inside:avoid}
figcaption,.soft{color:var(--soft);font-size:.85rem}.pair{display:flex;flex-wrap:wrap;gap:0 2rem;align-items:start}
.pair>*{flex:2 1 18rem;min-width:0}.pair>figure{flex:3 1 24rem}ol.causes>li{margin:0 0 .8rem}ol.causes p{margin:.1rem 0}
.weak{color:var(--red);font-weight:600}.confusion td{text-align:right;white-space:nowrap}
"""
)


def check_section(check: FinalCheck) -> Html:
    """Everything that the final check found; what it did not look at has no heading."""
    how = f"Measured on {check.rows:,} {VALIDATION} rows, which no trial has seen. "
    how += f"Every interval is a {interval_name(check)} ({check.resamples:,} resamples)."
    return section(
        "Final check",
        tag("p", how),
        _reuse(check),
        tag("p", fits_line(check)),
        part(f"{check.metric} on {VALIDATION}", figure(draw_scores(check), _scores_caption(check))),
        part("Why this verdict", gates_table(check)),
        _production(check),
        _why_not(check),
        _finalists(check),
        _gap(check),
        _calibration(check.calibration),
        _slices(check),
        _threshold(check.threshold),
        _behaviour(check.behaviour),
        _opening(check),
        _metrics(check),
    )


def _reuse(check: FinalCheck) -> Html:
    """Said up front where the rows are not fresh."""
    if check.opened is None or (check.opened.use == 1 and not check.opened.is_repeat):
        return Html()
    return tag("p", tag("b", f"{opening_line(check.opened)}."))


def part(title: str, *content: object) -> Html:
    """A part of the section under its own heading."""
    return tag("div", tag("h3", title), *content)


def figure(drawing: Html | None, caption: str) -> Html:
    """A drawing with what it shows; a sentence where there is nothing to draw."""
    if drawing is None:
        return tag("p", "Too little is known to draw it.", class_="soft")
    return tag("figure", drawing, tag("figcaption", caption))


def _scores_caption(check: FinalCheck) -> str:
    return f"Dot: the score on {VALIDATION} rows. Bar: its {interval_name(check)}."


def _production(check: FinalCheck) -> Html:
    if check.production is None:
        return Html()
    return part("Instead of the model in production?", tag("p", production_line(check.production, check.gates)))


def _why_not(check: FinalCheck) -> Html:
    why = check.why_not
    if why is None:
        return Html()
    curve = _learning_curve(why.learning_curve, check.metric)
    return part("Why not?", why_not(why, check.metric), curve)


def _learning_curve(curve: LearningCurve | None, metric: str) -> Html:
    if curve is None:
        return Html()
    said = "no curve fits" if curve.doubled is None else f"{measured_text(curve.doubled)} is expected (hollow)"
    return figure(
        draw_learning_curve(curve, metric), f"The winner on testing rows by training rows; of twice as many {said}."
    )


def _finalists(check: FinalCheck) -> Html:
    if not check.finalists:
        return Html()
    rows = ((*finalist_cells(one), join(tag("div", gain) for gain in finalist_gains(one))) for one in check.finalists)
    return part("Finalists", table((*FINALIST_HEAD, "paired gain"), rows))


def _gap(check: FinalCheck) -> Html:
    said = tag("ul", *(tag("li", line) for line in gap_lines(check)))
    caption = "The fit on training rows alone. Bar: two standard errors of the step from the row above it."
    drawn = figure(draw_gap(check), caption) if check.gap is not None else Html()
    seeds = check.seeds
    luck = Html()
    if seeds is not None:
        caption = f"Blue: the winner's own seed. {seeds_line(seeds)}."
        luck = join((tag("h3", "Seeds"), figure(draw_seeds(seeds, check.metric), caption)))
    return part("From training to validation", said, drawn, luck)


def _calibration(calibration: Calibration | None) -> Html:
    if calibration is None:
        return Html()
    caption = "A dot a bin, its area by its rows; on the dashed line predictions mean what they say."
    if is_about_numbers(calibration):
        caption = "A dot a bin: the mean of target minus prediction. Bar: its standard deviation to either side."
    facts = definitions(calibration_facts(calibration))
    drawn = figure(draw_calibration(calibration), caption)
    return part(f"Calibration on {VALIDATION}", tag("div", drawn, facts, class_="pair"))


def _slices(check: FinalCheck) -> Html:
    if not check.slices:
        return Html()
    worst = weakest_first(check)[:SHOWN_SLICES]
    judged = [one for one in worst if one.judged]
    head = ("slice", "", "rows", check.metric, "dummy", "floor", "loss to all rows", "p (Holm)")
    caption = "Red: 20 % worse than all rows beyond doubt, under its floor, or (declared) under the dummy. "
    caption += "Grey: the dummy. Stroke: the floor. Dashed: all rows."
    return part(
        f"Slices of {VALIDATION}",
        figure(draw_slices(judged, check) if judged else None, caption),
        table(head, (_slice_cells(one, check.metric) for one in worst)),
        rest(len(check.slices) - len(worst), "slices", FILE),
    )


def _slice_cells(one: Slice, metric: str) -> Sequence[object]:
    name = tag("bdi", shorten(one.name, SHOWN_NAME), class_="weak" if is_weak(one, metric) else "")
    kind = "found" if one.column is None else "declared"
    floor = "" if one.floor is None else measured_text(one.floor)
    scores = (measured_text(one.score), measured_text(one.dummy_score), floor)
    found = (loss_text(one), probability_text(one.p_value)) if one.judged else (TOO_FEW, "-")
    return (name, kind, f"{one.rows:,}", *scores, *found)


def _threshold(one: Threshold | None) -> Html:
    if one is None:
        return Html()
    note = "The published model's predict uses 0.5: take predict_proba to use another threshold."
    drawn = figure(draw_threshold(one), f"{one.criterion} on testing rows, of the fit on training rows.")
    matrix = tag("div", tag("p", f"On {VALIDATION} rows at {number_text(one.value)}:"), _confusion(one.confusion))
    return part("Threshold", tag("p", threshold_line(one)), tag("div", drawn, matrix, class_="pair"), tag("p", note))


def _confusion(one: Confusion) -> Html:
    rows = (
        ("is positive", number_text(one.true_positives), number_text(one.false_negatives)),
        ("is negative", number_text(one.false_positives), number_text(one.true_negatives)),
    )
    shares = (("precision", one.precision), ("recall", one.recall))
    said = ", ".join(f"{name} {'-' if share is None else share_text(share)}" for name, share in shares)
    return join(
        (tag("div", table(("", "called positive", "called negative"), rows), class_="confusion"), tag("p", said))
    )


def _behaviour(behaviour: Behaviour | None) -> Html:
    if behaviour is None:
        return Html()
    styles = {True: "failed", False: "passed"}
    rows = (
        (
            one.name,
            tag("span", probe_mark(one), class_="warning" if one.slow and not one.failed else styles[one.failed]),
            one.said,
        )
        for one in behaviour.probes
    )
    return part("Behaviour", table(("tried", "outcome", "what it did"), rows), tag("p", behaviour_line(behaviour)))


def _opening(check: FinalCheck) -> Html:
    opened = check.opened
    if opened is None:
        return Html()
    facts = (("digest of the rows", tag("code", opened.digest)), ("ledger", opened.ledger))
    return part("The opening of the validation rows", tag("p", opening_line(opened)), definitions(facts))


def _metrics(check: FinalCheck) -> Html:
    rows = ((name, interval_text(estimate)) for name, estimate in check.metrics.items())
    return part("All metrics", table(("metric", f"on {VALIDATION}, {interval_name(check)}"), rows))
