"""A fitted pipeline as one ONNX model, from the signature's inputs to probabilities or numbers.

The trees and the linear models of the shipped families are written by raysweep itself: each library compares and adds
in its own way, and the general converters lose missing values, sets of categories and float64. Neighbours and an
estimator of a user's own go through skl2onnx. Whether a conversion is right, only the parity gate says.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from onnx import TensorProto
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from raysweep.config import TaskKind
from raysweep.documents import shorten
from raysweep.records.table import Column, Label
from raysweep.training.onnx_columns import Columns, is_sparse, missing_text
from raysweep.training.onnx_ensembles import add_trees, add_trees_in_order
from raysweep.training.onnx_graph import MAIN_OPSET, OUTPUT, Graph, NotExpressible
from raysweep.training.onnx_inputs import MISSING_DATE, MISSING_DATE_KEY, MISSING_TEXT
from raysweep.training.onnx_trees import (
    base_margin,
    constant_tree,
    forest_trees,
    histogram_tree,
    xgboost_trees,
)
from raysweep.training.onnx_words import input_words, model_words, output_words
from raysweep.training.pipeline import Pipeline

CLASSES: Final = "raysweep.classes"
TARGET: Final = "raysweep.target"
_ML_OPSET: Final = 3


def to_onnx(
    pipeline: Pipeline,
    inputs: Sequence[Column],
    task: TaskKind,
    classes: Sequence[Label],
    facts: Mapping[str, str] | None = None,
) -> bytes:
    """The model as ONNX: each input by its name, of shape (rows, 1); `prediction` as `Pipeline.predict` gives it.

    Numbers and booleans are double and NaN where missing, texts are strings and the metadata's `raysweep.missing_text`
    where missing, dates are microseconds since 1970 in UTC and the smallest int64 where missing.

    Args:
        pipeline: the fitted candidate.
        inputs: the task's inputs.
        task: what it learned.
        classes: in the order of the probabilities; empty for regression.
        facts: what its metadata say beside that, such as `raysweep.target` and `raysweep.run_id`.

    Raises:
        NotExpressible: a rule, the family or its estimator cannot be said in ONNX; the message says why.
    """
    graph = Graph(_ML_OPSET)
    preprocessor = pipeline.preprocessor
    missing = missing_text(preprocessor, pipeline.preparation)
    columns = Columns(graph, inputs, missing)
    columns.prepare(pipeline.preparation)
    matrix = columns.matrix(preprocessor)
    if is_sparse(preprocessor) and pipeline.family == "xgboost":
        missing_value, zero = graph.constant(np.float64(np.nan)), graph.constant(np.float64(0))
        matrix = graph.op("Where", graph.op("Equal", matrix, zero), missing_value, matrix)
    wanted = _Wanted(pipeline.learner.fitted, task, len(classes))
    output = _way(pipeline)(graph, matrix, wanted)
    facts = {
        **(facts or {}),
        MISSING_TEXT: missing,
        MISSING_DATE_KEY: str(MISSING_DATE),
        CLASSES: json.dumps(list(classes)),
        "raysweep.family": pipeline.family,
    }
    said = {one.name: input_words(one, missing) for one in inputs}
    output_said = output_words(task, classes, facts.get(TARGET, ""))
    graph.words = {"": model_words(said, output_said, facts), OUTPUT: output_said, **said}
    return graph.finish(output, len(classes) or 1, facts)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A fitted learner, and what its numbers are: one for regression, else probabilities of so many classes."""

    fitted: Any
    task: TaskKind
    classes: int


def _xgboost(graph: Graph, matrix: str, wanted: _Wanted) -> str:
    outputs = wanted.classes if wanted.task is TaskKind.MULTICLASS else 1
    begin = np.diag(np.broadcast_to(base_margin(wanted.fitted), outputs))  # XGBoost adds the trees to it, in float32
    trees = [*(constant_tree(row) for row in begin), *xgboost_trees(wanted.fitted, outputs)]
    found = add_trees_in_order(graph, graph.cast(matrix, TensorProto.FLOAT), trees, outputs)
    return _linked(graph, graph.cast(found, TensorProto.DOUBLE), wanted.task)


