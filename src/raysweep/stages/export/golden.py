"""golden.parquet: rows with the predictions that every published form of the model must give again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import arrow_type_of
from raysweep.stages.export.made_up_rows import made_up_rows
from raysweep.stages.export.nudged_rows import nudged_rows, with_values
from raysweep.training.one_thread import one_thread
from raysweep.training.pipeline import Pipeline
from raysweep.training.split_points import split_points

GOLDEN_ROWS: Final = 100
_POINTS_A_COLUMN: Final = 3
_FLOAT32: Final = np.finfo(np.float32)
_UNSEEN: Final = ("a category that no row had", "Ǻ no such category 🜁", "0", " ")
_NUMBERS: Final = (
    *(0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 5e-324, 1e-300, 1e9, -1e9, 2.0**53 + 1),
    *(float(_FLOAT32.max), -float(_FLOAT32.max), 3.5e38, -3.5e38, 1e308, -1e308, float("inf"), float("-inf")),
)
_DATES: Final = (
    datetime(1700, 2, 28, 23, 59, 59, 999_999),  # noqa: DTZ001 - instants in UTC, as everywhere
    datetime(1900, 3, 1),  # noqa: DTZ001
    datetime(1969, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
    datetime(1970, 1, 1),  # noqa: DTZ001
    datetime(2000, 2, 29, 12),  # noqa: DTZ001
    datetime(2100, 12, 31, 23),  # noqa: DTZ001
)


def write_golden(path: Path, pipeline: Pipeline, inputs: Sequence[Column], training: pa.Table | None) -> None:
    """Write rows as `features` (a struct) beside `prediction` (a list of numbers) and `row`: what each of them is.

    They are 100 training rows (the first: rows come in the order of their keys' hashes), one with every value missing,
    some with categories that nobody has seen, with extreme values, and with values to either side of where the model
    splits. Rows that the model's own rules refuse, or that it has no finite prediction for, are left out.

    Args:
        path: of the file.
        pipeline: the model in memory.
        inputs: its columns.
        training: training rows; None: rows are made up of what the model holds.
    """
    schema = pa.schema([(one.name, _type_of(one)) for one in inputs])
    points = split_points(pipeline, _POINTS_A_COLUMN)
    if training is None:
        plain, said = made_up_rows(pipeline, inputs, points, GOLDEN_ROWS).cast(schema), "made up"
    else:
        plain, said = training.select(schema.names).slice(0, GOLDEN_ROWS).cast(schema), "training row"
    blocks = [(plain, [said] * plain.num_rows), *_odd_blocks(plain), *nudged_rows(pipeline, plain, points)]
    kept = [one for one in (_predictable(pipeline, table, names) for table, names in blocks) if one is not None]
    features = pa.concat_tables([table for table, _ in kept]).combine_chunks()
    with one_thread(pipeline):  # all at once, as whoever compares does: a sum's last bit depends on the rows beside it
        predicted = pipeline.predict(features)
    columns = {
        "features": to_struct(features),
        "prediction": pa.array(predicted.reshape(features.num_rows, -1).tolist()),
        "row": pa.array([name for _, names in kept for name in names]),
    }
    pq.write_table(pa.table(columns), path)


def to_struct(features: pa.Table) -> pa.StructArray:
    """The columns of a table as one struct column, so that no name can clash with ours."""
    arrays = [features.column(position).combine_chunks() for position in range(features.num_columns)]
    return pa.StructArray.from_arrays(arrays, names=features.column_names)


def _type_of(column: Column) -> pa.DataType:
    """As the loaded model hands it on: every number is float64."""
    return pa.float64() if column.kind is ColumnKind.NUMBER else arrow_type_of(column)


_Rows = tuple[pa.Table, list[str]]


def _predictable(pipeline: Pipeline, rows: pa.Table, names: list[str]) -> _Rows | None:
    """Those that have a finite prediction, and what each is."""
    try:
        with np.errstate(all="ignore"):
            found = pipeline.predict(rows)
    except Exception:  # noqa: BLE001 - a rule refuses the text, or an estimator of somebody's own the number
        if rows.num_rows == 1:
            return None
        single = [_predictable(pipeline, rows.slice(at, 1), names[at : at + 1]) for at in range(rows.num_rows)]
        left = [one for one in single if one is not None]
        return (
            (pa.concat_tables([one for one, _ in left]), [name for _, each in left for name in each]) if left else None
        )
    kept = np.ravel(np.isfinite(found.reshape(rows.num_rows, -1)).all(axis=1)).tolist()
    return rows.filter(pa.array(kept)), [name for name, one in zip(names, kept, strict=True) if one]


def _odd_blocks(plain: pa.Table) -> Iterator[tuple[pa.Table, list[str]]]:
    schema = plain.schema
    yield pa.table([pa.nulls(1, field.type) for field in schema], schema), ["all missing"]
    texts = [field.name for field in schema if pa.types.is_large_string(field.type)]
    for name in texts:
        yield with_values(plain.slice(0, 1), [name], _UNSEEN[:1]), [f"unseen category in {name}"]
    if texts:
        yield with_values(plain.slice(0, 1), texts, _UNSEEN), ["unseen category in every text"] * len(_UNSEEN)
    numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
    if numbers:
        yield (
            with_values(plain.slice(0, 1), numbers, _NUMBERS),
            [f"extreme: {value!r} in every number" for value in _NUMBERS],
        )
    dates = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if dates:
        yield (
            with_values(plain.slice(0, 1), dates, _DATES),
            [f"extreme: {value.isoformat()} in every date" for value in _DATES],
        )
