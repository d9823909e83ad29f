"""How the rows were cut, as the manifest and data/split.json say it: enough to deal them out again."""

from __future__ import annotations

from typing import Any

from raysweep.records.manifest import PartRecord, SplitRecord
from raysweep.records.table import LearningTask, Split


def split_record(split: Split, task: LearningTask | None) -> SplitRecord:
    """The manifest's record."""
    rule = split.rule
    parts = {
        part.value: PartRecord(rows=one.rows, digest=one.digest, first=one.first, last=one.last, groups=one.groups)
        for part, one in split.parts.items()
    }
    return SplitRecord(
        kind=split.kind,
        seed=split.seed,
        key=split.key,
        parts=parts,
        folds=split.folds,
        keys_shared=split.keys_shared,
        shares=None if rule is None else rule.parts,
        group=None if rule is None else rule.group,
        time=None if rule is None else rule.time,
        column=None if rule is None else rule.column,
        embargo=None if rule is None else rule.embargo,
        cuts=() if rule is None else rule.cuts,
        left_out=split.left_out,
        target=None if task is None else task.target,
        task=None if task is None else task.kind,
        classes=() if task is None else task.classes,
        sample_rows=None if split.sample is None else split.sample.wanted,
        sampled={} if split.sample is None else {part.value: rows for part, rows in split.sample.rows.items()},
    )


def split_document(split: Split, task: LearningTask | None) -> dict[str, Any]:
    """data/split.json: what the manifest says of the split, the rows of each class, and the cuts as plain numbers."""
    document = split_record(split, task).model_dump(mode="json")
    for part, summary in split.parts.items():
        document["parts"][part.value]["class_counts"] = list(summary.class_counts)
    return {"schema_version": 2, **document, "cuts_raw": list(split.cuts)}
