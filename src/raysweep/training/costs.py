"""What using a fitted pipeline costs: seconds to predict a row, and the size of its files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Final

import pyarrow as pa

from raysweep.training.pipeline import Pipeline

PREDICTIONS: Final = 20


class CostUnknown(RuntimeError):
    """The pipeline cannot be written, so that nobody knows how large its files would be."""


def measure_costs(pipeline: Pipeline, features: pa.Table, names: Iterable[str]) -> dict[str, float]:
    """Measure what is asked for of `prediction_seconds` and `size_bytes`.

    Args:
        pipeline: fitted.
        features: rows to predict, the task's inputs before any preparation; at least one.
        names: of metrics and costs; the metrics are left out.

    Returns:
        By name. `prediction_seconds` is the median over 20 rows, each predicted alone, in wall seconds: preparation,
        preprocessing and prediction, with the threads of a trial. `size_bytes` is what `Pipeline.save` writes.

    Raises:
        CostUnknown: the pipeline cannot be written.
    """
    asked = set(names)
    costs: dict[str, float] = {}
    if "prediction_seconds" in asked:
        costs["prediction_seconds"] = _prediction_seconds(pipeline, features)
    if "size_bytes" in asked:
        costs["size_bytes"] = _size_bytes(pipeline)
    return costs


def _prediction_seconds(pipeline: Pipeline, features: pa.Table) -> float:
    rows = [features.slice(number % features.num_rows, 1) for number in range(PREDICTIONS + 1)]
    pipeline.predict(rows.pop())  # the first one pays for what is loaded and allocated once
    return median(_seconds(pipeline, row) for row in rows)


def _seconds(pipeline: Pipeline, row: pa.Table) -> float:
    started = time.perf_counter()
    pipeline.predict(row)
    return time.perf_counter() - started


def _size_bytes(pipeline: Pipeline) -> float:
    with tempfile.TemporaryDirectory(prefix="raysweep-size-") as folder:
        try:
            files = pipeline.save(Path(folder))
        except Exception as error:
            raise CostUnknown(
                f"size_bytes is asked for, and the model cannot be written: {type(error).__name__}: {error}"
            ) from error
        return float(sum((Path(folder) / name).stat().st_size for name in files))
