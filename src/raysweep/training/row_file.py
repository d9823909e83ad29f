"""Rows with their targets as a parquet file: how the sealed validation rows lie on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.training.trial_data import RowBlock

_TARGET: Final = "target"
_WEIGHT: Final = "weight"


def write_rows(path: Path, block: RowBlock) -> None:
    """Write the rows; the inputs are called by their position, so that no name can clash with ours."""
    features = block.features
    columns = {str(position): features.column(position) for position in range(features.num_columns)}
    columns[_TARGET] = pa.array(block.y)
    if block.weight is not None:
        columns[_WEIGHT] = pa.array(block.weight)
    pq.write_table(pa.table(columns), path)


def read_rows(path: Path, names: list[str]) -> RowBlock:
    """The rows that `write_rows` wrote, with these names of inputs."""
    table = pq.read_table(path)
    features = pa.table({name: table.column(str(position)) for position, name in enumerate(names)})
    weight = table.column(_WEIGHT).to_numpy() if _WEIGHT in table.column_names else None
    return RowBlock(features, table.column(_TARGET).to_numpy(), weight)
