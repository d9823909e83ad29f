"""Stage 4: cut the table into training, testing and sealed validation rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import ray

from raysweep.config import SweepConfig, TaskKind
from raysweep.errors import DataUnsuitable
from raysweep.records.table import Finding, LearningTask, Part, PartSummary, Profile, Severity, Split, Table
from raysweep.rows.hashing import Hashes, digest_of, hash_rows
from raysweep.stages.split.assign import (
    PARTS,
    RARE_CLASS_ROWS,
    Assignment,
    TimeAssignment,
    assign_folds,
    count_folds,
    cut_times,
    make_assignment,
)
from raysweep.stages.split.part_checks import PartRows, Thresholds, part_findings
from raysweep.training.learner import Floats
from raysweep.training.row_file import write_rows
from raysweep.training.targets import target_codes
from raysweep.training.trial_data import RowBlock, SearchRows

_KEY, _ROW, _PART, _TARGET, _WEIGHT, _TIME = "key", "row", "part", "target", "weight", "time"


@dataclass(frozen=True, slots=True)
class _Cut:
    """Rows of one part with what the split adds, ordered by key."""

    keys: Hashes
    block: RowBlock


def key_columns(table: Table, config: SweepConfig) -> tuple[str, ...]:
    """The columns whose values say which rows stay together: the group, `split.key`, else all but the target."""
    if config.data.group is not None:
        return (config.data.group,)
    return config.split.key or tuple(name for name in table.names if name != config.data.target)


def usable_rows(assignment: Assignment | TimeAssignment, profile: Profile, time: str | None) -> npt.NDArray[np.bool_]:
    """Rows of the profile's sample that checks may look at closely: those that will not be validation rows.

    Args:
        assignment: from `plan_assignment`.
        profile: its sample and the sample's keys.
        time: `data.time`.
    """
    if isinstance(assignment, Assignment):
        parts = assignment.part_of(profile.sample_keys)
    elif time is not None and time in profile.sample.column_names:
        parts = assignment.part_of_times(time_values(profile.sample.column(time)))
    else:  # prepared away: nothing of the sample is known not to be validation
        parts = np.full(profile.sample.num_rows, PARTS.index(Part.VALIDATION), np.int8)
    return np.asarray(parts != PARTS.index(Part.VALIDATION))


def plan_assignment(table: Table, config: SweepConfig, task: LearningTask) -> Assignment | TimeAssignment:
    """The rule that gives each row its part; looks up the times, or the rows of rare classes where there are any."""
    kind, time = split_kind(config, task.kind), config.data.time
    if kind == "time" and time is not None:
        return cut_times(_times(table, time, task), config.split.parts)
    is_stratified = task.kind.is_classification and kind != "random"
    rare = [code for code, count in enumerate(task.class_counts) if count < RARE_CLASS_ROWS] if is_stratified else []
    keys = _keys_of_classes(table, key_columns(table, config), task, rare) if rare else {}
    return make_assignment(config.split.parts, config.split.seed, keys)


def split_kind(config: SweepConfig, task: TaskKind) -> str:
    """The kind of split that is asked for, or that fits the task."""
    if config.split.kind is not None:
        return config.split.kind
    if config.data.group is not None:
        return "group"
    return "stratified" if task.is_classification else "random"


def cut_table(
    table: Table,
    config: SweepConfig,
    task: LearningTask,
    assignment: Assignment | TimeAssignment,
    work_folder: Path,
    thresholds: Thresholds,
) -> Split:
    """Cut every row with a target into its part, seal the validation rows, hand out the others.

    Args:
        table: the whole table.
        config: the sweep.
        task: what is to be learned; its target decides which rows count.
        assignment: from `plan_assignment`.
        work_folder: private to the driver (mode 0700); the validation rows are put there and nowhere else.
        thresholds: of the checks between the parts.

    Raises:
        DataUnsuitable: a part is empty.
    """
    key, kind = key_columns(table, config), split_kind(config, task.kind)
    time = config.data.time if kind == "time" else None
    dealt, left_out = _deal(table, config, task, assignment)
    parts = {part: _part_of(dealt, position, task) for position, part in enumerate(PARTS)}
    for part, cut in parts.items():
        if cut.block.rows == 0:
            raise _empty_part(part, kind)
    training, testing, validation = (parts[part] for part in PARTS)
    wanted = 1 if kind == "time" else config.split.folds
    folds = count_folds(wanted, training.block.rows + testing.block.rows)
    folds = min(folds, _count_distinct(training.keys, testing.keys))  # a fold needs a key
    search = SearchRows(training.block, testing.block, _folds(training, testing, task, folds, config.split.seed), folds)
    keys = sum(_count_distinct(cut.keys) for cut in parts.values())
    shared = keys - _count_distinct(*(cut.keys for cut in parts.values()))  # 0, or the split is broken
    repeat = keys < sum(cut.block.rows for cut in parts.values()) / 2
    compared = PartRows(kind, {part: cut.block for part, cut in parts.items()}, shared, time, repeat)
    return Split(
        kind=kind,
        seed=config.split.seed,
        key=key,
        parts={part: _summary(cut, task) for part, cut in parts.items()},
        folds=folds,
        keys_shared=shared,
        left_out_rows=left_out,
        search_data=ray.put(search),
        sealed=_seal(validation, work_folder),
        cuts=assignment.cuts if isinstance(assignment, TimeAssignment) else (),
        findings=part_findings(compared, task, thresholds),
    )


def time_values(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Instants in microseconds, or the numbers themselves; NaN where missing."""
    array = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _times(table: Table, time: str, task: LearningTask) -> npt.NDArray[np.float64]:
    """The times of all rows with a target."""

    def find(batch: pa.Table) -> pa.Table:
        known = ~np.isnan(target_codes(batch.column(task.target), task))
        return pa.table({_TIME: time_values(batch.column(time))[known]})

    return np.asarray(_collect(table, find).column(_TIME).to_numpy(), dtype=np.float64)


