"""Records as a small sweep leaves them, for what shows sweeps to people: nothing here runs one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raysweep.config import TaskKind
from raysweep.events import SearchPlanned, SweepEnded
from raysweep.records.aims import ranked
from raysweep.records.final_check import Comparison, FinalCheck, Gap, Gate, Outcome, Verdict
from raysweep.records.metric import COSTS, METRICS
from raysweep.records.model_facts import Estimate
from raysweep.records.table import (
    Column,
    ColumnKind,
    ColumnProfile,
    DataCheck,
    Finding,
    LearningTask,
    Part,
    PartSummary,
    Profile,
    Severity,
    Split,
    Suitability,
    Table,
)
from raysweep.records.trial import Candidate, Capacity, Period, RungReport, SearchOutcome, Trial, TrialState
from raysweep.records.usage import Seconds, Usage
from raysweep.report.view import ReportInput

HOSTILE = ("<script>alert(1)</script>", "[red]x[/red]", "a|b", "`c` *d*", '"><img src=x onerror=alert(2)>')
OPAQUE = "opaque-to-everybody"


def make_trial(number: int, score: float | None, state: TrialState = TrialState.COMPLETE, **params: Any) -> Trial:
    """A trial with one rung, or with none where there is no score."""
    candidate = Candidate(number, "xgboost", {"max_depth": 6, **params}, f"{number:016x}", "tpe", number, 100)
    rungs = () if score is None else (RungReport(1, 1.0, score, {"roc_auc": score}, 2.0 + number, 2.0, 40),)
    return Trial(candidate, state, rungs, reason="made up", started=1_000.0 + number)


def make_sized_view() -> ReportInput:
    """A search for a high roc_auc and a small model: trials 0 and 1 are on the front, 2 is not, 3 is too large."""
    view = make_view()
    trials = []
    for number, (score, size) in enumerate([(0.79, 2_000.0), (0.81, 90_000.0), (0.78, 4_000.0), (0.9, 9e6)]):
        trial = make_trial(number, score)
        metrics = {"roc_auc": score, "size_bytes": size}
        trials.append(replace(trial, rungs=(replace(trial.rungs[-1], metrics=metrics),)))
    assert view.task is not None
    assert view.search is not None
    bounds = {"size_bytes": 1e6}
    task = replace(view.task, objectives=(COSTS["size_bytes"],), constraints=bounds)
    config = {**view.config, "search": {**view.config["search"], "constraints": bounds}}
    ranking = tuple(ranked(trials, task.aims))
    search = replace(view.search, trials=tuple(trials))
    return replace(view, task=task, ranking=ranking, search=search, config=config)


def make_final_check(verdict: Verdict = Verdict.ADEQUATE) -> FinalCheck:
    """0.81 on validation, better than the dummy and the default."""
    score = Estimate(0.81, 0.79, 0.83, 0.01)
    return FinalCheck(
        metric="roc_auc",
        rows=400,
        fitted_on="training+testing",
        score=score,
        metrics={"roc_auc": score, "log_loss": Estimate(0.5, 0.48, 0.52, 0.01)},
        comparisons=(
            Comparison("dummy", 0.5, Estimate(0.31, 0.29, 0.33, 0.01)),
            Comparison("default", 0.8, Estimate(0.01, -0.01, 0.03, 0.01)),
        ),
        gap=Gap(0.82, 0.81, 0.01, 0.012),
        gates=(
            Gate("beats the dummy", Outcome.PASSED, "gain over the dummy 0.31"),
            Gate("generalises", Outcome.WARNING, "a little worse"),
        ),
        verdict=verdict,
        resamples=1_000,
    )


def make_plan(**changes: Any) -> SearchPlanned:
    """A search for the highest roc_auc on testing, two trials at a time."""
    plan: dict[str, Any] = {
        "trials": 100,
        "seconds": 60.0,
        "slots": 2,
        "cpus_per_trial": 2,
        "metric": "roc_auc",
        "part": "testing",
        "higher_is_better": True,
    }
    return SearchPlanned(**(plan | changes))


def make_view(names: tuple[str, ...] = ("age", "city"), **changes: Any) -> ReportInput:
    """A sweep that came to an adequate model; `names` are its columns, the last one also names everything else."""
    columns = tuple(Column(name, ColumnKind.STRING, "string") for name in names)
    strange = names[-1]
    task = LearningTask(
        TaskKind.BINARY, strange, METRICS["roc_auc"], columns, (False, strange), (10, 20), said=(f"{strange} inferred",)
    )
    findings = tuple(
        Finding("col.missing", Severity.WARNING, f"{name} is missing", f"drop {name}", column=name) for name in names
    )
    trials = (make_trial(0, 0.79), make_trial(1, 0.81, note=strange), make_trial(2, None, TrialState.FAILED))
    parts = {part: PartSummary(100, f"digest-of-{part.value}") for part in Part}
    values: dict[str, Any] = {
        "run_id": "small-20260101-000000-abcdef",
        "name": "small",
        "created": "2026-01-01 00:00 UTC",
        "config": {
            "search": {"space": {"version": 1, "families": {"ridge": {}}}, "algorithm": "tpe"},
            "export": {"to": "runs/"},
        },
        "task": task,
        "profile": Profile(
            300,
            2,
            "digest-of-rows",
            tuple(ColumnProfile(name, ColumnKind.STRING, "string", 300, 1) for name in names),
            strange,
            sample=OPAQUE,
        ),
        "table": Table(f"{strange}.csv", "csv", columns, (), scan=OPAQUE),
        "check": DataCheck(Suitability.WITH_WARNINGS, findings, task, {strange: f"{strange} is constant"}),
        "split": Split("stratified", 0, names, parts, 1, 0, 3, search_data=OPAQUE),
        "search": SearchOutcome(
            trials, "testing", "search.trials: all 3 were tried", (Period(Capacity(2), 1.0, 12.5),), 2
        ),
        "ranking": (trials[1], trials[0]),
        "final_check": make_final_check(),
        "outcome": "adequate",
    }
    return ReportInput(**(values | changes))


def make_ended() -> SweepEnded:
    """What a sweep with a good model ends with."""
    seconds = Seconds(10.0, 1.0, 5.0, 1.0, 2.0, 1.0)
    return SweepEnded(
        run_id="nightly",
        bundle_url="s3://bucket/runs/nightly",
        metric="roc_auc",
        part="testing",
        leaders=(make_trial(1, 0.8), make_trial(0, 0.7)),
        scored=2,
        final_check=make_final_check(),
        usage=Usage(seconds, seconds, 4.0, 0.5),
        objectives=("size_bytes",),
        constraints={"size_bytes": 1e6},
        document={"run_id": "nightly", "split": {"training": {"rows": 4}}},
    )
