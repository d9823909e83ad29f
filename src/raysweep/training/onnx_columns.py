"""The columns of a fitted pipeline as ONNX operators: from the model's inputs to the matrix that its learner takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from onnx import TensorProto

from raysweep.prepare_rules import Clip, DateParts, Drop, GroupRare, Rule, RuleState, ToNull
from raysweep.records.table import Column, ColumnKind
from raysweep.rows.prepare_columns import part_name
from raysweep.rows.prepare_values import values_of_kind
from raysweep.training.learner import Floats
from raysweep.training.onnx_dates import date_part, date_parts
from raysweep.training.onnx_graph import Graph, NotExpressible
from raysweep.training.onnx_inputs import MISSING_DATE
from raysweep.training.onnx_trees import MISSING_CODE
from raysweep.training.preparation import FittedPreparation
from raysweep.training.preprocess import MISSING, UNSEEN, Preprocessor

_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_MISSING_TEXTS: Final = ("", "<missing>", "<no value>", "<raysweep: no value>")


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A text on its way to its category: what the rules so far have made of it is known for each text.

    Attributes:
        input: its name in the graph.
        rules: what is done to it, with what each has learned, in order.
    """

    input: str
    rules: tuple[tuple[Rule, RuleState], ...] = ()


def missing_text(preprocessor: Preprocessor, preparation: FittedPreparation) -> str:
    """The text that stands for a missing one, since ONNX has no null: empty, unless that is a category or a value."""
    known = {text for texts in preprocessor.categories for text in json.loads(texts)}
    known |= {str(value) for rule in preparation.rules if isinstance(rule, ToNull) for value in rule.values}
    known |= {text for state in preparation.states for kept in state.kept.values() for text in kept}
    for text in _MISSING_TEXTS:
        if text not in known:
            return text
    raise NotExpressible("every text that could stand for a missing one is a category itself")


def element_type(column: Column) -> str:
    """The ONNX type of an input; a missing number or boolean is NaN, a missing date the smallest int64."""
    if column.kind is ColumnKind.STRING:
        return "string"
    return "int64" if column.kind is ColumnKind.DATETIME else "double"


