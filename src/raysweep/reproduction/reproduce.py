"""A published sweep carried out again, stage by stage, but for its search: the winner is fitted again at once.

What differs early may be why what comes later differs, so that stages are compared in the order of
`raysweep.reproduction.outcome.StageName`, and the first that differs is named. The environment comes first: all else
rests on it. Nothing is published, and nothing is written into the ledger of openings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from raysweep.errors import DataUnsuitable, RayUnavailable, RaysweepError, SealBroken
from raysweep.events import Listener, Said, Stage
from raysweep.examine import Examined, examine, stage_told
from raysweep.records.manifest import FinalCheckRecord
from raysweep.records.table import LearningTask, Split, Suitability
from raysweep.records.trial import Trial
from raysweep.reproduction.compare import (
    compare_checks,
    compare_data,
    compare_environment,
    compare_params,
    compare_preparation,
    compare_requests,
    compare_searches,
    compare_splits,
)
from raysweep.reproduction.outcome import (
    Compared,
    Measured,
    Outcome,
    Reproduction,
    StageCompared,
    StageName,
    in_order,
)
from raysweep.reproduction.ray_refit import BesidePublished, Refitted, RefitRequest, refit
from raysweep.reproduction.recorded import Recorded
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.runtime.ray_session import RaySession
from raysweep.runtime.run_folder import RunFolder, make_run_folder, new_run_id
from raysweep.stages.export.environment import environment, packages
from raysweep.stages.export.split_document import split_record
from raysweep.stages.profile.document import profile_document
from raysweep.stages.search.proposals import candidate_digest, seed_for
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.document import findings_document
from raysweep.stages.validate.gate import with_findings
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.stages.validate.user_schema import read_user_schema
from raysweep.training.pipeline import pipeline_of
from raysweep.training.sealed_rows import Seal

_LAST_OF: dict[str, StageName] = {
    "data unsuitable": StageName.CHECKS,
    "no trial finished": StageName.SPLIT,
    "done": StageName.FINAL_CHECK,
}


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

    def add(self, stage: StageName, *compared: Compared) -> None:
        self.stages.append(StageCompared(stage, compared))


def carry_out_again(recorded: Recorded, data: object, session: RaySession, tell: Listener) -> Reproduction:
    """Every stage of a published sweep again, compared with what it recorded.

    Args:
        recorded: the bundle.
        data: a table in memory, or None where `recorded.asked` names one.
        session: the Ray that runs.
        tell: gets the events.

    Raises:
        NotFound, RequestInvalid, DataUnsuitable: the table cannot be read as one.
        RayUnavailable: Ray cannot give a fit the cores that it had.
    """
    started = time.perf_counter()
    _check_room(recorded, session)
    found = _Found()
    found.stages.append(compare_environment(recorded.manifest.environment, environment(packages())))
    found.stages += compare_requests(recorded.config, recorded.asked)
    with _private_folder() as folder:
        _carry_out(recorded, data, tell, folder, found)
    stages = in_order(found.stages, _expected(recorded), found.stopped)
    outcome = _judged(recorded, found, stages)
    return Reproduction(recorded.store.address(), outcome, stages, time.perf_counter() - started)


def _expected(recorded: Recorded) -> tuple[StageName, ...]:
    """The stages that the sweep had come to."""
    names = list(StageName)
    names = names[: names.index(_LAST_OF[recorded.manifest.outcome]) + 1]
    if recorded.manifest.outcome == "done" and recorded.manifest.model is None:
        names.remove(StageName.PREDICTIONS)
    return tuple(names)


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


def _carry_out(recorded: Recorded, data: object, tell: Listener, folder: RunFolder, found: _Found) -> None:
    config, manifest = recorded.asked, recorded.manifest
    day = _day_of(manifest.created)
    examined = examine(config, data, tell, read_user_schema(config), today=day)
    found.stages.append(compare_data(manifest, recorded.profile, profile_document(examined.profile, examined.table)))
    task = examined.check.task
    cut = None if task is None else _cut(recorded, examined, task, tell, folder)
    if isinstance(cut, DataUnsuitable):
        check = with_findings(examined.check, cut.findings, config, day)
    elif cut is not None:
        check = with_findings(examined.check, cut[0].findings, config, day)
    else:
        check = examined.check
    found.stages.append(compare_checks(recorded.findings, findings_document(check)))
    if manifest.outcome == "data unsuitable":
        return
    if task is None or cut is None or isinstance(cut, DataUnsuitable):
        found.stopped = "the checks find the data unsuitable, and no model would be made of them"
        return
    found.stages.append(compare_preparation(manifest, config, task))
    split, seal = cut
    _add_split(recorded, split, task, found)
    if manifest.outcome != "done":
        return
    if check.suitability is Suitability.UNSUITABLE:
        found.stopped = "the checks find the data unsuitable, and no model would be made of them"
        return
    _fit_again(recorded, task, split, seal, tell, found)


def _day_of(created: str) -> date:
    """When the sweep ran: what it accepted until some day, it accepts still."""
    try:
        return datetime.fromisoformat(created).date()
    except ValueError:
        return datetime.now(UTC).date()


def _cut(
    recorded: Recorded, examined: Examined, task: LearningTask, tell: Listener, folder: RunFolder
) -> tuple[Split, Seal] | DataUnsuitable:
    """The split and its seal; or why no rows can be dealt out."""
    config = recorded.asked
    with stage_told(tell, Stage.SPLIT) as done, ray_errors_translated("splitting the table"):
        try:
            split, seal = cut_table(examined.table, config, task, folder.path, resolve_thresholds(config.checks))
        except DataUnsuitable as error:
            return error
        done(", ".join(f"{part.value} {one.rows:,}" for part, one in split.parts.items()) + " rows")
    return split, seal


def _add_split(recorded: Recorded, split: Split, task: LearningTask, found: _Found) -> None:
    then = recorded.manifest.split
    if then is not None:
        found.stages.append(compare_splits(then, split_record(split, task)))


def _fit_again(
    recorded: Recorded, task: LearningTask, split: Split, seal: Seal, tell: Listener, found: _Found
) -> None:
    manifest, winner = recorded.manifest, recorded.winner
    if winner is None or manifest.search is None or manifest.final_check is None or recorded.final_check is None:
        found.stopped = "the bundle does not say which candidate won, or what the final check found"
        return
    again = _again(winner, recorded.asked.search.seed)
    found.stages.append(compare_searches(manifest.search, winner, again.candidate, recorded.asked, task))
    same_rows = manifest.split is not None and manifest.split.parts["validation"].digest == seal.digest
    request = RefitRequest(recorded.store, manifest, recorded.asked, again, task, split, seal, same_rows)
    try:
        with stage_told(tell, Stage.CONFIRM) as done, ray_errors_translated("fitting the winner again"):
            fitted = refit(request, lambda words: tell(Said(words)))
            done(f"{manifest.final_check.metric} {fitted.validation:.4g} on validation")
    except (SealBroken, RayUnavailable):
        raise
    except (RaysweepError, ValueError) as error:
        found.stopped = f"the winner cannot be fitted on these rows: {error}"
        return
    finally:
        seal.delete()
    _add_model(recorded, again, fitted, found)
    _add_final_check(recorded, manifest.final_check, fitted, same_rows=same_rows, found=found)


def _again(winner: Trial, seed: int) -> Trial:
    """The winner with the digest and the seed that its family and params have in a sweep of this seed."""
    candidate = winner.candidate
    identity = candidate_digest(candidate.family, candidate.params)
    return replace(winner, candidate=replace(candidate, digest=identity, seed=seed_for(seed, identity)))


def _add_model(recorded: Recorded, again: Trial, fitted: Refitted, found: _Found) -> None:
    then, now, pipeline = recorded.manifest.model, fitted.model, pipeline_of(fitted.model)
    if then is None or fitted.published is None:
        found.add(StageName.MODEL, Compared.told("published", recorded.manifest.without_model or "no model", ""))
        return
    beside = fitted.published
    compared = [
        Compared.of("family", then.family, again.candidate.family),
        compare_params(then.params, again.candidate.params),
        Compared.of("seed", then.seed, again.candidate.seed),
        Compared.of("fitted on", then.fitted_on, now.fitted_on),
        Compared.of("rows", then.fitted_rows, now.rows),
        Compared.of("rounds", then.rounds, pipeline.learner.rounds),
        Compared.of("prepared columns", then.prepare_sha256, pipeline.preparation.digest),
        Compared("state", "as published", ", ".join(beside.other_files) or "as published", not beside.other_files),
        _gap(f"predictions on {beside.rows:,} rows that it was fitted on", beside.rows_gap),
    ]
    found.add(StageName.MODEL, *compared)
    found.add(StageName.PREDICTIONS, _gap(f"{beside.golden_rows:,} golden rows", beside.golden_gap))


def _gap(what: str, gap: float) -> Compared:
    now: Any = "the same bit for bit" if gap == 0 else f"differ by up to {gap:.3g}"
    return Compared(what, "as published", now, same=gap == 0)


def _add_final_check(
    recorded: Recorded, then: FinalCheckRecord, fitted: Refitted, *, same_rows: bool, found: _Found
) -> None:
    score, low, high = (math.nan if one is None else one for one in (then.score, then.low, then.high))
    compared = [
        Compared.of("validation rows", then.rows, fitted.validation_rows),
        _scores(f"{then.metric} on validation", score, fitted.validation),
        Compared.told(f"interval at {then.level:.0%}", f"{low:.6g} to {high:.6g}", None),
    ]
    gap = None if recorded.final_check is None else recorded.final_check.gap
    if gap is not None:
        compared.append(_scores(f"{then.metric} on testing, fitted on training", gap.testing, fitted.testing))
    beside: BesidePublished | None = fitted.published
    if beside is not None and beside.gain is not None:
        words = f"{beside.gain[0]:+.3g} to {beside.gain[1]:+.3g}"
        compared.append(Compared.told("gain over the published model, paired bootstrap", None, words))
    found.add(StageName.FINAL_CHECK, *compared)
    found.measured = Measured(
        gap=None if beside is None else beside.golden_gap,
        score=fitted.validation,
        score_then=score,
        low=low,
        high=high,
        same_rows=same_rows,
        further_same=(beside is None or beside.rows_gap == 0) and all(one.same is not False for one in compared),
    )


def _scores(what: str, then: float, now: float) -> Compared:
    same = then == now or (math.isnan(then) and math.isnan(now))
    return Compared(what, then, now, same)


