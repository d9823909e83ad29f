"""What rows that come in blocks hold, as a small table with the same extremes, texts and gaps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

# One more than a signature lists, so that it is seen that there are more.
_MAX_TEXTS: Final = 10_001


@dataclass(slots=True)
class SeenValues:
    """Takes blocks in; `rows` is how many rows they had."""

    rows: int = 0
    _schema: pa.Schema | None = None
    _texts: dict[str, set[Any]] = field(default_factory=dict)
    _extremes: dict[str, set[Any]] = field(default_factory=dict)
    _gaps: set[str] = field(default_factory=set)

    def add(self, table: pa.Table) -> None:
        """The next rows, in canonical types."""
        self._schema = table.schema
        self.rows += table.num_rows
        for name, values in zip(table.column_names, table.columns, strict=True):
            self._add(name, values)

    def table(self) -> pa.Table:
        """Its columns are those of the blocks, each filled up by a value of its own.

        Raises:
            ValueError: there was no block.
        """
        if self._schema is None:
            raise ValueError("no rows were seen")
        columns = {
            one.name: [
                *([None] if one.name in self._gaps else []),
                *sorted(self._texts.get(one.name, ())),
                *sorted(self._extremes.get(one.name, ())),
            ]
            or [None]
            for one in self._schema
        }
        longest = max((len(values) for values in columns.values()), default=0)
        filled = {name: values + values[-1:] * (longest - len(values)) for name, values in columns.items()}
        return pa.table(
            {one.name: pa.chunked_array([pa.array(filled[one.name], one.type)]) for one in self._schema}, self._schema
        )

    def _add(self, name: str, values: pa.ChunkedArray) -> None:
        if values.null_count:
            self._gaps.add(name)
        if pa.types.is_floating(values.type):
            finite = pc.is_finite(values)
            if pc.any(pc.is_nan(values)).as_py():
                self._gaps.add(name)
            values = values.filter(finite)
        known = values.drop_null()
        if not len(known):
            return
        if pa.types.is_large_string(values.type):
            texts = self._texts.setdefault(name, set())
            if len(texts) < _MAX_TEXTS:
                texts.update(pc.unique(known).to_pylist()[: _MAX_TEXTS - len(texts)])
            return
        extremes = self._extremes.setdefault(name, set())
        ends = pc.min_max(known)
        found = {*extremes, ends["min"].as_py(), ends["max"].as_py()}
        extremes.clear()
        extremes.update({min(found), max(found)})
