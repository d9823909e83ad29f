"""Golden rows with values to either side of where the model splits: where two copies of it would first differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysweep.training.learner import Floats
from raysweep.training.pipeline import Pipeline

_POINTS: Final = 36
_BASES: Final = 30


def nudged_rows(
    pipeline: Pipeline, plain: pa.Table, points: Mapping[str, Floats]
) -> Iterator[tuple[pa.Table, list[str]]]:
    """For each split point the same row with its neighbours in one column, and what these rows are.

    Of the rows that could be nudged, each time the one is whose prediction changes most: in many others, the point is
    never come to.

    Args:
        pipeline: the model.
        plain: rows to nudge.
        points: as `split_points` gives them; columns that are no numbers or dates of these rows are passed over.
    """
    kinds = {field.name: field.type for field in plain.schema}
    fitting = {name: values for name, values in points.items() if _is_ordered(kinds.get(name))}
    chosen = [
        (name, float(value))
        for name, values in list(fitting.items())[:_POINTS]
        for value in values[: max(1, _POINTS // len(fitting))]
    ]
    bases = plain.slice(0, _BASES)
    for (name, value), base in zip(chosen, _bases(pipeline, bases, chosen), strict=True):
        sides = sides_of(kinds[name], value)
        yield with_values(bases.slice(base, 1), [name], sides), [f"beside a split of {name}"] * len(sides)


def with_values(base: pa.Table, names: Sequence[str], values: Sequence[Any]) -> pa.Table:
    """One row again and again, with each of the values in turn, in all of these columns."""
    rows = base.take(pa.array(np.zeros(len(values), np.int64)))
    for name in names:
        rows = _replaced(rows, name, values)
    return rows


def sides_of(kind: pa.DataType, value: float) -> list[Any]:
    """The value itself, and its neighbours: in float64, and in float32, in which most trees compare."""
    if pa.types.is_timestamp(kind):
        return [int(value) - 1, int(value), int(value) + 1]
    near: npt.NDArray[np.float32] = np.full(1, value, np.float32)
    return [
        value,
        *(float(np.nextafter(value, side)) for side in (-np.inf, np.inf)),
        *(float(np.nextafter(near, np.float32(side))[0]) for side in (-np.inf, np.inf)),
    ]


def _is_ordered(kind: pa.DataType | None) -> bool:
    return kind is not None and bool(pa.types.is_floating(kind) or pa.types.is_timestamp(kind))


def _bases(pipeline: Pipeline, rows: pa.Table, chosen: Sequence[tuple[str, float]]) -> list[int]:
    """For each point the place of the row to nudge."""
    if not chosen:
        return []
    below, above = ([_moved(rows, name, value, side) for name, value in chosen] for side in (min, max))
    try:
        with np.errstate(all="ignore"):
            found = pipeline.predict(pa.concat_tables([*below, *above]))
    except Exception:  # noqa: BLE001 - an estimator of somebody's own refuses such a value
        return [0] * len(chosen)
    low, high = np.nan_to_num(found.reshape(2, len(chosen), rows.num_rows, -1))
    return [int(place) for place in np.abs(high - low).max(axis=2).argmax(axis=1)]


def _moved(rows: pa.Table, name: str, value: float, side: Any) -> pa.Table:
    return _replaced(rows, name, [side(sides_of(rows.schema.field(name).type, value))] * rows.num_rows)


def _replaced(rows: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    place = rows.schema.get_field_index(name)
    field = rows.schema.field(place)
    return rows.set_column(place, field, pa.array(values, field.type))
