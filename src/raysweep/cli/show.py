"""`raysweep show`: the leaderboard, the verdict and the findings of a run, from any store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from raysweep.cli.options import AsJson, Debug, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.published import read_final_check, read_findings, read_proposals
from raysweep.cli.tables import findings_table, leaderboard_table, next_steps, output, proposals_text, verdict_panel
from raysweep.documents import shorten
from raysweep.errors import EXIT_NOT_ADEQUATE, EXIT_OK
from raysweep.records.cluster import NodeUse
from raysweep.records.final_check import Verdict
from raysweep.records.usage import Usage
from raysweep.report.leaderboard import Entry, leaderboard_rows
from raysweep.report.wording import nodes_text, usage_line

if TYPE_CHECKING:
    from raysweep.bundle.unfinished import Progress
    from raysweep.bundle.view import RunView

_REASONS: Final = 3
_TRIALS_AFTER_RESUME: Final = 10
_LONGEST_REASON: Final = 200

Run = Annotated[str, typer.Argument(metavar="RUN", help="A folder, an s3:// address, or the id of a run under runs/.")]
Top = Annotated[int, typer.Option("--top", min=1, metavar="N", help="How many trials to show.")]


def show(run: Run, top: Top = 20, s3_endpoint: S3Endpoint = None, as_json: AsJson = False, debug: Debug = False) -> int:
    """Show a run: findings, leaderboard, verdict, and where things are. Also for a run that is not finished.

    \b
    Examples:
      raysweep show runs/flights-late-20260101-120000-abc123
      raysweep show s3://bucket/runs/flights-late-20260101-120000-abc123 --json
    """
    return carry_out(lambda: _show(run, top, s3_endpoint), as_json=as_json, debug=debug)


def _show(run: str, top: int, s3_endpoint: str | None) -> Answer:
    from raysweep import api

    view = api.show(run, s3=s3_settings(s3_endpoint))
    return Answer(view.to_document(), lambda: _print(view, top))


def view_answer(view: RunView) -> Answer:
    """What `resume` answers where it only had to publish what was finished: its exit code is that of the verdict."""
    verdict = None if view.final_check is None else Verdict(view.final_check["verdict"])
    code = EXIT_OK if verdict is None or verdict.allows_use else EXIT_NOT_ADEQUATE
    document = {**view.to_document(), "bundle_url": view.url, "verdict": verdict}
    return Answer(document, lambda: _print(view, _TRIALS_AFTER_RESUME), code)


def _print(view: RunView, top: int) -> None:
    console = output()
    outcome = str(view.manifest.get("outcome", "")) if view.finished else "not finished"
    console.print(Text.assemble(("run     ", "bold"), f"{view.run_id}  ({outcome})"))
    if view.progress is not None:
        console.print(Text(_driver(view.progress, datetime.now(UTC))), soft_wrap=True)
    if view.findings:
        console.print()
        console.print(findings_table(read_findings(view.findings)))
    if view.proposals:
        console.print(proposals_text(read_proposals(view.proposals)), soft_wrap=True)
    ranked = view.ranking
    if ranked and view.aims is not None:
        rows = leaderboard_rows([_entry(trial) for trial in ranked[:top]], view.aims, view.front)
        console.print()
        console.print(leaderboard_table(rows, view.aims, ranked[0]["part"], console.width))
    console.print(Text(_counts(view, len(ranked), top)))
    for line in _failures(view.trials):
        console.print(Text(line), soft_wrap=True)
    console.print()
    if view.final_check is not None:
        console.print(verdict_panel(read_final_check(view.final_check)))
    nodes = (view.manifest.get("search") or {}).get("nodes", ())
    if nodes:
        console.print(Text(f"ran on {nodes_text(NodeUse(**one) for one in nodes)}", style="dim"), soft_wrap=True)
    if view.manifest.get("usage"):
        console.print(Text(usage_line(Usage.read(view.manifest["usage"])), style="dim"))
    without_model = str(view.manifest.get("without_model", ""))
    steps = next_steps(
        view.url, has_model=view.final_check is not None, finished=view.finished, without_model=without_model
    )
    console.print(steps, soft_wrap=True)


def _counts(view: RunView, ranked: int, top: int) -> str:
    if not view.trials:
        return "no trial was started"
    hidden = f", {ranked - top:,} of them not shown (--top)" if ranked > top else ""
    if view.progress is None:
        return f"{len(view.trials):,} trials, {ranked:,} with a score{hidden}"
    of_all = "" if view.progress.asked is None else f" of {view.progress.asked:,}"
    return f"{view.progress.ended:,}{of_all} trials have ended, {ranked:,} have a score{hidden}"


def _driver(progress: Progress, now: datetime) -> str:
    who = "unknown" if progress.driver is None else str(progress.driver)
    if progress.heard is None:
        return f"driver  {who}"
    seconds = (now - progress.heard).total_seconds()
    return f"driver  {who}; last heard of {progress.heard:%Y-%m-%d %H:%M:%S} UTC, {_ago(seconds)}"


def _ago(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} seconds ago"


def _failures(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why trials have failed, the most frequent reasons first."""
    reasons = Counter(str(trial["reason"]) for trial in trials if trial["state"] == "failed")
    lines = [f"{count:,} failed: {shorten(reason, _LONGEST_REASON)}" for reason, count in reasons.most_common(_REASONS)]
    rest = reasons.total() - sum(count for _, count in reasons.most_common(_REASONS))
    return [*lines, f"{rest:,} failed for other reasons"] if rest else lines


def _entry(trial: Mapping[str, Any]) -> Entry:
    return Entry(
        number=int(trial["trial"]),
        family=str(trial["family"]),
        state=str(trial["state"]),
        score=trial["score"],
        seconds=float(trial["seconds"] or 0.0),
        params=trial["params"],
        effort=trial.get("effort"),
        rounds=trial.get("rounds"),
        metrics=trial["metrics"],
    )
