"""A published sweep carried out again, stage by stage, but for its search: the winner is fitted again at once.

What differs early may be why what comes later differs, so that stages are compared in the order of
`raysweep.reproduction.outcome.StageName`, and the first that differs is named. The environment comes first: all else
rests on it. Nothing is published, and nothing is written into the ledger of openings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from raysweep.config import SweepConfig
from raysweep.documents import plain_record
from raysweep.errors import DataUnsuitable, RaysweepError, RayUnavailable, SealBroken
from raysweep.events import Listener, Said, Stage
from raysweep.examine import Examined, examine, stage_told
from raysweep.records.manifest import Manifest
from raysweep.records.table import LearningTask, Split, Suitability
from raysweep.records.trial import Trial
from raysweep.reproduction.compare import (
    compare_checks,
    compare_data,
    compare_preparation,
    compare_searches,
    compare_splits,
)
from raysweep.reproduction.compare_asked import compare_environment, compare_requests
from raysweep.reproduction.compare_fits import compare_final_checks, compare_models
from raysweep.reproduction.outcome import (
    Measured,
    Outcome,
    Reproduction,
    StageCompared,
    StageName,
    in_order,
)
from raysweep.reproduction.ray_refit import RefitRequest, refit
from raysweep.reproduction.recorded import Recorded
from raysweep.reproduction.search_again import search_again
from raysweep.row_plan import plan_rows
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.runtime.ray_session import RaySession
from raysweep.runtime.run_folder import RunFolder, make_run_folder, new_run_id
from raysweep.space import load_space
from raysweep.stages.export.environment import environment, packages
from raysweep.stages.export.split_document import split_record
from raysweep.stages.profile.document import profile_document
from raysweep.stages.search.proposals import candidate_digest, seed_for
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.document import findings_document
from raysweep.stages.validate.gate import with_findings
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.stages.validate.user_schema import read_user_schema
from raysweep.training.families import full_rounds
from raysweep.training.sealed_rows import Seal

_UNSUITABLE: Final = "the checks find the data unsuitable, and no model would be made of them"
_SEARCHED: Final = (StageName.SEARCH, StageName.MODEL, StageName.PREDICTIONS, StageName.FINAL_CHECK)


@dataclass(slots=True)
class _Found:
    """What was compared so far.

    Attributes:
        stopped: why there is no more to compare; empty where all was.
        measured: what the outcome is judged by; None where no model came about.
    """

    stages: list[StageCompared] = field(default_factory=list)
    stopped: str = ""
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be carried out, and with what.

    Attributes:
        data: a table in memory, or None where the config names one.
        searching: the whole search, too.
    """

    recorded: Recorded
    data: object
    searching: bool
    tell: Listener
    folder: RunFolder


def carry_out_again(
    recorded: Recorded, data: object, session: RaySession, tell: Listener, *, searching: bool = False
) -> Reproduction:
    """Every stage of a published sweep again, compared with what it recorded.

    Args:
        recorded: the bundle.
        data: a table in memory, or None where `recorded.asked` names one.
        session: the Ray that runs.
        tell: gets the events.
        searching: the whole search again, too; it has to be one that can be repeated.

    Raises:
        NotFound, RequestInvalid, DataUnsuitable: the table cannot be read as one.
        RayUnavailable: Ray cannot give a fit the cores that it had.
    """
    started = time.perf_counter()
    _check_room(recorded, session)
    found = _Found()
    found.stages.append(
        compare_environment(plain_record(recorded.manifest.environment), plain_record(environment(packages())))
    )
    found.stages += compare_requests(recorded.config, recorded.asked)
    with _private_folder() as folder:
        _carry_out(_Asked(recorded, data, searching, tell, folder), found)
    stages = in_order(found.stages, _expected(recorded), found.stopped)
    outcome = _judged(recorded, found, stages)
    return Reproduction(recorded.store.address(), outcome, stages, time.perf_counter() - started)


def _expected(recorded: Recorded) -> tuple[StageName, ...]:
    """The stages that the sweep had come to."""
    manifest = recorded.manifest
    names = set(StageName)
    if manifest.outcome != "done":
        names -= {*_SEARCHED}
    if manifest.outcome == "data unsuitable":
        names -= {StageName.PREPARATION}
    if manifest.split is None:
        names -= {StageName.SPLIT}
    if manifest.model is None:
        names -= {StageName.PREDICTIONS}
    return tuple(name for name in StageName if name in names)


def _judged(recorded: Recorded, found: _Found, stages: tuple[StageCompared, ...]) -> Outcome:
    if found.measured is not None:
        return found.measured.judged()
    reached = recorded.manifest.outcome != "done" and not found.stopped
    same = all(one.same for one in stages if one.stage is not StageName.ENVIRONMENT)
    return Outcome.IDENTICAL if reached and same else Outcome.DIFFERENT


def _check_room(recorded: Recorded, session: RaySession) -> None:
    trial = recorded.asked.search.trial
    if recorded.winner is None or (trial.cpus <= session.cpus and trial.gpus <= session.gpus):
        return
    raise RayUnavailable(
        f"the model was fitted with {trial.cpus} cores and {trial.gpus:g} GPUs, and this Ray has {session.cpus} and "
        f"{session.gpus:g}: reproduce it on a machine or cluster that has them (--set cluster.address=...), or with "
        "fewer, as --set search.trial.cpus=1"
    )


