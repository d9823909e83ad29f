"""Does a table still fall into the parts of a published bundle? Its rows are dealt out again as the manifest says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from raysweep.bundle.verify import SHARED_KEYS, VerifiedFile
from raysweep.config import IN_MEMORY, S3Config, load_config
from raysweep.documents import shorten, suggest
from raysweep.errors import BundleRefused, DataUnsuitable, RequestInvalid
from raysweep.records.manifest import Manifest, PartRecord, SplitRecord
from raysweep.records.metric import metric_for
from raysweep.records.split_rule import SplitRule
from raysweep.records.table import ColumnKind, Label, LearningTask, Part, PartSummary, Table
from raysweep.rows.hashing import digest_of
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.stages.source.ray_source import open_table
from raysweep.stages.split.dealing import Cut, Dealt, Wanted, deal
from raysweep.stages.split.identity import count_and_digest
from raysweep.stages.split.planning import count_classes, plan_assignment
from raysweep.stages.split.summaries import keys_shared, summaries_of

_SHOWN: Final = 12  # digits of a sha256
_NAMED: Final = 3
_HELD: Final = {
    ColumnKind.NUMBER: "numbers",
    ColumnKind.BOOLEAN: "true and false",
    ColumnKind.STRING: "text",
    ColumnKind.DATETIME: "dates",
    ColumnKind.NESTED: "nested values",
}


def check_split(manifest: Manifest, data: object, s3: S3Config | None = None) -> tuple[VerifiedFile, ...]:
    """Deal the rows of a table out again, and compare the table and each part with the manifest's.

    Args:
        manifest: of the bundle.
        data: the table that the sweep was about: an address, or a table in memory.
        s3: how to reach an `s3://` address.

    Returns:
        A line for the table (all its rows and values), for each part, for the rows that are in none, and for the keys
        that stand in several; for the columns alone, where one that decides holds values of another kind.

    Raises:
        BundleRefused: the manifest does not say how the rows were dealt out.
        RequestInvalid: the table lacks a column that this depends on.
        DataUnsuitable: it cannot be read.
    """
    record = _complete(manifest)
    with ray_errors_translated("dealing the rows out again"):
        table = _open(data, s3)
        _check_columns(table, record)
        kinds = tuple(_other_kinds(table, record))
        if kinds:
            return kinds
        try:
            parts = tuple(_deal_again(table, record))
        except (DataUnsuitable, RequestInvalid) as error:
            parts = (VerifiedFile("split", ok=False, problem=f"the rows cannot be dealt out again: {error}"),)
        return (_compare_tables(manifest, table, fall_alike=all(one.ok for one in parts)), *parts)


def _deal_again(table: Table, record: SplitRecord) -> Iterator[VerifiedFile]:
    rule, task = _rule_of(record), _task_of(record, table)
    dealt = deal(Wanted.of(table, task, rule), plan_assignment(table, rule, task))
    if all(cut.block.rows for cut in dealt.parts.values()):
        found = summaries_of(dealt, rule, table, task)
    else:
        found = {part: _bare(cut, record.parts[part.value]) for part, cut in dealt.parts.items()}
    return _compared(record, found, dealt)


def _bare(cut: Cut, record: PartRecord) -> PartSummary:
    """What can be said of a part where another one is empty."""
    return PartSummary(cut.block.rows, digest_of(cut.keys), first=record.first, last=record.last)


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


def _other_kinds(table: Table, record: SplitRecord) -> Iterator[VerifiedFile]:
    """A line for each column that decides and holds values of another kind than then, so that nothing can be dealt."""
    wanted = {record.target: _kinds_of(record.classes), record.time: _time_kinds(record)}
    wanted |= {record.column: {ColumnKind.STRING}}
    for name, kinds in wanted.items():
        if name is not None and table.column(name).kind not in kinds:
            then = " or ".join(_HELD[kind] for kind in sorted(kinds))
            now = _HELD[table.column(name).kind]
            problem = f"holds {now}, where the sweep's held {then}: read it, or cast it, as that"
            yield VerifiedFile(f"table: column {shorten(name)!r}", ok=False, problem=problem)


def _kinds_of(classes: Sequence[Label]) -> set[ColumnKind]:
    """What a column holds whose values have these labels; numbers, where there are none."""
    kinds = {bool: ColumnKind.BOOLEAN, str: ColumnKind.STRING}
    return {kinds.get(type(label), ColumnKind.NUMBER) for label in classes} or {ColumnKind.NUMBER}


def _time_kinds(record: SplitRecord) -> set[ColumnKind]:
    known = [one for part in record.parts.values() for one in (part.first, part.last)]
    known = [one for one in (*known, *record.cuts) if one is not None]
    dates = {ColumnKind.DATETIME if isinstance(one, str) else ColumnKind.NUMBER for one in known}
    return dates or {ColumnKind.DATETIME, ColumnKind.NUMBER}


def _compare_tables(manifest: Manifest, table: Table, *, fall_alike: bool) -> VerifiedFile:
    """Whether all rows hold the same values in all columns as the sweep's, in whatever order."""
    wanted, (rows, digest) = manifest.data, count_and_digest(table)
    name = f"table ({rows:,} rows, {len(table.columns):,} columns)"
    problem = ""
    if rows != wanted.rows:
        problem = f"the sweep's had {wanted.rows:,} rows"
    elif len(table.columns) != wanted.columns:
        problem = f"the sweep's had {wanted.columns:,} columns"
    elif digest != wanted.row_digest:
        problem = (
            f"holds other rows or values than the sweep's (sha256 {wanted.row_digest[:_SHOWN]}... then, "
            f"{digest[:_SHOWN]}... now)" + (", though they fall into the same parts" if fall_alike else "")
        )
        problem += _kinds_changed(manifest, table)
    return VerifiedFile(name, not problem, problem)


def _kinds_changed(manifest: Manifest, table: Table) -> str:
    """Which of the model's inputs hold values of another kind, as the likely reason."""
    inputs = () if manifest.signature is None else manifest.signature.inputs
    kinds = {column.name: column.kind for column in table.columns}
    said = [
        f"{shorten(one.name)!r} holds {_HELD[kinds[one.name]]}, not {_HELD[one.kind]}"
        for one in inputs
        if kinds.get(one.name, one.kind) is not one.kind
    ]
    lacking = [f"{shorten(one.name)!r} is not there" for one in inputs if one.name not in kinds]
    return "".join(f"; {one}" for one in (*lacking, *said)[:_NAMED])


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
        if not before and not now:
            continue
        problem = "" if before == now else f"{now:,} rows are left out, the manifest says {before:,}"
        yield VerifiedFile(f"split: {reason} ({now:,} rows)", not problem, problem)
    shared = keys_shared(dealt)
    problem = f"{shared:,} row keys stand in more than one part" if shared else ""
    yield VerifiedFile("split: keys in more than one part (0)" if not shared else SHARED_KEYS, not shared, problem)


def _difference(record: PartRecord, found: PartSummary) -> str:
    if found.rows != record.rows:
        return f"has {found.rows:,} rows, the manifest says {record.rows:,}: rows were added, taken away or changed"
    if found.digest != record.digest:
        return "holds other rows than the manifest says: their digest differs"
    for name, before, now in (("first", record.first, found.first), ("last", record.last, found.last)):
        if before != now:
            return f"has {now} as its {name} time, the manifest says {before}"
    return ""
