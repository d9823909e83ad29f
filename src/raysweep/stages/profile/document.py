"""The profile as `data/profile.json`."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Final

from raysweep.documents import shorten
from raysweep.records.table import ColumnProfile, Label, LabelConflicts, Profile, SourceFile, Table
from raysweep.rows.canonical import type_name

SCHEMA_VERSION: Final = 1
_SHOWN_VALUES: Final = 20


def profile_document(profile: Profile, table: Table) -> dict[str, Any]:
    """The keys and values of profile.json: plain JSON values without NaN, texts shortened.

    What is said `by_class` is in the order of `classes`.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "source": {
            "address": table.address,
            "format": table.format,
            "files": [_file(file) for file in table.files],
        },
        "rows": profile.rows,
        "duplicate_rows": profile.duplicate_rows,
        "row_digest": profile.row_digest,
        "target": profile.target,
        "classes": _classes(profile),
        "label_conflicts": _conflicts(profile.conflicts),
        "sample_rows": profile.sample.num_rows,
        "columns": [_column(column) for column in profile.columns],
    }


def _file(file: SourceFile) -> dict[str, Any]:
    return {"address": file.address, "size_bytes": file.size_bytes, "version": file.version}


def _classes(profile: Profile) -> list[dict[str, Any]] | None:
    if profile.classes is None:
        return None
    return [{"value": _plain(value), "count": count} for value, count in profile.classes]


def _conflicts(found: LabelConflicts | None) -> dict[str, int] | None:
    if found is None:
        return None
    return {"combinations": found.combinations, "rows": found.rows, "minority_rows": found.minority_rows}


def _column(column: ColumnProfile) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind.value,
        "type": type_name(column.kind, column.type),
        "count": column.count,
        "nulls": column.nulls,
        "empty_like": column.empty_like,
        "infinite": column.infinite,
        "zeros": column.zeros,
        "distinct": column.distinct,
        "distinct_exact": column.distinct_exact,
        "most_frequent": _most_frequent(column),
        "minimum": column.minimum,
        "maximum": column.maximum,
        "mean": column.mean,
        "std": column.std,
        "quantiles": None if column.quantiles is None else dict(column.quantiles),
        "integral": column.integral,
        "beyond_float32": column.beyond_float32,
        "nulls_with_target_missing": column.nulls_with_target_missing,
        "by_class": [asdict(one) for one in column.by_class] or None,
    }


def _most_frequent(column: ColumnProfile) -> list[dict[str, Any]] | None:
    if column.values is None:
        return None
    shown = [{"value": _plain(value), "count": count} for value, count in column.values[:_SHOWN_VALUES]]
    if column.values_by_class is None:
        return shown
    return [
        {**one, "by_class": list(counts)}
        for one, counts in zip(shown, column.values_by_class[:_SHOWN_VALUES], strict=True)
    ]


def _plain(value: Label) -> Label:
    if isinstance(value, str):
        return shorten(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
