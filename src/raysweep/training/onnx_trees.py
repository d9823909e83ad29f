"""The trees of XGBoost and of scikit-learn in one form, each compared as its library does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from raysweep.training.learner import Floats

LESS_OR_EQUAL, LESS, MEMBER = 0, 1, 6  # modes of ai.onnx.ml.TreeEnsemble
MISSING_CODE: Final = 0.0  # of a category, in the matrix that ONNX trees take; the others follow


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree as arrays over its nodes, the root first.

    Attributes:
        mode: how a node compares, as ONNX numbers it.
        feature: the column that it looks at.
        threshold: what it compares with; where it tests membership, nothing.
        members: node -> the values that go the way of truth.
        true, false: the next node; -1 at a leaf.
        missing_is_true: where NaN goes.
        leaf: shape (nodes, outputs); what a leaf adds to each output.
    """

    mode: npt.NDArray[np.uint8]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[Any]
    members: Mapping[int, Sequence[float]]
    true: npt.NDArray[np.int64]
    false: npt.NDArray[np.int64]
    missing_is_true: npt.NDArray[np.int64]
    leaf: npt.NDArray[Any]


def constant_tree(values: npt.NDArray[Any]) -> Tree:
    """A tree that is one leaf: what every sum begins with, so that it is rounded as the library rounds it."""
    none = np.zeros(1, np.int64)
    return Tree(none.astype(np.uint8), none, values[:1] * 0, {}, none - 1, none - 1, none, values.reshape(1, -1))


def xgboost_trees(booster: Any, outputs: int) -> list[Tree]:
    """The trees of a booster, float32, each adding to one of the outputs; the base score is not among them.

    A category's code is one more than in XGBoost's own matrix and a missing one is `MISSING_CODE`, so that a set says
    where it goes.
    """
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    return [
        _xgboost_tree(tree, output, outputs) for tree, output in zip(model["trees"], model["tree_info"], strict=True)
    ]


def base_margin(booster: Any) -> npt.NDArray[np.float32]:
    """What XGBoost's sums begin with: one number an output, before the link, or one for all."""
    learner = json.loads(booster.save_raw("json"))["learner"]
    scores = np.atleast_1d(np.asarray(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32))
    if learner["objective"]["name"] != "binary:logistic":
        return scores
    one = np.float32(1)
    return np.asarray(-np.log(one / scores - one), dtype=np.float32)


def _xgboost_tree(tree: Mapping[str, Any], output: int, outputs: int) -> Tree:
    left, right = (np.asarray(tree[side], np.int64) for side in ("left_children", "right_children"))
    conditions = np.asarray(tree["split_conditions"], np.float32)
    is_set = (np.asarray(tree["split_type"]) == 1) & (left >= 0)
    default_left = np.asarray(tree["default_left"], np.int64)
    members = {
        node: [1.0 + one for one in _categories(tree, place)] + ([] if default_left[node] else [MISSING_CODE])
        for place, node in enumerate(tree["categories_nodes"])
    }
    leaf = np.zeros((len(left), outputs), np.float32)
    leaf[:, output] = np.where(left < 0, conditions, 0)
    return Tree(
        mode=np.where(is_set, MEMBER, LESS).astype(np.uint8),
        feature=np.asarray(tree["split_indices"], np.int64),
        threshold=np.where(is_set, np.float32(0), conditions),
        members=members,
        true=np.where(is_set, right, left),  # XGBoost's sets name those that go right
        false=np.where(is_set, left, right),
        missing_is_true=np.where(is_set, 0, default_left),
        leaf=leaf,
    )


def _categories(tree: Mapping[str, Any], place: int) -> list[int]:
    start, size = tree["categories_segments"][place], tree["categories_sizes"][place]
    return list(tree["categories"][start : start + size])


def forest_trees(trees: Sequence[Any], values: Iterable[Floats]) -> list[Tree]:
    """Trees of scikit-learn, each with what its nodes add: shape (nodes, outputs). It compares float32 with float64."""
    return [_sklearn_tree(tree, leaf) for tree, leaf in zip(trees, values, strict=True)]


def _sklearn_tree(tree: Any, values: Floats) -> Tree:
    return Tree(
        mode=np.full(tree.node_count, LESS_OR_EQUAL, np.uint8),
        feature=np.maximum(tree.feature, 0).astype(np.int64),
        threshold=tree.threshold,
        members={},
        true=tree.children_left.astype(np.int64),
        false=tree.children_right.astype(np.int64),
        missing_is_true=tree.missing_go_to_left.astype(np.int64),
        leaf=np.where(tree.children_left[:, None] < 0, values, 0.0),
    )


def histogram_tree(nodes: Any, output: int, outputs: int) -> Tree:
    """A tree of scikit-learn's histogram gradient boosting, without categories, which adds to one of the outputs."""
    is_leaf = nodes["is_leaf"].astype(bool)
    leaf = np.zeros((len(nodes), outputs))
    leaf[:, output] = np.where(is_leaf, nodes["value"], 0.0)
    return Tree(
        mode=np.full(len(nodes), LESS_OR_EQUAL, np.uint8),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        members={},
        true=np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
        false=np.where(is_leaf, -1, nodes["right"].astype(np.int64)),
        missing_is_true=nodes["missing_go_to_left"].astype(np.int64),
        leaf=leaf,
    )
