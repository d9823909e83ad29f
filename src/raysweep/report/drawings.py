"""The report's drawings, as inline SVG: scores with their intervals, the best score over time, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.records.aims import Aims, standings_of
from raysweep.records.final_check import FinalCheck
from raysweep.records.metric import COSTS, Metric
from raysweep.records.model_facts import Estimate
from raysweep.records.trial import Trial, TrialState
from raysweep.report.axes import Dot, DotRow, Scale, draw_rows
from raysweep.report.check_wording import axis_title
from raysweep.report.markup import Html, tag
from raysweep.report.wording import VALIDATION, cost_text, interval_name, interval_text, measured_text, score_text

WIDTH, HEIGHT, MARGIN = 640, 200, 70
MIN_STEPS = 2


def draw_scores(check: FinalCheck) -> Html:
    """The model's score with its interval beside the other finalists' and those of what it is compared with."""
    rows = [_scored("this model", check.score, "model")]
    rows += [_scored(f"finalist {one.rank}: {one.family}", one.score, "other") for one in check.finalists[1:]]
    others = {one.against: one.other_score for one in check.comparisons}
    if check.production is not None and check.production.score is not None:
        others.setdefault("production", check.production.score)
    rows += [DotRow(name, (Dot(score, "other"),), measured_text(score)) for name, score in others.items()]
    label = f"{check.metric} on {VALIDATION} with its {interval_name(check)}, beside {', '.join(others) or 'nothing'}"
    return draw_rows(rows, axis_title(check.metric, f"on {VALIDATION}"), label)


def _scored(name: str, score: Estimate, style: str) -> DotRow:
    interval = (score.low, score.high)
    return DotRow(name, (Dot(score.value, style),), interval_text(score), interval, "" if style == "model" else style)


def draw_progress(trials: Sequence[Trial], metric: Metric) -> Html | None:
    """The best score after each trial over the seconds of the search; None where fewer than two have a score."""
    steps = best_over_time(trials, metric)
    if len(steps) < MIN_STEPS:
        return None
    scores = [score for _, score in steps]
    across = Scale(0.0, max(second for second, _ in steps), MARGIN, WIDTH - 20)
    up = Scale(min(scores), max(scores), HEIGHT - 40, 20)
    path, last = f"M {across(steps[0][0])} {up(scores[0])}", up(scores[0])
    for second, score in steps[1:]:
        path += f" L {across(second)} {last} L {across(second)} {up(score)}"
        last = up(score)
    bottom = HEIGHT - 30
    return tag(
        "svg",
        tag("line", x1=MARGIN, x2=WIDTH - 20, y1=bottom, y2=bottom, class_="axis"),
        tag("path", d=path, class_="steps"),
        *(tag("circle", cx=across(second), cy=up(score), r=2.5, class_="model") for second, score in steps),
        *_labels(sorted({min(scores), max(scores)}), up),
        tag("text", "0 s", x=MARGIN, y=HEIGHT - 10),
        tag("text", f"{steps[-1][0]:,.0f} s", x=WIDTH - 20, y=HEIGHT - 10, text_anchor="end"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"best {metric.name} over time",
    )


def _labels(scores: Sequence[float], up: Scale) -> list[Html]:
    return [tag("text", score_text(score), x=MARGIN - 8, y=up(score) + 4, text_anchor="end") for score in scores]


def draw_front(trials: Sequence[Trial], aims: Aims, objective: Metric) -> Html | None:
    """Each trial's score over its value of an objective, those on the Pareto front joined; None for fewer than two."""
    standings = [one for one in standings_of(trials) if aims.may_win(one)]
    if len(standings) < MIN_STEPS:
        return None
    front = aims.front(standings)
    values = [one.metrics[objective.name] for one in standings]
    placed = [math.log10(value) if objective.name in COSTS else value for value in values]  # costs differ by orders
    scores = [one.score for one in standings]
    across = Scale(min(placed), max(placed), MARGIN + 10, WIDTH - 60)
    up = Scale(min(scores), max(scores), HEIGHT - 40, 20)
    spots = {one.number: (across(value), up(one.score)) for one, value in zip(standings, placed, strict=True)}
    steps = sorted(spots[number] for number in front)
    bottom = HEIGHT - 30
    return tag(
        "svg",
        tag("line", x1=MARGIN, x2=WIDTH - 20, y1=bottom, y2=bottom, class_="axis"),
        *(tag("circle", cx=x, cy=y, r=3, class_="other") for number, (x, y) in spots.items() if number not in front),
        tag("polyline", points=" ".join(f"{x},{y}" for x, y in steps), class_="steps"),
        *(tag("circle", cx=x, cy=y, r=4, class_="model") for x, y in steps),
        *_labels(sorted({min(scores), max(scores)}), up),
        tag("text", cost_text(objective.name, min(values)), x=MARGIN, y=HEIGHT - 10),
        tag("text", cost_text(objective.name, max(values)), x=WIDTH - 20, y=HEIGHT - 10, text_anchor="end"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{aims.metric.name} over {objective.name}, the Pareto front joined",
    )


def best_over_time(trials: Sequence[Trial], metric: Metric) -> list[tuple[float, float]]:
    """Seconds since the first trial began and the best score by then, in the order in which trials ended."""
    scored = [trial for trial in trials if trial.score is not None and trial.state is not TrialState.FAILED]
    if not scored:
        return []
    began = min(trial.started for trial in scored)
    ends = sorted((trial.started - began + trial.seconds, trial.score or 0.0) for trial in scored)
    steps: list[tuple[float, float]] = []
    for second, score in ends:
        best = score if not steps or metric.is_better(score, steps[-1][1]) else steps[-1][1]
        steps.append((second, best))
    return steps
