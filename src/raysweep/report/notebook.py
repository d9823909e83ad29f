"""Small pieces of HTML for `_repr_html_`: they stand alone in a notebook's cell, without scripts or network."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.records.final_check import FinalCheck
from raysweep.records.table import Finding
from raysweep.records.trial import Trial
from raysweep.report.drawings import draw_scores
from raysweep.report.fragments import findings_table, gates_table, leaderboard_table, verdict_lines
from raysweep.report.markup import Html, tag

SHOWN_TRIALS = 20
# A notebook has no style sheet of ours, and SVG shapes are black without one.
CELL_STYLE = Html(
    ".raysweep svg{max-width:40rem;font:13px sans-serif;fill:currentColor}"
    ".raysweep .interval{stroke:#2b6cb0;stroke-width:4;opacity:.4}"
    ".raysweep .model{fill:#2b6cb0}.raysweep .other{fill:#888}"
)


def leaderboard_html(ranking: Sequence[Trial], metric: str, part: str) -> str:
    """The best trials as a table.

    Args:
        ranking: best first.
        metric: its name.
        part: what the scores were measured on.
    """
    pieces: list[object] = [leaderboard_table(ranking[:SHOWN_TRIALS], metric, part)]
    if len(ranking) > SHOWN_TRIALS:
        pieces.append(tag("p", f"… and {len(ranking) - SHOWN_TRIALS:,} more"))
    return _cell(*pieces)


def verdict_html(final_check: FinalCheck | None) -> str:
    """The verdict, the score beside what it is compared with, and the gates."""
    if final_check is None:
        return _cell(tag("p", "There is no verdict: the sweep did not come to the final check."))
    return _cell(
        tag("p", "Verdict: ", tag("b", final_check.verdict.value)),
        verdict_lines(final_check),
        draw_scores(final_check),
        gates_table(final_check),
    )


def findings_html(findings: Sequence[Finding]) -> str:
    """What the data checks say, as a table."""
    return _cell(findings_table(findings))


def _cell(*pieces: object) -> str:
    return str(tag("div", tag("style", CELL_STYLE), *pieces, class_="raysweep"))
