"""Checks between the parts, made while the rows are being split: only findings leave this place, never a row.

Shares are compared by the population stability index; parts that should differ (by time or group) also by a model that
tells their rows apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.config import TaskKind
from raysweep.records.metric import metric_for
from raysweep.records.table import Column, ColumnKind, Finding, LearningTask, Part, Severity
from raysweep.stages.split.stability import binned, stability_index
from raysweep.training.probes import out_of_fold, probe_score, stretches, trees
from raysweep.training.trial_data import RowBlock

Thresholds = Mapping[str, Mapping[str, float]]

_LATER: Final = (Part.TESTING, Part.VALIDATION)
_MODEL_ROWS: Final = 5_000
_SHOWN: Final = 5
_OF_ALL_ROWS: Final = frozenset({"split.overlap", "split.left_out"})
_MIN_ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class PartRows:
    """The rows of all parts, the validation part among them.

    Attributes:
        kind: of the split.
        keys_shared: row keys that stand in more than one part.
        time: the column that they are split by, if by time: there they differ on purpose.
        left_out: rows with a target that are in no part.
        keys_repeat: most rows share their key with another one, so that few keys are dealt out, and parts may differ.
    """

    kind: str
    blocks: Mapping[Part, RowBlock]
    keys_shared: int
    time: str | None = None
    keys_repeat: bool = False
    left_out: int = 0
    every: int = 0
    are_sampled: bool = False

    @property
    def is_random(self) -> bool:
        """Whether the parts cannot differ but by chance."""
        return self.kind in {"random", "stratified"} and not self.keys_repeat


def part_findings(rows: PartRows, task: LearningTask, thresholds: Thresholds) -> tuple[Finding, ...]:
    """What the parts say of one another."""
    columns = list(_compared(rows, task))
    found = [*_overlap(rows), *_left_out(rows, thresholds["split.left_out"]["warn"]), *_new_labels(rows, task)]
    for part in _LATER:
        for column in columns:
            found += _drift(rows, part, column, thresholds["split.drift"]["psi"])
            if column.kind is ColumnKind.STRING:
                found += _new_categories(rows, part, column.name, thresholds["split.new_category"]["warn"])
    if not rows.is_random:
        found += _told_apart(rows, task, thresholds["split.drift"]["auc"])
    return tuple(_with_sample(one, rows) for one in found)


def _with_sample(finding: Finding, rows: PartRows) -> Finding:
    """With what it was found on, where that is not all rows."""
    if not rows.are_sampled or finding.check in _OF_ALL_ROWS:
        return finding
    counts = ", ".join(f"{block.rows:,} {part.value}" for part, block in rows.blocks.items())
    return replace(finding, message=f"{finding.message}; by a sample of {counts} rows")


def _overlap(rows: PartRows) -> list[Finding]:
    if not rows.keys_shared:
        return []
    return [
        Finding(
            "split.overlap",
            Severity.ERROR,
            f"{rows.keys_shared:,} row keys stand in more than one part: scores would be those of rows already seen",
            "give such rows one part in the column that says it, or leave all but one of them out"
            if rows.kind == "column"
            else "split by time needs rows whose key holds the time; leave split.key out, or split by group",
            count=rows.keys_shared,
        )
    ]


def _left_out(rows: PartRows, limit: float) -> list[Finding]:
    every = rows.every or rows.left_out + sum(block.rows for block in rows.blocks.values())
    share = rows.left_out / every
    if share <= limit:
        return []
    return [
        Finding(
            "split.left_out",
            Severity.WARNING,
            f"{rows.left_out:,} of {every:,} rows ({share:.0%}) are in no part: they come in an embargo, or after the "
            "end of their group's part",
            "groups that go on for long are better split by split.kind: group, or by time alone; or make split.embargo "
            "shorter",
            count=rows.left_out,
            share=share,
            threshold=limit,
        )
    ]


def _new_labels(rows: PartRows, task: LearningTask) -> list[Finding]:
    if not task.kind.is_classification:
        return []
    known = np.unique(rows.blocks[Part.TRAINING].y)
    findings = []
    for part in _LATER:
        there = np.unique(rows.blocks[part].y)
        if len(there) == 1:
            findings.append(_one_class(part, task, int(there[0]), rows.blocks[part].rows))
        new = np.setdiff1d(there, known).astype(int)
        if not len(new):
            continue
        shown = tuple(repr(task.classes[code]) for code in new[:_SHOWN])
        findings.append(
            Finding(
                "split.new_label",
                Severity.ERROR,
                f"{part} holds {task.target} = {', '.join(shown)}, which no training row has",
                "give more rows of it, merge it with another class, or split otherwise",
                column=task.target,
                count=int(np.isin(rows.blocks[part].y, new).sum()),
                examples=shown,
            )
        )
    return findings


def _one_class(part: Part, task: LearningTask, code: int, rows: int) -> Finding:
    return Finding(
        "split.new_label",
        Severity.ERROR,
        f"all {rows:,} rows of {part} have {task.target} = {task.classes[code]!r}: nothing can be compared there",
        "give more rows of the other classes, or split otherwise: another split.seed, group or time",
        column=task.target,
        count=rows,
    )


def _drift(rows: PartRows, part: Part, column: Column, limit: float) -> list[Finding]:
    before, after = (rows.blocks[one].features.column(column.name) for one in (Part.TRAINING, part))
    index = stability_index(*binned(before, after))
    if index <= limit:
        return []
    return [
        Finding(
            "split.drift",
            Severity.ERROR if rows.is_random else Severity.WARNING,
            f"{column.name} is distributed otherwise in {part} than in training (PSI {index:.2f}, limit {limit:g})",
            "do a few rows that repeat make up most of the table? then name its rows by split.key"
            if rows.is_random or rows.keys_repeat
            else f"a model of {column.name} may not hold for {part} rows; look at it, or leave it out",
            column=column.name,
            measured=index,
            threshold=limit,
        )
    ]


def _new_categories(rows: PartRows, part: Part, name: str, limit: float) -> list[Finding]:
    values = rows.blocks[part].features.column(name)
    known = pc.unique(rows.blocks[Part.TRAINING].features.column(name))
    new = pc.invert(pc.or_(pc.is_in(values, value_set=known), pc.is_null(values)))
    count = int(pc.sum(new).as_py() or 0)
    if count <= limit * len(values):
        return []
    return [
        Finding(
            "split.new_category",
            Severity.WARNING,
            f"{name} has values in {count:,} of {len(values):,} rows of {part} that no training row has",
            f"a model cannot know them: group what is rare, or leave {name} out",
            column=name,
            count=count,
            share=count / len(values),
            threshold=limit,
        )
    ]


def _told_apart(rows: PartRows, task: LearningTask, limit: float) -> list[Finding]:
    """A model that learns which of two parts a row is from, scored out of fold."""
    later = rows.blocks[Part.VALIDATION]
    count = min(_MODEL_ROWS, rows.blocks[Part.TRAINING].rows, later.rows)
    if count < _MIN_ROWS:
        return []
    both = [block.take(np.sort(_spread(block.rows, count))) for block in (rows.blocks[Part.TRAINING], later)]
    mixed = np.random.default_rng(0).permutation(2 * count)
    features = pa.concat_tables([one.features for one in both]).take(pa.array(mixed))
    y = np.repeat([0.0, 1.0], count)[mixed]
    metric = metric_for(None, TaskKind.BINARY)
    which = replace(
        task, kind=TaskKind.BINARY, classes=(0, 1), metric=metric, features=tuple(_compared(rows, task)), weight=None
    )
    found = probe_score(which, y, out_of_fold(which, RowBlock(features, y, None), stretches(2 * count), trees()))
    if found.low <= limit:
        return []
    return [
        Finding(
            "split.drift",
            Severity.WARNING,
            f"a small model tells validation rows from training rows (ROC AUC {found.value:.3f}, limit {limit:g})",
            "rows in production may differ as much; expect the score to fall from testing to validation",
            measured=found.value,
            threshold=limit,
        )
    ]


def _compared(rows: PartRows, task: LearningTask) -> Iterator[Column]:
    return (one for one in task.inputs if one.kind is not ColumnKind.NESTED and one.name != rows.time)


def _spread(rows: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).choice(rows, count, replace=False)
