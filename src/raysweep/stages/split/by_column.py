"""Which part a row belongs to where a column of the table says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.documents import shorten, suggest
from raysweep.errors import DataUnsuitable
from raysweep.records.table import Finding, Part, Severity

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class ColumnAssignment:
    """The rule that gives each row the part that its column names, each by its exact name."""

    column: str

    def part_of_values(self, values: pa.ChunkedArray) -> npt.NDArray[np.int8]:
        """Position in `Part` of each value, shape (rows,); -1 where it names none."""
        found = pc.index_in(values, value_set=pa.array([part.value for part in Part], values.type))
        return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int8)


def refusal_of(column: str, counts: Mapping[object, int]) -> DataUnsuitable | None:
    """Why a column cannot say the parts, with each value that names none; None where it can.

    Args:
        column: its name.
        counts: rows by value; None: missing.
    """
    names = [part.value for part in Part]
    strange = {value: count for value, count in counts.items() if value not in names}
    if not strange:
        return None
    first = sorted(strange.items(), key=lambda one: (-one[1], str(one[0])))
    said = [f"{_value(value)} in {count:,} rows{_meant(value, names)}" for value, count in first[:_SHOWN]]
    if len(first) > _SHOWN:
        said.append(f"{len(first) - _SHOWN:,} more values")
    message = f"split.column {shorten(column)!r} holds what is no part: {'; '.join(said)}"
    advice = f"Write {', '.join(names[:-1])} or {names[-1]} into every row, or split otherwise"
    finding = Finding("split.column", Severity.ERROR, message, advice, column=column, count=sum(strange.values()))
    return DataUnsuitable(f"{message}. {advice}", findings=[finding])


def _value(value: object) -> str:
    return "nothing" if value is None else shorten(repr(value))


def _meant(value: object, names: list[str]) -> str:
    return suggest(value, names) if isinstance(value, str) else ""
