"""What a sweep and an analysis give to Python users: their results, with a plain and an HTML view."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from raysweep.documents import plain_record, readable_json
from raysweep.events import SweepEnded
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import DataCheck, LearningTask, Proposal, Split, Table
from raysweep.records.trial import Candidate, SearchOutcome, Trial
from raysweep.records.usage import Usage
from raysweep.report.view import DataView
from raysweep.views import Findings, Leaderboard, TableProfile, VerdictView

_LEADERS = 10


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep came to.

    Attributes:
        bundle_url: folder or address of the published bundle.
        search: every trial; `ranking` has those with a score, best first.
        final_check: scores with intervals on validation rows, comparisons, gates, verdict.
        seconds: wall time of the whole sweep.
        usage: core-seconds of the cluster by what they were for, and their cost.
        without_model: why the bundle holds parameters and scores but no model; empty where it holds one.
    """

    run_id: str
    bundle_url: str
    task: LearningTask
    profile: TableProfile = field(repr=False)
    findings: Findings = field(repr=False)
    split: Split = field(repr=False)
    search: SearchOutcome = field(repr=False)
    ranking: tuple[Trial, ...] = field(repr=False)
    final_check: FinalCheck = field(repr=False)
    seconds: float
    usage: Usage
    without_model: str = ""

    @property
    def verdict(self) -> VerdictView:
        """Whether the model is adequate, why, and what to do where it is not; equal to a `Verdict` and its text."""
        return VerdictView(self.final_check)

    @property
    def best(self) -> Candidate:
        """The candidate that won the search."""
        return self.ranking[0].candidate

    @property
    def leaderboard(self) -> Leaderboard:
        """The trials with a score, best first."""
        return Leaderboard(self.ranking, self.task.aims, self.search.part)

    def to_document(self) -> dict[str, Any]:
        """As `raysweep run --json` prints it."""
        best = self.ranking[0]
        return {
            "run_id": self.run_id,
            "bundle_url": self.bundle_url,
            "verdict": self.verdict.value,
            "reasons": list(self.final_check.reasons),
            "without_model": self.without_model,
            "metric": self.task.metric.name,
            "validation": plain_record(self.final_check.score),
            "search": {
                "part": self.search.part,
                "score": best.score,
                "trials": len(self.search.trials),
                "stopped_by": self.search.stopped_by,
            },
            "best": {"family": self.best.family, "params": dict(self.best.params), "trial": self.best.number},
            "split": {part.value: {"rows": one.rows, "digest": one.digest} for part, one in self.split.parts.items()},
            "seconds": self.seconds,
            "usage": plain_record(self.usage),
        }

    def to_event(self) -> SweepEnded:
        """As those who watch the sweep are told of it."""
        aims = self.task.aims
        return SweepEnded(
            run_id=self.run_id,
            bundle_url=self.bundle_url,
            metric=aims.metric.name,
            part=self.search.part,
            leaders=self.ranking[:_LEADERS],
            scored=len(self.ranking),
            final_check=self.final_check,
            usage=self.usage,
            objectives=tuple(one.name for one in aims.objectives),
            constraints=aims.constraints,
            without_model=self.without_model,
            document=self.to_document(),
        )

    def __repr__(self) -> str:
        check = self.final_check
        return (
            f"<SweepResult {self.run_id}: {check.verdict.value}; {check.metric} {check.score.value:.4g} "
            f"[{check.score.low:.4g}, {check.score.high:.4g}] on validation; {self.best.family}; {self.bundle_url}"
            f"{'; without a model' if self.without_model else ''}>"
        )

    def _repr_html_(self) -> str:
        from raysweep.report.notebook import verdict_html

        missing = f"<p><b>No model is published</b>: {escape(self.without_model)}</p>" if self.without_model else ""
        return verdict_html(self.final_check) + missing + f"<p><code>{escape(self.bundle_url)}</code></p>"


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the data gate says of a table."""

    view: DataView = field(repr=False)

    @property
    def name(self) -> str:
        """The sweep's name, or that of the data file."""
        return self.view.name

    @property
    def table(self) -> Table:
        """The table that was looked at."""
        return self.view.table

    @property
    def check(self) -> DataCheck:
        """The outcome of the data gate."""
        return self.view.check

    @property
    def profile(self) -> TableProfile:
        """The statistics of the table."""
        return TableProfile(self.view.profile, self.check.meanings)

    @property
    def findings(self) -> Findings:
        """What the checks say, worst first."""
        return Findings(self.check.findings)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """Lines for the sweep file, and why; nothing of this is applied."""
        return self.check.proposals

    def save(self, folder: str | Path) -> Path:
        """Write findings.json, profile.json and analysis.html, a page for the browser; returns the folder.

        Raises:
            StorageFailed: the folder cannot be written.
        """
        from raysweep.report.data_page import data_page
        from raysweep.stages.profile.document import profile_document
        from raysweep.stages.validate.document import findings_document
        from raysweep.storage.local import write_whole

        place = Path(folder).expanduser()
        files = {
            "findings.json": readable_json(findings_document(self.check)),
            "profile.json": readable_json(profile_document(self.view.profile, self.table)),
            "analysis.html": data_page(self.view).encode(),
        }
        for name, content in files.items():
            with write_whole(place / name) as file:
                file.write(content)
        return place

    def to_document(self) -> dict[str, Any]:
        """As `raysweep analyze --json` prints it."""
        columns = [{**plain_record(one), "values": None} for one in self.profile.columns]
        return {
            "address": self.table.address,
            "suitability": self.check.suitability.value,
            "rows": self.profile.rows,
            "columns": columns,
            "findings": plain_record(self.check.findings),
            "left_out": dict(self.check.left_out),
            "meanings": plain_record(self.check.meanings),
            "proposals": plain_record(self.proposals),
            "unused_waivers": list(self.check.unused_waivers),
        }

    def __repr__(self) -> str:
        return f"<Analysis of {self.table.address}: {self.check.suitability.value}, {len(self.findings)} findings>"

    def _repr_html_(self) -> str:
        from raysweep.report.notebook import check_html

        return check_html(self.check)
