"""What a model takes and gives, with what it has seen of each input: for the manifest."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.config import TaskKind
from raysweep.records.manifest import InputColumn, OutputColumn, Signature
from raysweep.records.table import Column, ColumnKind, LearningTask

MAX_CATEGORIES: Final = 10_000
_LABEL_TYPES: Final = {bool: "bool", str: "string", int: "int64", float: "double"}


def make_signature(task: LearningTask, seen: pa.Table | None) -> Signature:
    """The signature of a task's model.

    Args:
        task: its inputs and classes.
        seen: the inputs of the rows that the model was fitted on; None where there is no model.
    """
    return Signature(
        inputs=tuple(_input(one, None if seen is None else seen.column(one.name)) for one in task.inputs),
        target=task.target,
        task=task.kind,
        classes=task.classes,
        outputs=_outputs(task),
    )


def _outputs(task: LearningTask) -> tuple[OutputColumn, ...]:
    if task.kind is TaskKind.REGRESSION:
        return (OutputColumn(name="prediction", type="double"),)
    label = _LABEL_TYPES.get(type(task.classes[0]), "string")
    return (
        OutputColumn(name="prediction", type=label, classes=task.classes),
        OutputColumn(name="probability", type="double", classes=task.classes),
    )


def _input(column: Column, values: pa.ChunkedArray | None) -> InputColumn:
    plain = InputColumn(name=column.name, kind=column.kind, type=column.type)
    if values is None:
        return plain
    low, high = _range(column.kind, values)
    return plain.model_copy(
        update={"nullable": _has_gaps(values), "categories": _categories(column.kind, values), "low": low, "high": high}
    )


def _has_gaps(values: pa.ChunkedArray) -> bool:
    if values.null_count:
        return True
    return pa.types.is_floating(values.type) and bool(pc.any(pc.is_nan(values)).as_py())


def _categories(kind: ColumnKind, values: pa.ChunkedArray) -> tuple[str, ...] | None:
    if kind is not ColumnKind.STRING:
        return None
    found = [str(one) for one in pc.unique(values).to_pylist() if one is not None]
    return tuple(sorted(found)) if len(found) <= MAX_CATEGORIES else None


def _range(kind: ColumnKind, values: pa.ChunkedArray) -> tuple[Any, Any]:
    """The smallest and the largest value; instants as ISO text."""
    if kind is ColumnKind.NUMBER:
        numbers = values.cast(pa.float64(), safe=False)
        bounds = pc.min_max(numbers.filter(pc.fill_null(pc.is_finite(numbers), fill_value=False))).as_py()
        return bounds["min"], bounds["max"]
    if kind is ColumnKind.DATETIME:
        bounds = pc.min_max(values).as_py()
        return _iso(bounds["min"]), _iso(bounds["max"])
    return None, None


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
