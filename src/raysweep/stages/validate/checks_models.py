"""Checks by what small models found on the sample: is there a signal, are labels wrong, does a random split flatter."""

from __future__ import annotations

from typing import Final

import numpy as np

from raysweep.records.table import Finding, LearningTask, Severity
from raysweep.split_rules import BY_TIME
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.measure import Flattery, Measured
from raysweep.stages.validate.sweep_lines import flow
from raysweep.training.probes import measure_name, no_skill

_MIN_LABELS: Final = 200
_ABLE: Final = 0.7  # ROC AUC: a model that knows little contradicts labels everywhere


def no_signal(context: Context, task: LearningTask, measured: Measured) -> list[Finding]:
    """signal.none: small models do no better than one that looks at no feature."""
    if measured.signal is None:
        return []
    check, found, nothing = "signal.none", measured.signal.score, no_skill(task)
    gain = (found.value - nothing) / (1 - nothing)
    # A score below guessing is chance: it must not pull the interval's end down with it.
    upper = (max(found.value, nothing) + found.high - found.value - nothing) / (1 - nothing)
    is_error = upper < context.limit(check, "error") and measured.rows >= context.limit(check, "error_rows")
    if not is_error and not found.low <= nothing:
        return []
    said = f"{measure_name(task)} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
    means = (
        f"even the upper end is within {context.limit(check, 'error'):.0%} of guessing: there is no sense in going on"
        if is_error
        else "that may be nothing but chance"
    )
    return [
        Finding(
            check,
            Severity.ERROR if is_error else Severity.WARNING,
            f"the features do not seem to tell {task.target}: {measured.signal.model} reaches {said} "
            f"cross-validated on {measured.rows:,} rows of the sample, guessing {nothing:g}; {means}",
            "add columns that have to do with the target, or more rows; was the target joined to the right rows?",
            count=measured.rows,
            measured=min(1.0, max(0.0, 1 - gain)),
            threshold=context.limit(check, "error"),
        )
    ]


def too_good(context: Context, task: LearningTask, measured: Measured) -> list[Finding]:
    """signal.too_good: a small model is nearly perfect, which real data seldom allow."""
    check = "signal.too_good"
    if measured.signal is None or not measured.signal.score.value > context.limit(check, "warn"):
        return []
    return [
        Finding(
            check,
            Severity.WARNING,
            f"{measured.signal.model} predicts {task.target} nearly perfectly ({measure_name(task)} "
            f"{measured.signal.score.value:.5f} cross-validated on {measured.rows:,} rows of the sample)",
            "is every feature known when predictions are made? see the checks that begin with leak.",
            count=measured.rows,
            measured=measured.signal.score.value,
            threshold=context.limit(check, "warn"),
        )
    ]


def learning_curve(_context: Context, task: LearningTask, measured: Measured) -> list[Finding]:
    """signal.learning_curve: what the score was on fewer rows, and so what more rows may bring."""
    points = [(count, score) for count, score in measured.curve if np.isfinite(score.value)]
    if len(points) < 2:  # noqa: PLR2004
        return []
    shown = ", ".join(f"{score.value:.4f} from {count:,} rows" for count, score in points)
    (_, before), (_, last) = points[-2:]
    grows = last.value - before.value > (last.high - last.low) / 4
    means = "more rows would help" if grows else "more rows of the same kind would hardly help a model like this"
    message = f"a small model reaches {measure_name(task)} {shown} (on the same {measured.rows // 3:,} rows): {means}"
    return [Finding("signal.learning_curve", Severity.INFORMATION, message, measured=last.value - before.value)]


def label_noise(context: Context, task: LearningTask, measured: Measured) -> list[Finding]:
    """label.noise: labels that contradict predictions which are as sure as they get."""
    check = "label.noise"
    found = None if measured.signal is None else measured.signal.label_errors
    if found is None or len(found.rows) < _MIN_LABELS or found.low <= context.limit(check, "warn"):
        return []
    if measured.signal is None or measured.signal.score.low < _ABLE:
        return []
    rows = np.zeros(context.profile.sample.num_rows, np.bool_)
    rows[np.flatnonzero(context.labelled_rows)[: len(found.rows)][found.rows]] = True
    return [
        Finding(
            check,
            Severity.WARNING,
            f"about {found.rate:.1%} of the labels {task.target} are probably wrong: so many contradict even the "
            f"predictions that a small model is surest of ({measured.rows:,} rows of the sample)",
            "look at the example rows, and at how labels are given; no model can be better than its labels",
            column=task.target,
            count=int(found.rows.sum()),
            share=found.rate,
            threshold=context.limit(check, "warn"),
            places=context.places(rows),
        )
    ]


def group(context: Context, task: LearningTask, measured: Measured) -> list[Finding]:
    """leak.group: rows of one customer, patient or machine in training and testing flatter the score."""
    if context.config.data.group is not None:
        return []
    return [
        _flattered(
            context, task, found, "leak.group", f"set data.group: {flow(found.column)}", "with whole groups apart"
        )
        for found in measured.groups
        if _flatters(found, task, context.limit("leak.group", "warn"))
    ][:1]


def time(context: Context, task: LearningTask, measured: Measured) -> list[Finding]:
    """leak.time: a random split lets a model look into the future of the rows that it is scored on."""
    if measured.time is None or context.config.split.kind in BY_TIME:
        return []
    if not _flatters(measured.time, task, context.limit("leak.time", "warn")):
        return []
    advice = f"set data.time: {flow(measured.time.column)} and split.kind: time"
    return [_flattered(context, task, measured.time, "leak.time", advice, "from earlier rows alone")]


def _flatters(found: Flattery, task: LearningTask, limit: float) -> bool:
    """Whether the gain is surely over the limit, and not that of one useless model over a worse one."""
    return found.random - max(found.honest, no_skill(task)) > limit and found.gain.low > limit


def _flattered(context: Context, task: LearningTask, found: Flattery, check: str, advice: str, how: str) -> Finding:
    return Finding(
        check,
        Severity.WARNING,
        f"a random split flatters: a small model reaches {measure_name(task)} {found.random:.4f} with rows dealt out "
        f"at random, {found.honest:.4f} {how} (by {found.column})",
        advice,
        column=found.column,
        measured=found.gain.value,
        threshold=context.limit(check, "warn"),
    )
