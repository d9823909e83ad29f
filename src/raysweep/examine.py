"""The first three stages, which a sweep and `raysweep analyze` share: read the table, profile it, check it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from raysweep.config import SweepConfig
from raysweep.events import DataChecked, Listener, Said, Stage, StageFinished, StageStarted
from raysweep.records.table import DataCheck, LearningTask, Profile, Table
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.stages.profile.ray_profile import profile_table
from raysweep.stages.profile.ray_unread import refusals_counted
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.source.ray_source import MEMORY, open_table
from raysweep.stages.split.planning import key_columns, plan_assignment, split_rule, usable_rows
from raysweep.stages.validate.features import requested_inputs
from raysweep.stages.validate.gate import Means, validate_table
from raysweep.stages.validate.learning_task import learning_task, prepared_task, read_target
from raysweep.stages.validate.ray_exact import answer_over
from raysweep.stages.validate.ray_measure import HelpOut, carry_out_by, nobody
from raysweep.stages.validate.ray_user_schema import findings_of_schema
from raysweep.stages.validate.user_schema import UserSchema


@dataclass(frozen=True, slots=True)
class Examined:
    """The table after the first three stages.

    Attributes:
        aim: what the target can be learned as, whether or not the data are suitable; without features.
        usable: the rows of the profile's sample that will not be validation rows, as a mask; None: all.
        schema: what `checks.schema` says, if anything.
    """

    table: Table
    profile: Profile
    check: DataCheck
    aim: LearningTask | None = None
    usable: Any = field(default=None, repr=False, compare=False)
    schema: UserSchema | None = None


def examine(
    config: SweepConfig,
    data: object,
    tell: Listener,
    schema: UserSchema | None,
    help_out: HelpOut = nobody,
    *,
    today: date | None = None,
) -> Examined:
    """The first three stages: read, profile, validate.

    Args:
        config: the sweep.
        data: a table in memory, or None.
        tell: gets the events.
        schema: what `checks.schema` says, if anything.
        help_out: fits the checks' small models in processes that stand ready.
        today: by which it is told whether a finding is still accepted; the day it is when absent.
    """
    with stage_told(tell, Stage.SOURCE) as done, ray_errors_translated("reading the table"):
        table = open_table(config, data)
        request = _profile_request(table, config)
        done(_source_summary(table))
    with (
        stage_told(tell, Stage.PROFILE) as done,
        refusals_counted(table, request.prepare),
        ray_errors_translated("profiling the table"),
    ):
        profile = profile_table(table, request)
        if table.address == MEMORY:
            table = replace(table, address=f"{MEMORY}sha256-{profile.row_digest}")
        done(f"{profile.rows:,} rows, {profile.duplicate_rows:,} repeated")
    with stage_told(tell, Stage.VALIDATE) as done, ray_errors_translated("checking the table"):
        aim = _aim(config, table, profile)
        means = Means(
            answer=answer_over(table, profile, config.data.prepare),
            carry_out=carry_out_by(help_out),
            today=today or datetime.now(UTC).date(),
            usable=None if aim is None else _usable(config, table, profile, aim),
            schema_findings=findings_of_schema(schema, table, config.checks),
        )
        check = validate_table(table, profile, config, means)
        if check.task is not None:
            check = replace(check, task=prepared_task(check.task, table, config))
        for sentence in check.task.said if check.task is not None else ():
            tell(Said(sentence))
        done(check.suitability.value)
    tell(DataChecked(check))
    return Examined(table, profile, check, aim, means.usable, schema)


def _profile_request(table: Table, config: SweepConfig) -> ProfileRequest:
    return ProfileRequest(
        target=config.data.target,
        features=tuple(column.name for column in requested_inputs(table, config)),
        key=key_columns(table, config),
        prepare=config.data.prepare,
    )


def _aim(config: SweepConfig, table: Table, profile: Profile) -> LearningTask | None:
    """What the target can be learned as; None where there is no target, or no value of it."""
    if config.data.target not in table.names or not profile.rows:
        return None
    reading = read_target(profile.column(str(config.data.target)), config.data)
    return None if reading.kind is None else learning_task(reading, (), config)


def _usable(config: SweepConfig, table: Table, profile: Profile, aim: LearningTask) -> Any:
    """The rows of the sample that will not be validation rows."""
    rule = split_rule(table, config, aim.kind)
    return usable_rows(plan_assignment(table, rule, aim), profile, rule)


@contextlib.contextmanager
def stage_told(tell: Listener, stage: Stage) -> Iterator[Callable[[str], None]]:
    """Tell of a stage's begin and end; the block hands its one-line summary to what it is given."""
    started = time.perf_counter()
    summaries: list[str] = []
    tell(StageStarted(stage))
    yield summaries.append
    tell(StageFinished(stage, time.perf_counter() - started, " ".join(summaries)))


def _source_summary(table: Table) -> str:
    kinds = [column.kind.value for column in table.columns]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    files = f"{len(table.files)} {table.format} file{'s' if len(table.files) != 1 else ''}"
    where = files if table.files else f"{table.format} in memory"
    return f"{where}, {len(table.columns)} columns ({counted})"
