"""Rows for golden.parquet where rows of the table may not be published: put together from what the model holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import arrow_type_of
from raysweep.training.learner import Floats
from raysweep.training.pipeline import Pipeline

_SEED: Final = 0
_MISSING_SHARE: Final = 0.1
_MICROS_A_DAY: Final = 86_400_000_000


def made_up_rows(pipeline: Pipeline, inputs: Sequence[Column], points: Mapping[str, Floats], count: int) -> pa.Table:
    """So many rows, the same each time.

    Texts are the categories of the model; numbers lie about its split points, or about the means and scales by which it
    standardizes; dates about its split points, or within the years after 2000; one value in ten is missing.

    Args:
        pipeline: the model.
        inputs: its columns.
        points: as `split_points` gives them.
        count: how many rows.
    """
    rng = np.random.default_rng(_SEED)
    columns = {}
    for one in inputs:
        values = _values(one, pipeline, points, count, rng)
        missing = rng.random(count) < _MISSING_SHARE
        kind = pa.float64() if one.kind is ColumnKind.NUMBER else arrow_type_of(one)
        columns[one.name] = pa.array(
            [None if gone else value for value, gone in zip(values, missing, strict=True)], kind
        )
    return pa.table(columns)


def _values(
    column: Column, pipeline: Pipeline, points: Mapping[str, Floats], count: int, rng: np.random.Generator
) -> list[Any]:
    preprocessor = pipeline.preprocessor
    if column.kind is ColumnKind.BOOLEAN:
        return [bool(one) for one in rng.random(count) < 1 / 2]
    if column.kind is ColumnKind.STRING:
        known = (
            json.loads(preprocessor.categories[preprocessor.texts.index(column.name)])
            if (column.name in preprocessor.texts)
            else []
        )
        return [str(one) for one in rng.choice(known or ["made up"], count)]
    centres, width = _about(column.name, pipeline, points)
    numbers = rng.choice(centres, count) + width * rng.normal(size=count)
    if column.kind is ColumnKind.DATETIME:
        start = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
        return [start + timedelta(days=float(one)) for one in np.clip(numbers, -100_000, 100_000)]
    return [float(one) for one in numbers]


def _about(name: str, pipeline: Pipeline, points: Mapping[str, Floats]) -> tuple[Floats, float]:
    """Where values may lie, and how far around; dates in days."""
    preprocessor = pipeline.preprocessor
    is_date = name in preprocessor.dates
    if name in points:
        found = points[name] / _MICROS_A_DAY if is_date else points[name]
        return found, float(np.ptp(found)) or max(1.0, abs(float(found[0])) / 10)
    if preprocessor.scaler is not None and name in preprocessor.numbers:
        scaler, place = preprocessor.scaler.steps[-1][1], preprocessor.numbers.index(name)
        return np.array([scaler.mean_[place]]), float(scaler.scale_[place])
    return (np.array([10_957.0]), 3_650.0) if is_date else (np.zeros(1), 1.0)
