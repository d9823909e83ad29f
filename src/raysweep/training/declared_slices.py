"""Slices that the user names by their columns; their edges and values do not give away what is sealed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten
from raysweep.training.slices import OTHER, Mask, Members, said

MOST_VALUES: Final = 20
_SINGLE_NUMBERS: Final = 4  # a column with no more different numbers is taken value by value
_QUARTILES: Final = (0.25, 0.5, 0.75)
_DIGITS: Final = 3


def declared_slices(columns: pa.Table, reference: pa.Table | None = None) -> list[Members]:
    """The slices of columns that the user names.

    Args:
        columns: of the validation rows, in canonical types.
        reference: the same columns of rows that are not sealed, as far as these have them: values and quartiles are
            theirs, since the names of slices are published.

    Returns:
        Text and booleans by value, the 20 most frequent ones and the rest; numbers and times by quartile. Rows without
        a value are a slice of their own. Where there is no reference, quartiles are rounded to about three digits of
        their spread.
    """
    known = [] if reference is None else reference.column_names
    return [
        Members(f"{name} {said}", name, rows)
        for name in columns.column_names
        for said, rows in _of_column(
            columns.column(name).combine_chunks(),
            reference.column(name).combine_chunks() if reference is not None and name in known else None,
        )
        if rows.any()
    ]


def _of_column(values: pa.Array, reference: pa.Array | None) -> Iterator[tuple[str, Mask]]:
    missing = np.asarray(pc.is_null(values, nan_is_null=True))
    known = _known(values if reference is None else reference)
    has_order = (pa.types.is_timestamp, pa.types.is_integer, pa.types.is_floating)
    by_value = not any(is_of(values.type) for is_of in has_order)
    if by_value or pc.count_distinct(known).as_py() <= _SINGLE_NUMBERS:
        yield from _by_value(values, known, missing)
    else:
        edges = _quartiles(known)
        yield from _by_edges(values, edges if reference is not None else _rounded(edges), missing)
    yield "is missing", missing


def _known(values: pa.Array) -> pa.Array:
    return values.filter(pc.invert(pc.is_null(values, nan_is_null=True)))


def _by_value(values: pa.Array, known: pa.Array, missing: Mask) -> Iterator[tuple[str, Mask]]:
    counted = [(one["values"], one["counts"]) for one in known.value_counts().to_pylist()]
    counted.sort(key=lambda pair: (-pair[1], str(pair[0])))
    rest = ~missing
    for value, _ in counted[:MOST_VALUES]:
        rows = np.asarray(pc.fill_null(pc.equal(values, pa.scalar(value, values.type)), False))  # noqa: FBT003
        rest &= ~rows
        yield f"= {shorten(said(value))}", rows
    yield f"= {OTHER}", rest


def _quartiles(known: pa.Array) -> list[Any]:
    """The different ones, rising; of times in microseconds."""
    numbers = known.cast(pa.int64()) if pa.types.is_timestamp(known.type) else known
    return sorted(set(pc.quantile(numbers, list(_QUARTILES), interpolation="lower").to_pylist()))


def _rounded(edges: Sequence[Any]) -> list[Any]:
    """Rounded to a hundredth of the power of ten below their spread; of a single one, below its size."""
    finite = [one for one in edges if math.isfinite(one)]
    spread = finite[-1] - finite[0] or abs(finite[0]) if finite else 0
    if not spread or not math.isfinite(spread):
        return list(edges)
    digits = _DIGITS - 1 - math.floor(math.log10(spread))
    return sorted({round(one, digits) if math.isfinite(one) else one for one in edges})


def _by_edges(values: pa.Array, edges: Sequence[Any], missing: Mask) -> Iterator[tuple[str, Mask]]:
    instants = pa.types.is_timestamp(values.type)
    numbers = (values.cast(pa.int64()) if instants else values).to_numpy(zero_copy_only=False)
    texts = [said(pa.scalar(edge, values.type).as_py() if instants else edge) for edge in edges]
    place = np.searchsorted(np.asarray(edges), np.where(missing, edges[0], numbers), side="left")
    names = [f"<= {texts[0]}", *(f"in ({low}, {high}]" for low, high in pairwise(texts))]
    for number, name in enumerate([*names, f"> {texts[-1]}"]):
        yield name, (place == number) & ~missing
