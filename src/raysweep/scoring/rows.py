"""One block of a table into the rows that are written: what is kept of it, and what the model says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from raysweep.bundle.deviations import ColumnDeviation
from raysweep.bundle.inputs import features_of
from raysweep.bundle.load import Model
from raysweep.bundle.prediction_names import probability_name
from raysweep.config import TaskKind
from raysweep.documents import shorten, suggest
from raysweep.errors import RequestInvalid
from raysweep.records.manifest import Signature
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.canonical import TEXT, arrow_type_of, rows_at_once
from raysweep.scoring.texts import is_parsed, read_texts
from raysweep.scoring.whereabouts import first_refused, place_of
from raysweep.training.learner import Floats
from raysweep.training.metrics import predicted_codes

PREDICTION: Final = "prediction"
TALLY: Final = "__raysweep_deviations"
# What learners, Arrow and NumPy raise for values that they cannot take.
_FOREIGN: Final = (pa.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class RowScorer:
    """How the blocks of one table become rows of predictions; knows no model, so that it is light to send.

    Attributes:
        kept: columns of the table that stand before the predictions.
        is_text: every value of the table is a text, which becomes what the signature says.
        keep_text: and those that are kept stay the texts that they are.
        files: addresses, by the number that a row's place names.
    """

    signature: Signature
    kept: tuple[Column, ...]
    is_text: bool
    keep_text: bool
    files: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns of the table that have to be read."""
        return tuple(dict.fromkeys((*(one.name for one in self.signature.inputs), *(one.name for one in self.kept))))

    @property
    def schema(self) -> pa.Schema:
        """Of the rows that are written."""
        return pa.schema([*((one.name, self._kept_type(one)) for one in self.kept), *self._predicted_fields()])

    def score(self, block: pa.Table, model: Model) -> Iterator[pa.Table]:
        """The rows of a block in pieces: the columns of `schema`, then, in the first row, what deviates in them.

        Raises:
            RequestInvalid: a value is not of the kind that the model takes; names the column, the value and the place.
        """
        step = rows_at_once(block.num_columns)
        for start in range(0, block.num_rows, step):
            yield self._scored(block.slice(start, step), model)

    def tallied(self, rows: pa.Table) -> tuple[pa.Table, dict[str, ColumnDeviation]]:
        """What is to be written, and what deviates in these rows, by column."""
        counts: dict[str, ColumnDeviation] = {}
        for text in rows.column(TALLY).drop_null().to_pylist():  # one for each piece: Ray may have put some together
            for name, (unseen, out_of_range) in json.loads(text).items():
                counts[name] = added(counts.get(name), ColumnDeviation(unseen, out_of_range))
        return rows.select(range(len(self.schema))).cast(self.schema), counts

    def _scored(self, block: pa.Table, model: Model) -> pa.Table:
        inputs = self._parsed(block)
        try:
            features, raw = self._predicted(inputs, model)
        except _FOREIGN as error:  # RequestInvalid is a ValueError
            raise RequestInvalid(self._refused(inputs, block, model, error)) from error
        found = model.count_deviations(features).columns
        arrays = [self._kept(one, block, inputs) for one in self.kept]
        if self.signature.task is TaskKind.REGRESSION:
            arrays.append(pa.array(raw))
        else:
            arrays.append(pa.array(self.signature.classes).take(pa.array(predicted_codes(raw))))
            arrays += [pa.array(raw[:, position]) for position in range(raw.shape[1])]
        said = json.dumps({name: [one.unseen, one.out_of_range] for name, one in found.items()})
        arrays.append(pa.array([said, *[None] * (block.num_rows - 1)], pa.string()))
        return pa.Table.from_arrays(arrays, schema=self.schema.append(pa.field(TALLY, pa.string())))

    def _predicted(self, inputs: pa.Table, model: Model) -> tuple[pa.Table, Floats]:
        features = features_of(inputs, self.signature)
        return features, model.raw_predictions(features)

    def _refused(self, inputs: pa.Table, block: pa.Table, model: Model, error: Exception) -> str:
        """What is said of rows that the model does not take, with the place of the first of them."""
        why = str(error) if isinstance(error, RequestInvalid) else f"{type(error).__name__}: {shorten(str(error), 200)}"

        def is_refused(rows: pa.Table) -> bool:
            nonlocal why
            try:
                self._predicted(rows, model)
            except _FOREIGN as again:
                why = str(again) if isinstance(again, RequestInvalid) else why
                return True
            return False

        row = first_refused(inputs, is_refused)
        place = "" if row is None else f" ({place_of(block, row, self.files)})"
        return why + place if isinstance(error, RequestInvalid) else f"the model cannot take a row{place}: {why}"

    def _parsed(self, block: pa.Table) -> pa.Table:
        """The model's inputs, texts read as what the signature says."""
        if not self.is_text:
            return block
        inputs = [read_texts(block, one, self.files) for one in self.signature.inputs]
        return pa.Table.from_arrays(inputs, names=[one.name for one in self.signature.inputs])

    def _kept(self, column: Column, block: pa.Table, inputs: pa.Table) -> pa.ChunkedArray:
        source = inputs if self._is_typed(column) else block
        return source.column(column.name).cast(self._kept_type(column))

    def _is_typed(self, column: Column) -> bool:
        """Whether a text is written as the number, date or flag that the model reads it as."""
        parsed = (one.name for one in self.signature.inputs if is_parsed(one))
        return self.is_text and not self.keep_text and column.name in parsed

    def _kept_type(self, column: Column) -> pa.DataType:
        if not self._is_typed(column):
            return TEXT if self.is_text else arrow_type_of(column)
        one = next(one for one in self.signature.inputs if one.name == column.name)
        kind = "double" if one.kind is ColumnKind.NUMBER else one.type
        return arrow_type_of(Column(one.name, one.kind, kind))

    def _predicted_fields(self) -> Iterator[tuple[str, pa.DataType]]:
        if self.signature.task is TaskKind.REGRESSION:
            yield PREDICTION, pa.float64()
            return
        yield PREDICTION, pa.array(self.signature.classes).type
        for label in self.signature.classes:
            yield probability_name(label), pa.float64()


