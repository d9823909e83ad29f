"""golden.parquet: training rows with the predictions that the published model must give again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.training.pipeline import Pipeline
from raysweep.training.trial_data import RowBlock

GOLDEN_ROWS: Final = 100


def write_golden(path: Path, pipeline: Pipeline, training: RowBlock) -> None:
    """Write the first training rows as `features` (a struct) beside `prediction` (a list of numbers).

    Rows come in the order of their keys' hashes, so that the first ones are a random sample. The last row has every
    value missing.
    """
    rows = training.features.slice(0, GOLDEN_ROWS)
    empty = pa.Table.from_arrays(
        [pa.nulls(1, field.type) for field in rows.schema], schema=pa.schema(list(rows.schema))
    )
    features = pa.concat_tables([rows, empty]).combine_chunks()
    predicted = pipeline.predict(features)
    columns = {"features": to_struct(features), "prediction": pa.array(np.atleast_2d(predicted.T).T.tolist())}
    pq.write_table(pa.table(columns), path)


def to_struct(features: pa.Table) -> pa.StructArray:
    """The columns of a table as one struct column, so that no name can clash with ours."""
    arrays = [features.column(position).combine_chunks() for position in range(features.num_columns)]
    return pa.StructArray.from_arrays(arrays, names=features.column_names)