@contextmanager
def _private_folder() -> Iterator[RunFolder]:
    folder = make_run_folder(new_run_id("reproduce", datetime.now(UTC)))
    try:
        yield folder
    finally:
        folder.remove()


def _carry_out(asked: _Asked, found: _Found) -> None:
    """All that the sweep had come to, as far as it is possible with this table."""
    recorded = asked.recorded
    config, manifest = recorded.asked, recorded.manifest
    day = _day_of(manifest.created)
    examined = examine(config, asked.data, asked.tell, read_user_schema(config), today=day)
    profile = profile_document(examined.profile, examined.table)
    found.stages.append(compare_data(manifest, recorded.profile, profile, examined.table.columns))
    task = examined.check.task
    cut = None if task is None else _cut(asked, examined, task)
    further = () if cut is None else cut.findings if isinstance(cut, DataUnsuitable) else cut[0].findings
    check = with_findings(examined.check, further, config, day) if cut is not None else examined.check
    found.stages.append(compare_checks(recorded.findings, findings_document(check)))
    if task is not None and isinstance(cut, tuple) and manifest.split is not None:
        found.stages.append(compare_splits(manifest.split, split_record(cut[0], task)))
    if manifest.outcome == "data unsuitable":
        return
    if task is None or cut is None or isinstance(cut, DataUnsuitable):
        found.stopped = _UNSUITABLE
        return
    found.stages.append(compare_preparation(manifest, config, task))
    split, seal = cut
    if check.suitability is Suitability.UNSUITABLE and manifest.outcome == "done":
        found.stopped = _UNSUITABLE
    elif manifest.outcome == "done":
        _fit_again(asked, task, split, seal, found)


def _day_of(created: str) -> date:
    """When the sweep ran: what it accepted until some day, it accepts still."""
    try:
        return datetime.fromisoformat(created).date()
    except ValueError:
        return datetime.now(UTC).date()


def _cut(asked: _Asked, examined: Examined, task: LearningTask) -> tuple[Split, Seal] | DataUnsuitable:
    """The split and its seal; or why no rows can be dealt out."""
    config = asked.recorded.asked
    with stage_told(asked.tell, Stage.SPLIT) as done, ray_errors_translated("splitting the table"):
        try:
            plan = plan_rows(config, task, examined.profile.rows, _search_rows(asked.recorded.manifest))
            thresholds = resolve_thresholds(config.checks)
            split, seal = cut_table(examined.table, plan.config, task, asked.folder.path, thresholds)
            split = plan.of(split)
        except DataUnsuitable as error:
            return error
        done(", ".join(f"{part.value} {one.rows:,}" for part, one in split.parts.items()) + " rows")
    return split, seal


def _search_rows(manifest: Manifest) -> int | str:
    """How many rows the search got, as `search.rows` says it."""
    record = manifest.split
    return "all" if record is None or record.sample_rows is None else record.sample_rows


def _fit_again(asked: _Asked, task: LearningTask, split: Split, seal: Seal, found: _Found) -> None:
    recorded = asked.recorded
    manifest, winner, config = recorded.manifest, recorded.winner, recorded.asked
    if winner is None or manifest.search is None or manifest.final_check is None:
        found.stopped = "the bundle does not say which candidate won, or what the final check found"
        return
    again = _again(winner, config)
    found.stages.append(compare_searches(manifest.search, winner, again.candidate, config, task))
    if asked.searching:
        with stage_told(asked.tell, Stage.SEARCH) as done, ray_errors_translated("searching again"):
            found.stages.append(search_again(recorded, task, split, asked.tell))
            done("every trial as it was" if found.stages[-1].same else "otherwise than it was")
    same_rows = manifest.split is not None and manifest.split.parts["validation"].digest == seal.digest
    request = RefitRequest(recorded.store, manifest, config, again, task, split, seal, same_rows)
    try:
        with stage_told(asked.tell, Stage.CONFIRM) as done, ray_errors_translated("fitting the winner again"):
            fitted = refit(request, lambda words: asked.tell(Said(words)))
            done(f"{task.metric.name} {fitted.validation:.4g} on validation")
    except (SealBroken, RayUnavailable):
        raise
    except (RaysweepError, ValueError) as error:
        found.stopped = f"the winner cannot be fitted on these rows: {error}"
        return
    finally:
        seal.delete()
    found.stages += compare_models(manifest, again.candidate, fitted)
    gap = None if recorded.final_check is None else recorded.final_check.gap
    stage, found.measured = compare_final_checks(manifest.final_check, gap, fitted, same_rows=same_rows)
    found.stages.append(stage)


def _again(winner: Trial, config: SweepConfig) -> Trial:
    """The winner with the digest, the seed and the full effort that its family and params have in such a sweep."""
    candidate = winner.candidate
    identity = candidate_digest(candidate.family, candidate.params)
    space = load_space(config.search.space, base=Path())
    rounds = full_rounds(candidate.family, space) if candidate.family in space.families else None
    seed = seed_for(config.search.seed, identity)
    return replace(winner, candidate=replace(candidate, digest=identity, seed=seed, rounds=rounds))
