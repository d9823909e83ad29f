"""Small pieces of HTML for `_repr_html_`: they stand alone in a notebook's cell, without scripts or network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raysweep.records.aims import Aims
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import DataCheck, Finding, Meaning, Profile
from raysweep.records.trial import Trial
from raysweep.report.axes import drawing_style
from raysweep.report.calibration_drawings import draw_calibration
from raysweep.report.drawings import draw_scores
from raysweep.report.fragments import (
    columns_table,
    findings_table,
    gates_table,
    leaderboard_table,
    proposals_list,
    verdict_lines,
    why_not,
)
from raysweep.report.markup import Html, join, tag
from raysweep.report.wording import VALIDATION

SHOWN_TRIALS = 20
SHOWN_FINDINGS = 100
SHOWN_COLUMNS = 100
# A notebook has no style sheet of ours, and SVG shapes are black without one.
CELL_STYLE = Html(
    ".raysweep svg{max-width:100%;height:auto;font:13px sans-serif;fill:currentColor}"
    ".raysweep th,.raysweep td{text-align:left;vertical-align:top;padding:.15rem .9rem .15rem 0}"
    ".raysweep .error,.raysweep .failed{color:#c53030}.raysweep .warning{color:#b7791f}.raysweep .waived{color:#805ad5}"
    ".raysweep li p{margin:.1rem 0}.raysweep .inconclusive{color:#b7791f}.raysweep .passed{color:#2f855a}"
    + drawing_style(".raysweep svg")
)


def leaderboard_html(ranking: Sequence[Trial], aims: Aims, part: str) -> str:
    """The best trials as a table.

    Args:
        ranking: best first.
        aims: what they were after.
        part: what the scores were measured on.
    """
    return _cell(leaderboard_table(ranking, aims, part, SHOWN_TRIALS), _more(len(ranking) - SHOWN_TRIALS))


def verdict_html(final_check: FinalCheck | None) -> str:
    """The verdict, the score beside what it is compared with, the gates, why not, and calibration drawn small."""
    if final_check is None:
        return _cell(tag("p", "There is no verdict: the sweep did not come to the final check."))
    return _cell(
        tag("p", "Verdict: ", tag("b", final_check.verdict.value)),
        verdict_lines(final_check),
        draw_scores(final_check),
        gates_table(final_check),
        why_not(final_check.why_not, final_check.metric),
        _calibration(final_check),
    )


def _calibration(check: FinalCheck) -> Html:
    drawing = None if check.calibration is None else draw_calibration(check.calibration, small=True)
    return Html() if drawing is None else join((tag("p", f"Calibration on {VALIDATION}"), drawing))


def findings_html(findings: Sequence[Finding]) -> str:
    """What the data checks say, as a table."""
    return _cell(findings_table(findings[:SHOWN_FINDINGS]), _more(len(findings) - SHOWN_FINDINGS))


def profile_html(profile: Profile, meanings: Mapping[str, Meaning]) -> str:
    """The table's size, and what each column holds."""
    size = f"{profile.rows:,} rows, {profile.duplicate_rows:,} of them repeat an earlier one"
    return _cell(tag("p", size), columns_table(profile, meanings, SHOWN_COLUMNS))


def check_html(check: DataCheck) -> str:
    """What the data gate decided, the findings, and what it proposes."""
    return _cell(
        tag("p", "The data are ", tag("b", check.suitability.value)),
        findings_table(check.findings[:SHOWN_FINDINGS]),
        _more(len(check.findings) - SHOWN_FINDINGS),
        proposals_list(check.proposals),
    )


def _more(count: int) -> Html:
    return tag("p", f"… and {count:,} more") if count > 0 else Html()


def _cell(*pieces: object) -> str:
    return str(tag("div", tag("style", CELL_STYLE), *pieces, class_="raysweep"))