def _forest(graph: Graph, matrix: str, wanted: _Wanted) -> str:
    forest = wanted.fitted
    trees = [one.tree_ for one in forest.estimators_]
    values = [tree.value[:, 0, :] for tree in trees]
    outputs = values[0].shape[1]
    rounded = graph.cast(graph.cast(matrix, TensorProto.FLOAT), TensorProto.DOUBLE)  # it compares float32 with float64
    added = add_trees(graph, rounded, forest_trees(trees, values), outputs)
    found = graph.op("Div", graph.cast(added, TensorProto.DOUBLE), graph.constant(np.float64(len(trees))))
    return _all_classes(graph, found, wanted)


def _histogram(graph: Graph, matrix: str, wanted: _Wanted) -> str:
    rounds = wanted.fitted._predictors  # noqa: SLF001 - no public way
    outputs = len(rounds[0]) if rounds else 1
    trees = [histogram_tree(one.nodes, at, outputs) for each in rounds for at, one in enumerate(each)]
    begin = np.diag(np.ravel(wanted.fitted._baseline_prediction))  # noqa: SLF001 - no public way
    begun = [constant_tree(row) for row in begin]
    found = add_trees(graph, graph.cast(matrix, TensorProto.DOUBLE), [*begun, *trees], outputs)
    return _all_classes(graph, _linked(graph, found, wanted.task if outputs == 1 else TaskKind.MULTICLASS), wanted)


def _linear(graph: Graph, matrix: str, wanted: _Wanted) -> str:
    slopes, intercept = np.atleast_2d(wanted.fitted.coef_).T, np.atleast_1d(wanted.fitted.intercept_)
    product = graph.op("MatMul", matrix, graph.constant(slopes.astype(np.float64)))
    found = graph.op("Add", product, graph.constant(intercept.astype(np.float64)))
    if wanted.task is TaskKind.REGRESSION:
        return found
    link = TaskKind.BINARY if slopes.shape[1] == 1 else TaskKind.MULTICLASS
    return _all_classes(graph, _linked(graph, found, link), wanted)


def _linked(graph: Graph, margin: str, link: TaskKind) -> str:
    """Numbers as they are, or the probabilities that margins stand for: logistic, or softmax."""
    if link is TaskKind.REGRESSION:
        return margin
    if link is TaskKind.MULTICLASS:
        return graph.op("Softmax", margin, axis=1)
    positive = graph.op("Sigmoid", margin)
    return graph.op("Concat", graph.op("Sub", graph.constant(np.float64(1)), positive), positive, axis=1)


def _all_classes(graph: Graph, known: str, wanted: _Wanted) -> str:
    """Probabilities with a column also for classes that the fitted rows lacked."""
    if wanted.task is TaskKind.REGRESSION or len(wanted.fitted.classes_) == wanted.classes:
        return known
    places = np.zeros((len(wanted.fitted.classes_), wanted.classes))
    places[np.arange(len(places)), wanted.fitted.classes_.astype(int)] = 1
    return graph.op("MatMul", known, graph.constant(places))


def _way(pipeline: Pipeline) -> _Way:
    """What writes the family; a forest of scikit-learn's as our own, whatever family it came as."""
    is_forest = type(pipeline.learner.fitted) in _FORESTS
    return _WAYS.get(pipeline.family, _forest if is_forest else _by_skl2onnx)


def _by_skl2onnx(graph: Graph, matrix: str, wanted: _Wanted) -> str:
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType

    estimator = wanted.fitted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = skl2onnx.to_onnx(
                estimator,
                initial_types=[("X", DoubleTensorType([None, estimator.n_features_in_]))],
                options={} if wanted.task is TaskKind.REGRESSION else {"zipmap": False},
                target_opset={"": MAIN_OPSET, "ai.onnx.ml": _ML_OPSET},
            )
    except Exception as error:  # what other people's converters raise is of many types
        words = shorten(" ".join(str(error).split()), 200)
        raise NotExpressible(f"skl2onnx does not convert {type(estimator).__name__}: {words}") from error
    found = graph.take_in(model, graph.cast(matrix, TensorProto.DOUBLE), "estimator/")[-1]
    return _all_classes(graph, graph.cast(found, TensorProto.DOUBLE), wanted)


_Way = Callable[[Graph, str, _Wanted], str]
_FORESTS: Final = (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor)
_WAYS: Final[Mapping[str, _Way]] = {
    "xgboost": _xgboost,
    "random_forest": _forest,
    "extra_trees": _forest,
    "hist_gradient_boosting": _histogram,
    "logistic_regression": _linear,
    "ridge": _linear,
}