def added(one: ColumnDeviation | None, other: ColumnDeviation) -> ColumnDeviation:
    """The counts of both."""
    if one is None:
        return other
    return ColumnDeviation(one.unseen + other.unseen, one.out_of_range + other.out_of_range)


def plan_rows(
    columns: Sequence[Column], signature: Signature, keep: Sequence[str] | None, *, place: str
) -> tuple[Column, ...]:
    """The columns of a table that are kept beside the predictions.

    Args:
        columns: of the table.
        signature: of the model.
        keep: their names, in the order that they are wanted in; None for all.
        place: of the table, for the message.

    Raises:
        RequestInvalid: the table lacks one of these or of the model's; or one is called as a prediction is.
    """
    known = {column.name: column for column in columns}
    for what, names in (("the model", [one.name for one in signature.inputs]), ("--columns", keep or ())):
        missing = [name for name in names if name not in known]
        if missing:
            listed = ", ".join(repr(shorten(name)) for name in missing[:5])
            raise RequestInvalid(
                f"{place} lacks {len(missing)} of the {len(names)} columns that {what} wants: {listed}"
                f"{suggest(missing[0], known)}"
            )
    kept = tuple(known[name] for name in dict.fromkeys(known if keep is None else keep))
    ours = {PREDICTION, *(probability_name(label) for label in signature.classes)}
    clashing = [column.name for column in kept if column.name in ours or column.name == TALLY]
    if clashing:
        raise RequestInvalid(
            f"{place} has a column {clashing[0]!r}, and a prediction is written under that name: leave the column out "
            "by naming those to keep (--columns a,b), or rename it"
        )
    return kept
