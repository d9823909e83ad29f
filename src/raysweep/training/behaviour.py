"""How a fitted model takes what production brings: gaps, news, extremes; and what using it costs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.errors import DataUnsuitable
from raysweep.records.model_facts import Behaviour, Probe
from raysweep.records.table import LearningTask
from raysweep.training.costs import CostUnknown, measure_costs
from raysweep.training.learner import Floats
from raysweep.training.pipeline import Pipeline

SLOW_ROW_SECONDS: Final = 0.1
SLOW_BATCH_ROW_SECONDS: Final = 1e-3
LARGE_BYTES: Final = 500 * 1024**2
MOST_ROWS: Final = 10_000
_FEWEST_IN_BATCH: Final = 1_000  # of fewer, what a call costs in itself is the most of it
_REORDERED_ROWS: Final = 1_000
_UNSEEN: Final = "a value that was never seen before"
_EXTREMES: Final = (1e12, -1e12, float(np.finfo(np.float32).max), 0.0)
_INT64_MAX: Final = 2**63 - 1
_SHOWN: Final = 300
_ROUNDING: Final = 1e-6
_SAME: Final = 1e-9  # sums over trees differ in their last digits with the order in which threads end


def probe_behaviour(pipeline: Pipeline, features: pa.Table, task: LearningTask) -> Behaviour:
    """Try the model with what may come, and measure what it costs.

    Args:
        pipeline: fitted.
        features: real rows, the task's inputs before any preparation; at least one.
        task: what the model predicts.

    Returns:
        A probe each: failed where predicting breaks off or gives what is no prediction. That the preparation refuses
        a value in plain words (`DataUnsuitable`) is no failure.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model that warns still predicts
        asker = _Asker(pipeline, task)
        probes = [asker.try_rows(name, rows) for name, rows in _odd_rows(features)]
        real = features.slice(0, MOST_ROWS)
        probes += [_real_rows(asker, real), _reordered(asker, features.slice(0, _REORDERED_ROWS))]
        row_seconds, batch_row_seconds = _row_seconds(pipeline, features), _batch_row_seconds(pipeline, real)
        size, unwritten = _size(pipeline, features)
    costs = _cost_probes(row_seconds, batch_row_seconds, size, unwritten)
    return Behaviour((*probes, *costs), row_seconds, batch_row_seconds, size)


class _Asker:
    """Predictions of one model with a look at whether they are any."""

    def __init__(self, pipeline: Pipeline, task: LearningTask) -> None:
        self._pipeline = pipeline
        self._classes = len(task.classes) if task.kind.is_classification else 0

    def predict(self, rows: pa.Table) -> Floats:
        """Predictions, or ValueError saying what is wrong with them."""
        predicted = np.asarray(self._pipeline.predict(rows))
        wanted = (rows.num_rows, self._classes) if self._classes else (rows.num_rows,)
        if predicted.shape != wanted:
            raise ValueError(f"the predictions have the shape {predicted.shape}, not {wanted}")
        bad = ~np.isfinite(predicted)
        if bad.any():
            raise ValueError(f"{int(bad.sum()):,} of {predicted.size:,} predicted values are NaN or infinite")
        if self._classes and ((predicted < -_ROUNDING) | (predicted > 1 + _ROUNDING)).any():
            raise ValueError("some probabilities are below 0 or above 1")
        return predicted

    def try_rows(self, name: str, rows: pa.Table, judge: Callable[[Floats], str] | None = None) -> Probe:
        """A probe of these rows.

        Args:
            name: of the probe.
            rows: to predict.
            judge: says what is wrong with the predictions, or nothing.
        """
        try:
            wrong = "" if judge is None else judge(self.predict(rows))
            if judge is None:
                self.predict(rows)
        except DataUnsuitable as refused:
            return Probe(name, f"refused: {shorten(str(refused), _SHOWN)}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the model breaks there
            return Probe(name, f"{type(error).__name__}: {shorten(str(error), _SHOWN)}", failed=True)
        return Probe(name, wrong or "predicted", failed=bool(wrong))


def _odd_rows(features: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    row = features.slice(0, 1)
    yield "everything missing", pa.table({one.name: pa.nulls(1, one.type) for one in features.schema})
    texts = [one.name for one in features.schema if pa.types.is_large_string(one.type) or pa.types.is_string(one.type)]
    if texts:
        yield "unseen category", pa.concat_tables([_with_value(row, [name], _UNSEEN) for name in texts])
    numbers = [one.name for one in features.schema if pa.types.is_integer(one.type) or pa.types.is_floating(one.type)]
    if numbers:
        yield "extreme values", pa.concat_tables([_with_value(row, numbers, value) for value in _EXTREMES])
    yield "no rows", features.slice(0, 0)


def _with_value(row: pa.Table, names: list[str], value: str | float) -> pa.Table:
    for name in names:
        column_type = row.schema.field(name).type
        fitting = min(int(value), _INT64_MAX) if pa.types.is_integer(column_type) else value
        row = row.set_column(row.column_names.index(name), name, pa.array([fitting], column_type))
    return row


def _real_rows(asker: _Asker, features: pa.Table) -> Probe:
    differ = any(pc.count_distinct(column, mode="all").as_py() > 1 for column in features.columns)

    def judge(predicted: Floats) -> str:
        return "predicts the same for every row" if differ and (predicted == predicted[0]).all() else ""

    return asker.try_rows("real rows", features, judge)


def _reordered(asker: _Asker, features: pa.Table) -> Probe:
    def judge(predicted: Floats) -> str:
        other = asker.predict(features)
        same = np.allclose(predicted, other, rtol=_SAME, atol=_SAME * float(np.abs(other).max(initial=0.0)))
        return "" if same else "predictions depend on the order of the columns"

    return asker.try_rows("reordered columns", features.select(features.column_names[::-1]), judge)


def _row_seconds(pipeline: Pipeline, features: pa.Table) -> float:
    """NaN where a row alone cannot be predicted, which another probe has said."""
    try:
        return float(measure_costs(pipeline, features, ["prediction_seconds"])["prediction_seconds"])
    except Exception:  # noqa: BLE001 - as in the probes
        return float("nan")


def _batch_row_seconds(pipeline: Pipeline, features: pa.Table) -> float:
    repeats = -(-_FEWEST_IN_BATCH // features.num_rows)
    batch = pa.concat_tables([features] * repeats).combine_chunks()
    started = time.perf_counter()
    try:
        pipeline.predict(batch)
    except Exception:  # noqa: BLE001 - as in the probes
        return float("nan")
    return float((time.perf_counter() - started) / batch.num_rows)


def _size(pipeline: Pipeline, features: pa.Table) -> tuple[int | None, str]:
    try:
        return int(measure_costs(pipeline, features, ["size_bytes"])["size_bytes"]), ""
    except CostUnknown as error:
        return None, shorten(str(error), _SHOWN)


def _cost_probes(row: float, batch: float, size: int | None, unwritten: str) -> tuple[Probe, ...]:
    written = f"{size / 1024**2:,.1f} MiB" if size is not None else unwritten
    return (
        Probe("latency of a row", f"{1_000 * row:.3g} ms", slow=row > SLOW_ROW_SECONDS),
        Probe("latency in a batch", f"{1e6 * batch:.3g} µs a row", slow=batch > SLOW_BATCH_ROW_SECONDS),
        Probe("size", written, slow=size is not None and size > LARGE_BYTES),
    )
