"""Where a fitted model's trees split its numbers: the values to either side are where two copies of it may differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from raysweep.training.learner import Floats
from raysweep.training.pipeline import Pipeline
from raysweep.training.preprocess import DATE_PARTS

_TREES: Final = 10  # of the first rounds, which decide most
_MICROS_A_DAY: Final = 86_400e6


def split_points(pipeline: Pipeline, at_most: int) -> dict[str, Floats]:
    """Column of numbers or dates -> up to so many values at which the model splits it; none where it has no trees.

    The columns that it splits most often come first. The points of a date are whole days, in microseconds since 1970.
    """
    preprocessor = pipeline.preprocessor
    found = _found(pipeline)
    if preprocessor.scaler is not None:
        found = _unscaled(found, preprocessor.scaler.steps[-1][1])
    points = {name: found.get(place, np.zeros(0)) for place, name in enumerate(preprocessor.numbers)}
    for place, name in enumerate(preprocessor.dates):
        days = found.get(len(preprocessor.numbers) + len(DATE_PARTS) * place + DATE_PARTS.index("days"), np.zeros(0))
        points[name] = np.ceil(days) * _MICROS_A_DAY
    often = sorted(points, key=lambda name: -len(points[name]))
    return {name: _spread(np.unique(points[name]), at_most) for name in often if len(points[name])}


def _found(pipeline: Pipeline) -> dict[int, Floats]:
    """Column of the matrix -> where it is split."""
    fitted = getattr(pipeline.learner, "fitted", None)
    if pipeline.family in _WAYS:
        return _WAYS[pipeline.family](fitted)
    is_forest = all(hasattr(one, "tree_") for one in np.ravel(getattr(fitted, "estimators_", [None])))
    return _of_forest(fitted) if is_forest else {}


def _unscaled(points: dict[int, Floats], scaler: Any) -> dict[int, Floats]:
    """Where they are before numbers are standardized."""
    known = range(len(scaler.mean_))
    return {
        place: values * scaler.scale_[place] + scaler.mean_[place] for place, values in points.items() if place in known
    }


def _spread(values: Floats, at_most: int) -> Floats:
    places = np.unique(np.linspace(0, len(values) - 1, min(at_most, len(values))).round().astype(int))
    return np.asarray(values[places], dtype=np.float64)


def _of_xgboost(booster: Any) -> dict[int, Floats]:
    first = booster[: min(_TREES, booster.num_boosted_rounds())]
    trees = json.loads(first.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    feature = np.concatenate([tree["split_indices"] for tree in trees])
    point = np.concatenate([tree["split_conditions"] for tree in trees])
    branch = np.concatenate([np.asarray(tree["left_children"]) >= 0 for tree in trees])
    number = np.concatenate([np.asarray(tree["split_type"]) == 0 for tree in trees])
    return _by_feature(feature, point, branch & number)


def _of_forest(forest: Any) -> dict[int, Floats]:
    trees = [one.tree_ for one in np.ravel(forest.estimators_)[:_TREES]]
    feature = np.concatenate([tree.feature for tree in trees])
    return _by_feature(feature, np.concatenate([tree.threshold for tree in trees]), feature >= 0)


def _of_histograms(boosting: Any) -> dict[int, Floats]:
    nodes = [one.nodes for each in boosting._predictors[:_TREES] for one in each]  # noqa: SLF001 - no public way
    joined = np.concatenate(nodes)
    return _by_feature(joined["feature_idx"], joined["num_threshold"], ~joined["is_leaf"].astype(bool))


def _by_feature(feature: Any, point: Any, chosen: Any) -> dict[int, Floats]:
    chosen = chosen & np.isfinite(point)
    return {int(one): np.asarray(point)[chosen & (feature == one)] for one in np.unique(feature[chosen])}


_WAYS: Final[Mapping[str, Callable[[Any], dict[int, Floats]]]] = {
    "xgboost": _of_xgboost,
    "random_forest": _of_forest,
    "extra_trees": _of_forest,
    "hist_gradient_boosting": _of_histograms,
}