def _keys_of_classes(table: Table, key: Sequence[str], task: LearningTask, rare: Sequence[int]) -> Mapping[str, Hashes]:
    wanted = np.asarray(rare, dtype=np.float64)

    def find(batch: pa.Table) -> pa.Table:
        codes = target_codes(batch.column(task.target), task)
        rows = np.flatnonzero(np.isin(codes, wanted))
        return pa.table({_KEY: hash_rows(batch, key)[rows], _TARGET: codes[rows]})

    found = _collect(table, find)
    keys = found.column(_KEY).to_numpy().astype(np.uint64)
    codes = found.column(_TARGET).to_numpy()
    return {str(task.classes[code]): np.sort(keys[codes == code]) for code in rare}


def _deal(
    table: Table, config: SweepConfig, task: LearningTask, assignment: Assignment | TimeAssignment
) -> tuple[pa.Table, int]:
    names, key, time = [column.name for column in task.inputs], key_columns(table, config), config.data.time

    def deal(batch: pa.Table) -> pa.Table:
        keys = hash_rows(batch, key)
        columns: dict[str, Any] = {str(position): batch.column(name) for position, name in enumerate(names)}
        columns[_KEY] = keys
        columns[_ROW] = hash_rows(batch, table.names)
        if isinstance(assignment, Assignment):
            columns[_PART] = assignment.part_of(keys)
        else:
            columns[_PART] = assignment.part_of_times(time_values(batch.column(time)))
        columns[_TARGET] = target_codes(batch.column(task.target), task)
        if task.weight is not None:
            columns[_WEIGHT] = pc.cast(batch.column(task.weight), pa.float64())
        return pa.table(columns)

    dealt = _collect(table, deal)
    known = pc.invert(pc.is_nan(dealt.column(_TARGET)))
    kept = dealt.filter(known)
    return kept, dealt.num_rows - kept.num_rows


def _collect(table: Table, convert: Callable[[pa.Table], pa.Table]) -> pa.Table:
    filled = [block for block in table.scan(lambda blocks: map(convert, blocks)) if block.num_columns]
    if not filled:
        raise _empty_part(Part.TRAINING)
    return pa.concat_tables(filled)


def _part_of(dealt: pa.Table, position: int, task: LearningTask) -> _Cut:
    rows = dealt.filter(pc.equal(dealt.column(_PART), position))
    keys, row_hashes = (rows.column(name).to_numpy().astype(np.uint64) for name in (_KEY, _ROW))
    order = np.lexsort((row_hashes, keys))
    rows = rows.take(pa.array(order)).combine_chunks()
    features = pa.table({column.name: rows.column(str(position)) for position, column in enumerate(task.inputs)})
    weight = rows.column(_WEIGHT).to_numpy() if task.weight is not None else None
    return _Cut(keys[order], RowBlock(features, rows.column(_TARGET).to_numpy(), weight))


def _folds(training: _Cut, testing: _Cut, task: LearningTask, folds: int, seed: int) -> npt.NDArray[np.int64]:
    if folds == 1:
        return np.zeros(0, dtype=np.int64)
    keys = np.concatenate([training.keys, testing.keys])
    y: Floats = np.concatenate([training.block.y, testing.block.y])
    return assign_folds(keys, y if task.kind.is_classification else None, folds, seed)


def _summary(cut: _Cut, task: LearningTask) -> PartSummary:
    codes = cut.block.y.astype(int)
    counts = np.bincount(codes, minlength=len(task.classes)).tolist() if task.classes else []
    return PartSummary(cut.block.rows, digest_of(cut.keys), tuple(counts))


def _count_distinct(*keys: Hashes) -> int:
    """How many there are; by sorting, which takes a fraction of what `np.unique` does."""
    ordered = np.sort(np.concatenate(keys))
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(1, len(ordered))


def _seal(validation: _Cut, work_folder: Path) -> str:
    """Put the validation rows into a folder of their own (mode 0700); returns the file's path."""
    path = Path(tempfile.mkdtemp(prefix="sealed-", dir=work_folder)) / "validation.parquet"
    write_rows(path, validation.block)
    return str(path)


def _empty_part(part: Part, kind: str = "") -> DataUnsuitable:
    units = {"group": "groups", "time": "different times"}.get(kind, "rows")
    message = f"the {part} part is empty: the table has too few {units} with a target"
    advice = f"Give more {units}, a larger share in split.parts, or split otherwise"
    finding = Finding("rows.too_few", Severity.ERROR, message, advice)
    return DataUnsuitable(f"{message}. {advice}", findings=[finding])
