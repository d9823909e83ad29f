"""Stage 4: cut the table into training, testing and sealed validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import ray

from raysweep.config import SweepConfig
from raysweep.records.split_rule import WITHOUT_TARGET, SplitRule
from raysweep.records.table import LearningTask, Part, PartSummary, Split, Table
from raysweep.stages.split.assign import PARTS, assign_folds, count_folds
from raysweep.stages.split.dealing import AnyAssignment, Cut, Dealt, Wanted, deal, deal_bare
from raysweep.stages.split.part_checks import PartRows, Thresholds, part_findings
from raysweep.stages.split.planning import check_cuts, plan_assignment, split_rule
from raysweep.stages.split.ray_stream import Streamed, StreamRequest, cut_in_stream
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
        config: the sweep; where `search.rows` is a number, the search gets a sample of about so many rows, and the
            table is read in a stream.
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
    if isinstance(config.search.rows, int):
        bare = deal_bare(wanted, assignment)
        if config.search.rows < sum(bare.parts[part].block.rows for part in (Part.TRAINING, Part.TESTING)):
            check_cuts(bare, rule, table)
            summaries = summaries_of(bare, rule, table, task)
            digest = summaries[Part.VALIDATION].digest
            asked = StreamRequest(wanted, bare, config.search.rows, work_folder, digest)
            streamed = cut_in_stream(asked, assignment)
            return _split(_Found(wanted, bare, assignment, summaries, streamed), config, thresholds), streamed.seal
    dealt = deal(wanted, assignment)
    check_cuts(dealt, rule, table)
    summaries = summaries_of(dealt, rule, table, task)
    validation = dealt.parts[Part.VALIDATION]
    sealed = SealedRows(validation.block, validation.further)
    seal = close_seal(sealed, work_folder, summaries[Part.VALIDATION].digest)
    return _split(_Found(wanted, dealt, assignment, summaries), config, thresholds), seal


@dataclass(frozen=True, slots=True)
class _Found:
    """What a split is made of.

    Attributes:
        dealt: all rows; without their columns where the table is `streamed`.
    """

    wanted: Wanted
    dealt: Dealt
    assignment: AnyAssignment
    summaries: Mapping[Part, PartSummary]
    streamed: Streamed | None = None

    @property
    def parts(self) -> Mapping[Part, Cut]:
        """The rows of each part that are held."""
        return self.dealt.parts if self.streamed is None else self.streamed.sampled


def _split(found: _Found, config: SweepConfig, thresholds: Thresholds) -> Split:
    rule, task, streamed = found.wanted.rule, found.wanted.task, found.streamed
    search = _search_rows(found.parts, config, task, _wanted_folds(config, rule))
    sketch = smallest(found.dealt.parts[Part.VALIDATION].rows) if streamed is None else streamed.sketch
    if streamed is not None:
        search = replace(search, canaries=streamed.canaries, is_sample=True)
    cuts, shared = cuts_of(found.assignment), keys_shared(found.dealt)
    return Split(
        kind=rule.kind,
        seed=rule.seed,
        key=rule.key,
        parts=found.summaries,
        folds=search.folds,
        keys_shared=shared,
        left_out_rows=found.dealt.left_out[WITHOUT_TARGET],
        search_data=ray.put(search),
        sketch=sketch,
        cuts=cuts,
        findings=part_findings(_compared(found, shared), task, thresholds),
        rule=replace(rule, cuts=tuple(moment_of(cut, found.wanted.table, rule) for cut in cuts)),
        left_out=found.dealt.left_out,
        sample=None if streamed is None else streamed.sample,
    )


def _wanted_folds(config: SweepConfig, rule: SplitRule) -> int | str:
    """As asked for; one, where later rows would train, or somebody has set testing rows apart."""
    if rule.is_by_time or (rule.kind == "column" and config.split.folds == "auto"):
        return 1
    return config.split.folds


def _compared(found: _Found, shared: int) -> PartRows:
    dealt, rule = found.dealt, found.wanted.rule
    keys = sum(count_distinct(cut.keys) for cut in dealt.parts.values())
    every = sum(cut.block.rows for cut in dealt.parts.values())
    left_out = sum(rows for why, rows in dealt.left_out.items() if why != WITHOUT_TARGET)
    return PartRows(
        kind=rule.kind,
        blocks={part: cut.block for part, cut in found.parts.items()},
        keys_shared=shared,
        time=rule.time if rule.is_by_time else None,
        keys_repeat=keys < every / 2,
        left_out=left_out,
        every=every + left_out,
        are_sampled=found.streamed is not None,
    )


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
