"""Stage 4: cut the table into training, testing and sealed validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import ray

from raysweep.config import SweepConfig
from raysweep.records.split_rule import WITHOUT_TARGET, SplitRule
from raysweep.records.table import LearningTask, Part, Split, Table
from raysweep.stages.split.assign import PARTS, assign_folds, count_folds
from raysweep.stages.split.dealing import Cut, Dealt, Wanted, deal
from raysweep.stages.split.part_checks import PartRows, Thresholds, part_findings
from raysweep.stages.split.planning import check_cuts, plan_assignment, split_rule
from raysweep.stages.split.summaries import count_distinct, cuts_of, keys_shared, moment_of, summaries_of
from raysweep.training.canaries import pick_canaries, smallest
from raysweep.training.learner import Floats
from raysweep.training.sealed_rows import Seal, SealedRows, close_seal
from raysweep.training.trial_data import SearchRows


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
        RequestInvalid: the table has no such further column, or cuts of the sweep file miss its times.
    """
    rule = split_rule(table, config, task.kind)
    wanted = Wanted.of(table, task, rule, further)
    assignment = plan_assignment(table, rule, task)
    dealt = deal(wanted, assignment)
    check_cuts(dealt, rule, table)
    summaries = summaries_of(dealt, rule, table, task)
    search = _search_rows(dealt.parts, config, task, _wanted_folds(config, rule))
    cuts, shared = cuts_of(assignment), keys_shared(dealt)
    split = Split(
        kind=rule.kind,
        seed=rule.seed,
        key=rule.key,
        parts=summaries,
        folds=search.folds,
        keys_shared=shared,
        left_out_rows=dealt.left_out[WITHOUT_TARGET],
        search_data=ray.put(search),
        sketch=smallest(dealt.parts[Part.VALIDATION].rows),
        cuts=cuts,
        findings=part_findings(_compared(dealt, rule, shared), task, thresholds),
        rule=replace(rule, cuts=tuple(moment_of(cut, table, rule) for cut in cuts)),
        left_out=dealt.left_out,
    )
    validation = dealt.parts[Part.VALIDATION]
    sealed = SealedRows(validation.block, validation.further)
    return split, close_seal(sealed, work_folder, summaries[Part.VALIDATION].digest)


def _wanted_folds(config: SweepConfig, rule: SplitRule) -> int | str:
    """As asked for; one, where later rows would train, or somebody has set testing rows apart."""
    if rule.is_by_time or (rule.kind == "column" and config.split.folds == "auto"):
        return 1
    return config.split.folds


def _compared(dealt: Dealt, rule: SplitRule, shared: int) -> PartRows:
    keys = sum(count_distinct(cut.keys) for cut in dealt.parts.values())
    repeat = keys < sum(cut.block.rows for cut in dealt.parts.values()) / 2
    left_out = sum(rows for why, rows in dealt.left_out.items() if why != WITHOUT_TARGET)
    blocks = {part: cut.block for part, cut in dealt.parts.items()}
    return PartRows(rule.kind, blocks, shared, rule.time if rule.is_by_time else None, repeat, left_out)


def _search_rows(parts: Mapping[Part, Cut], config: SweepConfig, task: LearningTask, wanted: int | str) -> SearchRows:
    """What the search gets: training and testing rows, and by what it would know a validation row."""
    training, testing, validation = (parts[part] for part in PARTS)
    folds = count_folds(wanted, training.block.rows + testing.block.rows)
    folds = min(folds, count_distinct(training.keys, testing.keys))  # a fold needs a key
    fold_of_row = _folds(training, testing, task, folds, config.split.seed)
    canaries = pick_canaries(validation.marks, [training.marks, testing.marks])
    return SearchRows(training.block, testing.block, fold_of_row, folds, canaries)


def _folds(training: Cut, testing: Cut, task: LearningTask, folds: int, seed: int) -> npt.NDArray[np.int64]:
    if folds == 1:
        return np.zeros(0, dtype=np.int64)
    keys = np.concatenate([training.keys, testing.keys])
    y: Floats = np.concatenate([training.block.y, testing.block.y])
    return assign_folds(keys, y if task.kind.is_classification else None, folds, seed)
