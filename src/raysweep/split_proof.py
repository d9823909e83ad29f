"""Does a table still fall into the parts of a published bundle? Its rows are dealt out again as the manifest says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from raysweep.bundle.verify import VerifiedFile
from raysweep.config import IN_MEMORY, S3Config, load_config
from raysweep.documents import suggest
from raysweep.errors import BundleRefused, RequestInvalid
from raysweep.records.manifest import Manifest, PartRecord, SplitRecord
from raysweep.records.metric import metric_for
from raysweep.records.split_rule import SplitRule
from raysweep.records.table import LearningTask, Part, PartSummary, Table
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.stages.source.ray_source import open_table
from raysweep.stages.split.dealing import Dealt, Wanted, deal
from raysweep.stages.split.planning import count_classes, plan_assignment
from raysweep.stages.split.summaries import keys_shared, summaries_of


def check_split(manifest: Manifest, data: object, s3: S3Config | None = None) -> tuple[VerifiedFile, ...]:
    """Deal the rows of a table out again, and compare each part with the manifest's.

    Args:
        manifest: of the bundle.
        data: the table that the sweep was about: an address, or a table in memory.
        s3: how to reach an `s3://` address.

    Returns:
        A line for each part, for the rows that are in none, and for the keys that stand in several.

    Raises:
        BundleRefused: the manifest does not say how the rows were dealt out.
        RequestInvalid: the table lacks a column that this depends on.
        DataUnsuitable: it cannot be read, or has no row for a part.
    """
    record = _complete(manifest)
    with ray_errors_translated("dealing the rows out again"):
        table = _open(data, s3)
        _check_columns(table, record)
        rule, task = _rule_of(record), _task_of(record, table)
        dealt = deal(Wanted.of(table, task, rule), plan_assignment(table, rule, task))
        return tuple(_compared(record, summaries_of(dealt, rule, table, task), dealt))


def _complete(manifest: Manifest) -> SplitRecord:
    record = manifest.split
    if record is None:
        raise BundleRefused(f"{manifest.run_id} has no split: it ended before its rows were dealt out")
    if record.shares is None or record.target is None or record.task is None:
        raise BundleRefused(
            f"the manifest of {manifest.run_id} does not say all by which its rows were dealt out: raysweep "
            f"{manifest.raysweep} did not record it"
        )
    return record


def _open(data: object, s3: S3Config | None) -> Table:
    in_memory = not isinstance(data, str | Path)
    source = {"source": IN_MEMORY if in_memory else str(data), "s3": None if s3 is None else s3.model_dump()}
    return open_table(load_config({"version": 1, "data": source}), data if in_memory else None)


def _check_columns(table: Table, record: SplitRecord) -> None:
    named = dict.fromkeys([*record.key, record.target, record.group, record.time, record.column])
    missing = [name for name in named if name is not None and name not in table.names]
    if missing:
        said = [f"{name!r}{suggest(name, table.names)}" for name in missing]
        raise RequestInvalid(f"the rows were dealt out by columns that {table.address} lacks: {'; '.join(said)}")


def _rule_of(record: SplitRecord) -> SplitRule:
    if record.shares is None:
        raise ValueError("checked before")
    return SplitRule(
        kind=record.kind,
        seed=record.seed,
        key=record.key,
        parts=record.shares,
        group=record.group,
        time=record.time,
        column=record.column,
        embargo=record.embargo,
        cuts=record.cuts,
    )


def _task_of(record: SplitRecord, table: Table) -> LearningTask:
    """What tells rows with a target from those without, and how many rows each class has."""
    if record.task is None or record.target is None:
        raise ValueError("checked before")
    task = LearningTask(record.task, record.target, metric_for(None, record.task), (), record.classes)
    return replace(task, class_counts=count_classes(table, task))


def _compared(record: SplitRecord, found: Mapping[Part, PartSummary], dealt: Dealt) -> Iterator[VerifiedFile]:
    for part, summary in found.items():
        problem = _difference(record.parts[part.value], summary)
        yield VerifiedFile(f"split: {part.value} ({summary.rows:,} rows)", not problem, problem)
    for reason in sorted({*record.left_out, *dealt.left_out}):
        before, now = record.left_out.get(reason, 0), dealt.left_out.get(reason, 0)
        problem = "" if before == now else f"{now:,} rows are left out, the manifest says {before:,}"
        yield VerifiedFile(f"split: {reason} ({now:,} rows)", not problem, problem)
    shared = keys_shared(dealt)
    problem = f"{shared:,} row keys stand in more than one part" if shared else ""
    yield VerifiedFile("split: keys in more than one part (0)" if not shared else "split: keys", not shared, problem)


def _difference(record: PartRecord, found: PartSummary) -> str:
    if found.rows != record.rows:
        return f"has {found.rows:,} rows, the manifest says {record.rows:,}: rows were added, taken away or changed"
    if found.digest != record.digest:
        return "holds other rows than the manifest says: their digest differs"
    for name, before, now in (("first", record.first, found.first), ("last", record.last, found.last)):
        if before != now:
            return f"has {now} as its {name} time, the manifest says {before}"
    return ""