class Columns:
    """What each column is on its way: the name of its value in the graph, or the text that it still is."""

    def __init__(self, graph: Graph, inputs: Sequence[Column], missing: str) -> None:
        self._graph = graph
        self._missing = missing
        self._kinds = {one.name: one.kind for one in inputs}
        self._values: dict[str, str] = {}
        self._texts: dict[str, TextColumn] = {}
        for one in inputs:
            name = graph.input(one.name, element_type(one))
            if one.kind is ColumnKind.STRING:
                self._texts[one.name] = TextColumn(name)
            else:
                self._values[one.name] = name

    def prepare(self, preparation: FittedPreparation) -> None:
        """Apply the rules of `data.prepare`.

        Raises:
            NotExpressible: a rule reads text or changes its letters.
        """
        for rule, state in zip(preparation.rules, preparation.states, strict=True):
            for name in rule.columns:
                self._apply(rule, state, name)

    def _apply(self, rule: Rule, state: RuleState, name: str) -> None:
        if isinstance(rule, Drop):
            self._values.pop(name, None)
            self._texts.pop(name, None)
        elif isinstance(rule, DateParts):
            date = self._values.pop(name)
            self._values |= {part_name(name, part): date_part(self._graph, date, part) for part in rule.parts}
            self._kinds |= {part_name(name, part): ColumnKind.NUMBER for part in rule.parts}
        elif isinstance(rule, Clip):
            self._values[name] = self._clipped(self._values[name], rule, state.bounds.get(name, (None, None)))
        elif isinstance(rule, ToNull | GroupRare) and name in self._texts:
            self._texts[name] = replace(self._texts[name], rules=(*self._texts[name].rules, (rule, state)))
        elif isinstance(rule, ToNull):
            self._values[name] = self._without(self._values[name], values_of_kind(rule.values, self._kinds[name]), name)
        else:
            raise NotExpressible(f"the rule {rule.rule} of data.prepare, for the column {name!r}, works on text")

    def _clipped(self, value: str, rule: Clip, learned: tuple[float | None, float | None]) -> str:
        graph = self._graph
        for operator, bound, found in (("Less", rule.low, learned[0]), ("Greater", rule.high, learned[1])):
            limit = bound if found is None else found
            if limit is not None:  # a comparison with NaN is false, so that NaN stays
                edge = graph.constant(np.float64(limit))
                value = graph.op("Where", graph.op(operator, value, edge), edge, value)
        return value

    def _without(self, value: str, unwanted: Sequence[Any], name: str) -> str:
        graph, is_date = self._graph, self._kinds[name] is ColumnKind.DATETIME
        if not unwanted:
            return value
        plain = [np.datetime64(one, "us").astype(np.int64) if is_date else np.float64(one) for one in unwanted]
        same = [graph.op("Equal", value, graph.constant(one)) for one in plain]
        found = reduce(lambda one, two: graph.op("Or", one, two), same)
        gone = np.int64(MISSING_DATE) if is_date else np.float64(np.nan)
        return graph.op("Where", found, graph.constant(gone), value)

    def matrix(self, preprocessor: Preprocessor) -> str:
        """The matrix that `Preprocessor.transform` makes: float32, but double where it is scaled or sparse.

        Where categories are native, their codes are those that `onnx_trees` wants.
        """
        graph = self._graph
        tables = [self._table(preprocessor, place) for place in range(len(preprocessor.texts))]
        numeric = self._numeric(preprocessor)
        encoded = [found for found, _ in tables]
        if is_sparse(preprocessor) and preprocessor.scaled:
            left = [] if not numeric else [self._scaled(graph.op("Concat", *numeric, axis=1), preprocessor)]
            return graph.op("Concat", *left, *encoded, axis=1)
        matrix = graph.op("Concat", *numeric, *encoded, axis=1)
        if preprocessor.scaled:
            return self._scaled(matrix, preprocessor)
        if is_sparse(preprocessor):
            return matrix
        if preprocessor.empty:
            width = len(numeric) + sum(width for _, width in tables)
            hollow = np.isin(np.arange(width), preprocessor.empty)
            matrix = graph.op("Where", graph.constant(hollow), graph.constant(np.float64(0)), matrix)
        return graph.cast(matrix, TensorProto.FLOAT)

    def _numeric(self, preprocessor: Preprocessor) -> list[str]:
        """Each number and each part of a date, NaN where it is missing or infinite, and within float32."""
        graph = self._graph
        columns = [self._values[name] for name in preprocessor.numbers]
        for name in preprocessor.dates:
            columns += date_parts(graph, self._values[name])
        return [self._finite(column) for column in columns]

    def _finite(self, value: str) -> str:
        graph = self._graph
        missing = graph.op("Or", graph.op("IsNaN", value), graph.op("IsInf", value))
        low, high = (graph.constant(np.float64(edge)) for edge in (-_FLOAT32_MAX, _FLOAT32_MAX))
        return graph.op("Where", missing, graph.constant(np.float64(np.nan)), graph.op("Clip", value, low, high))

    def _scaled(self, matrix: str, preprocessor: Preprocessor) -> str:
        """Gaps filled with the median, flags for what was missing, all standardized."""
        graph = self._graph
        imputer, scaler = (step for _, step in preprocessor.scaler.steps)
        missing = graph.op("IsNaN", matrix)
        filled = graph.op("Where", missing, graph.constant(imputer.statistics_[None, :]), matrix)
        flagged = imputer.indicator_.features_.astype(np.int64)
        if len(flagged):
            flags = graph.op("Gather", graph.cast(missing, TensorProto.DOUBLE), graph.constant(flagged), axis=1)
            filled = graph.op("Concat", filled, flags, axis=1)
        centred = graph.op("Sub", filled, graph.constant(scaler.mean_[None, :]))
        return graph.op("Div", centred, graph.constant(scaler.scale_[None, :]))

    def _table(self, preprocessor: Preprocessor, place: int) -> tuple[str, int]:
        """What a text becomes, and how many columns: a row of a table for each text that is known."""
        graph, name = self._graph, preprocessor.texts[place]
        codes = self._codes(name, json.loads(preprocessor.categories[place]))
        table = encoding_table(preprocessor, place)
        found = graph.ml_op(
            "LabelEncoder",
            self._texts[name].input,
            keys_strings=[self._missing, *codes.known],
            values_int64s=[code % len(table) for code in (codes.missing, *codes.known.values())],
            default_int64=codes.other % len(table),
        )
        flat = graph.op("Reshape", found, graph.constant(np.array([-1])))
        return graph.op("Gather", graph.constant(table), flat, axis=0), table.shape[1]

    def _codes(self, name: str, categories: Sequence[str]) -> _Codes:
        """The categories' codes, taken back through the rules from the last to the first."""
        codes = _Codes({text: code for code, text in enumerate(categories)})
        for rule, state in reversed(self._texts[name].rules):
            if isinstance(rule, ToNull):
                gone = dict.fromkeys(values_of_kind(rule.values, ColumnKind.STRING), codes.missing)
                codes = replace(codes, known={**codes.known, **gone})
            elif isinstance(rule, GroupRare):
                known = {text: codes.known.get(text, codes.other) for text in state.kept[name]}
                codes = replace(codes, known=known, other=codes.known.get(rule.into, codes.other))
        return codes


@dataclass(frozen=True, slots=True)
class _Codes:
    """The code of each text that is known, of every other one, and of a missing one."""

    known: Mapping[str, int]
    other: int = UNSEEN
    missing: int = MISSING


def is_sparse(preprocessor: Preprocessor) -> bool:
    """Whether the matrix is a CSR matrix, in which XGBoost takes what is 0 for missing."""
    return preprocessor.encoding == "onehot" and bool(preprocessor.texts)


def encoding_table(preprocessor: Preprocessor, place: int) -> Floats:
    """What each code of a text column becomes: its categories in order, then what is unseen and what is missing.

    Returns:
        Shape (categories + 2, columns): a negative code counts from the end, as in Python.
    """
    codes = np.array([*range(len(json.loads(preprocessor.categories[place]))), UNSEEN, MISSING])
    if preprocessor.encoding == "native":
        return np.where(codes < 0, MISSING_CODE, codes + 1.0)[:, None]
    if preprocessor.encoder is None:
        return np.where(codes < 0, np.nan, codes)[:, None]
    rows = np.full((len(codes), len(preprocessor.texts)), UNSEEN)
    rows[:, place] = codes
    encoded = preprocessor.encoder.transform(rows)
    dense = encoded.toarray() if sp.issparse(encoded) else np.asarray(encoded)
    widths = _widths(preprocessor)
    start = sum(widths[:place])
    return np.asarray(dense[:, start : start + widths[place]], dtype=np.float64)


def _widths(preprocessor: Preprocessor) -> list[int]:
    """How many columns the encoder gives for each text column."""
    encoder = preprocessor.encoder
    if preprocessor.encoding == "target":
        each = len(encoder.encodings_) // len(preprocessor.texts)
        return [each] * len(preprocessor.texts)
    found = [str(name).partition("_")[0] for name in encoder.get_feature_names_out()]
    return [found.count(f"x{place}") for place in range(len(preprocessor.texts))]
