"""How numbers and verdicts are put into words, the same everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from raysweep.records.cluster import NodeUse
from raysweep.records.final_check import Comparison, FinalCheck, Outcome
from raysweep.records.metric import COSTS
from raysweep.records.model_facts import Estimate
from raysweep.records.table import LearningTask, Part
from raysweep.records.usage import Seconds, Usage

TESTING, VALIDATION = Part.TESTING.value, Part.VALIDATION.value
MARKS = {
    Outcome.PASSED: "✓",
    Outcome.WARNING: "!",
    Outcome.INCONCLUSIVE: "?",
    Outcome.FAILED: "✗",
}

EXACT = 1e15
MEBIBYTE = 1024**2
_SHOWN_NODES: Final = 8
LONG = 10_000  # years stay without a comma
_CROSS_VALIDATED = re.compile(r"cross-validated in (\d+) folds$")


def score_heading(metric: str, part: str) -> str:
    """`roc_auc on testing`, or `roc_auc, 5-fold CV`: short, for the heading of a column."""
    short = part_text(part)
    return f"{metric} on {part}" if short == part else f"{metric}, {short}"


def part_text(part: str) -> str:
    """`testing`, or `5-fold CV`: short, for what the candidates of a sweep were compared by."""
    found = _CROSS_VALIDATED.search(part)
    return f"{found[1]}-fold CV" if found else part


def heading_note(metric: str, part: str) -> str:
    """What the heading of the scores left out, to stand beside the table once; empty where it says all."""
    full = f"{metric} on {part}"
    return "" if score_heading(metric, part) == full else f"Scores are {full}."


def score_text(value: float | None) -> str:
    """A score with six significant digits, or a dash where it is not known."""
    return "-" if value is None or math.isnan(value) else f"{value:.6g}"


def measured_text(value: float | None) -> str:
    """A score of the final check with four significant digits, as its interval has; a dash where it is not known."""
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def short_text(value: float) -> str:
    """A difference with two significant digits, or a dash where it is not known."""
    return "-" if math.isnan(value) else f"{value:.2g}"


def cost_text(name: str, value: float | None) -> str:
    """A cost with its unit, such as `81.2 KiB` or `3.4 ms`; any other metric as a score."""
    if value is None or name not in COSTS or math.isnan(value):
        return score_text(value)
    if name == "size_bytes":
        return f"{value / 1024:.4g} KiB" if value < MEBIBYTE else f"{value / MEBIBYTE:.4g} MiB"
    return f"{1000 * value:.3g} ms"


def usage_line(usage: Usage) -> str:
    """`96 core-seconds: 30.1 % preparation, 52 % trials (49 % in fit and predict), ...`; and what they cost."""
    cores, gpus = usage.core_seconds, usage.gpu_seconds
    fitting = f" ({share_text(usage.fitting / (cores.total or 1.0))} in fit and predict)"
    said = f"{cores.total:,.0f} core-seconds: {_parts(cores, fitting)}"
    if gpus.total:
        said += f"; {gpus.total:,.0f} GPU-seconds: {_parts(gpus)}"
    if usage.lost:
        said += f"; {max(1.0, usage.lost):,.0f} core-seconds were lost with processes, and done again"
    return said if usage.cost is None else f"{said}; {usage.cost:.4g} by cluster.price_per_hour"


def nodes_text(nodes: Iterable[NodeUse]) -> str:
    """`2 nodes: a (4 CPUs, 12 trials), b (4 CPUs, 1 GPUs, 9 trials)`; empty where they are not known."""
    known = [
        f"{one.name} ({one.cpus:g} CPUs, {f'{one.gpus:g} GPUs, ' if one.gpus else ''}{one.trials:,} trials)"
        for one in nodes
    ]
    shown = ", ".join(known[:_SHOWN_NODES]) + (
        f", and {len(known) - _SHOWN_NODES:,} more" if known[_SHOWN_NODES:] else ""
    )
    return f"{len(known):,} nodes: {shown}" if len(known) > 1 else shown


def _parts(seconds: Seconds, fitting: str = "") -> str:
    parts = (
        ("preparation", seconds.preparation),
        (f"trials{fitting}", seconds.trials),
        ("failed trials", seconds.failed),
        ("idle while the search ran", seconds.idle),
        ("final check", seconds.final_check),
    )
    return ", ".join(f"{share_text(part / (seconds.total or 1.0))} {name}" for name, part in parts if part)


def interval_text(estimate: Estimate) -> str:
    """`0.8123 [0.8011, 0.8239]`; a dash where it is not known."""
    if math.isnan(estimate.value):
        return "-"
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return f"{estimate.value:.4g} (no interval)"
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"


def share_text(share: float) -> str:
    """`12.3 %`; what is not quite nothing or all does not look so."""
    if 0 < share < 0.001:  # noqa: PLR2004
        return "< 0.1 %"
    if 0.999 < share < 1:  # noqa: PLR2004
        return "> 99.9 %"
    return f"{share:.1%}".replace("%", " %").replace(".0 ", " ")


def number_text(value: float) -> str:
    """A number with four significant digits, a whole one in full; a dash where it is not known."""
    if math.isnan(value):
        return "-"
    if math.isfinite(value) and value == int(value) and abs(value) < EXACT:
        return f"{int(value):,}" if abs(value) >= LONG else str(int(value))
    return f"{value:.4g}"


def params_text(params: Mapping[str, object]) -> str:
    """`max_depth=6, learning_rate=0.0312`."""
    return ", ".join(f"{name}={_value_text(value)}" for name, value in params.items())


def level_text(level: float) -> str:
    """`95 %`, or `98.33 %` where the validation rows were used before."""
    return f"{100 * level:.4g} %"


def interval_name(check: FinalCheck) -> str:
    """What the intervals of a final check are: level, method, and what the bootstrap draws."""
    return f"{level_text(check.level)} bootstrap interval, {check.resampled} resampled"


def score_line(check: FinalCheck) -> str:
    """The final score in one line, with the part that it was measured on and what its interval is."""
    return f"{check.metric} {interval_text(check.score)} on {VALIDATION} ({check.rows:,} rows; {interval_name(check)})"


def comparison_line(comparison: Comparison) -> str:
    """What the model gains over something else on the same validation rows."""
    return (
        f"{comparison.against} {measured_text(comparison.other_score)} on {VALIDATION}, "
        f"gain {interval_text(comparison.gain)}"
    )


def gap_line(check: FinalCheck) -> str:
    """How the score changed from testing to validation."""
    gap = check.gap
    if gap is None or math.isnan(gap.drop):
        return f"gap {TESTING} to {VALIDATION}: not measured"
    direction = "worse" if gap.drop > 0 else "better"
    change, error = short_text(abs(gap.drop)), short_text(gap.standard_error)
    return (
        f"gap: {measured_text(gap.testing)} on {TESTING}, {measured_text(gap.validation)} on {VALIDATION}, "
        f"{change} {direction} (fit on training rows, standard error {error})"
    )


def verdict_texts(check: FinalCheck) -> list[str]:
    """The final score, the comparisons and the gap, a line each."""
    return [score_line(check), *(comparison_line(one) for one in check.comparisons), gap_line(check)]


def learned_from(task: LearningTask) -> str:
    """`12 columns`, or `14 columns made of 12 inputs` where the preparation changes their number."""
    count, inputs = len(task.features), len(task.inputs)
    made = f" made of {inputs:,} input{'' if inputs == 1 else 's'}" if count != inputs else ""
    return f"{count:,} column{'' if count == 1 else 's'}{made}"


def _value_text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
