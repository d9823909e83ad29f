"""`raysweep show`: the leaderboard, the verdict and the findings of a run, from any store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from raysweep.cli.options import AsJson, Debug, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.published import read_final_check, read_findings, read_proposals
from raysweep.cli.tables import findings_table, leaderboard_table, next_steps, output, proposals_text, verdict_panel
from raysweep.records.usage import Usage
from raysweep.report.leaderboard import Entry, leaderboard_rows
from raysweep.report.wording import usage_line

if TYPE_CHECKING:
    from raysweep.bundle.view import RunView

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


def _print(view: RunView, top: int) -> None:
    console = output()
    outcome = str(view.manifest.get("outcome", "")) if view.finished else "not finished"
    console.print(Text.assemble(("run     ", "bold"), f"{view.run_id}  ({outcome})"))
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
    console.print()
    if view.final_check is not None:
        console.print(verdict_panel(read_final_check(view.final_check)))
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
    return f"{len(view.trials):,} trials, {ranked:,} with a score{hidden}"


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
