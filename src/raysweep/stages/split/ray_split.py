"""Stage 4: cut the table into training, testing and sealed validation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray

from raysweep.config import SweepConfig, TaskKind
from raysweep.records.table import LearningTask, Part, PartSummary, Profile, Split, Table
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
from raysweep.stages.split.dealing import Cut, Wanted, collect, deal, empty_part, key_columns, time_values
from raysweep.stages.split.part_checks import PartRows, Thresholds, part_findings
from raysweep.training.canaries import pick_canaries, smallest
from raysweep.training.learner import Floats
from raysweep.training.sealed_rows import Seal, SealedRows, close_seal
from raysweep.training.targets import target_codes
from raysweep.training.trial_data import SearchRows

_KEY, _TARGET, _TIME = "key", "target", "time"


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
    work_folder: Path,
    thresholds: Thresholds,
    *,
    further: tuple[str, ...] = (),
) -> tuple[Split, Seal]:
    """Cut every row with a target into its part, seal the validation rows, hand out the others.

    Args:
        table: the whole table.
        config: the sweep.
        task: what is to be learned; its target decides which rows count.
        work_folder: private to the driver (mode 0700); the validation rows are put there and nowhere else.
        thresholds: of the checks between the parts.
        further: columns beside the inputs that the final check wants of the validation rows.

    Returns:
        The split, which knows nothing of where the validation rows are, and their seal.

    Raises:
        DataUnsuitable: a part is empty.
        RequestInvalid: the table has no such further column.
    """
    kind, wanted = split_kind(config, task.kind), Wanted.of(table, config, task, further)
    time = config.data.time if kind == "time" else None
    assignment = plan_assignment(table, config, task)
    parts, left_out = deal(wanted, assignment)
    for part, cut in parts.items():
        if cut.block.rows == 0:
            raise empty_part(part, kind)
    search = _search_rows(parts, config, task, 1 if kind == "time" else config.split.folds)
    keys = sum(_count_distinct(cut.keys) for cut in parts.values())
    shared = keys - _count_distinct(*(cut.keys for cut in parts.values()))  # 0, or the split is broken
    repeat = keys < sum(cut.block.rows for cut in parts.values()) / 2
    compared = PartRows(kind, {part: cut.block for part, cut in parts.items()}, shared, time, repeat)
    summaries, validation = {part: _summary(cut, task) for part, cut in parts.items()}, parts[Part.VALIDATION]
    split = Split(
        kind=kind,
        seed=config.split.seed,
        key=wanted.key,
        parts=summaries,
        folds=search.folds,
        keys_shared=shared,
        left_out_rows=left_out,
        search_data=ray.put(search),
        sketch=smallest(validation.rows),
        cuts=assignment.cuts if isinstance(assignment, TimeAssignment) else (),
        findings=part_findings(compared, task, thresholds),
    )
    sealed = SealedRows(validation.block, validation.further)
    return split, close_seal(sealed, work_folder, summaries[Part.VALIDATION].digest)


def _times(table: Table, time: str, task: LearningTask) -> npt.NDArray[np.float64]:
    """The times of all rows with a target."""

    def find(batch: pa.Table) -> pa.Table:
        known = ~np.isnan(target_codes(batch.column(task.target), task))
        return pa.table({_TIME: time_values(batch.column(time))[known]})

    return np.asarray(collect(table, find).column(_TIME).to_numpy(), dtype=np.float64)


def _keys_of_classes(table: Table, key: Sequence[str], task: LearningTask, rare: Sequence[int]) -> Mapping[str, Hashes]:
    wanted = np.asarray(rare, dtype=np.float64)

    def find(batch: pa.Table) -> pa.Table:
        codes = target_codes(batch.column(task.target), task)
        rows = np.flatnonzero(np.isin(codes, wanted))
        return pa.table({_KEY: hash_rows(batch, key)[rows], _TARGET: codes[rows]})

    found = collect(table, find)
    keys = found.column(_KEY).to_numpy().astype(np.uint64)
    codes = found.column(_TARGET).to_numpy()
    return {str(task.classes[code]): np.sort(keys[codes == code]) for code in rare}


def _search_rows(parts: Mapping[Part, Cut], config: SweepConfig, task: LearningTask, wanted: int | str) -> SearchRows:
    """What the search gets: training and testing rows, and by what it would know a validation row."""
    training, testing, validation = (parts[part] for part in PARTS)
    folds = count_folds(wanted, training.block.rows + testing.block.rows)
    folds = min(folds, _count_distinct(training.keys, testing.keys))  # a fold needs a key
    fold_of_row = _folds(training, testing, task, folds, config.split.seed)
    canaries = pick_canaries(validation.marks, [training.marks, testing.marks])
    return SearchRows(training.block, testing.block, fold_of_row, folds, canaries)


def _folds(training: Cut, testing: Cut, task: LearningTask, folds: int, seed: int) -> npt.NDArray[np.int64]:
    if folds == 1:
        return np.zeros(0, dtype=np.int64)
    keys = np.concatenate([training.keys, testing.keys])
    y: Floats = np.concatenate([training.block.y, testing.block.y])
    return assign_folds(keys, y if task.kind.is_classification else None, folds, seed)


def _summary(cut: Cut, task: LearningTask) -> PartSummary:
    codes = cut.block.y.astype(int)
    counts = np.bincount(codes, minlength=len(task.classes)).tolist() if task.classes else []
    return PartSummary(cut.block.rows, digest_of(cut.keys), tuple(counts))


def _count_distinct(*keys: Hashes) -> int:
    """How many there are; by sorting, which takes a fraction of what `np.unique` does."""
    ordered = np.sort(np.concatenate(keys))
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(1, len(ordered))
