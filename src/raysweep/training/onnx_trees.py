"""Ensembles of trees as ONNX operators: those of XGBoost and of scikit-learn, each compared as its library does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from raysweep.training.learner import Floats
from raysweep.training.onnx_graph import Graph

_LESS_OR_EQUAL, _LESS, _MEMBER = 0, 1, 6  # modes of ai.onnx.ml.TreeEnsemble
_OLD_MODES: Final = {_LESS_OR_EQUAL: b"BRANCH_LEQ", _LESS: b"BRANCH_LT"}
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
        mode=np.where(is_set, _MEMBER, _LESS).astype(np.uint8),
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
        mode=np.full(tree.node_count, _LESS_OR_EQUAL, np.uint8),
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
        mode=np.full(len(nodes), _LESS_OR_EQUAL, np.uint8),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        members={},
        true=np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
        false=np.where(is_leaf, -1, nodes["right"].astype(np.int64)),
        missing_is_true=nodes["missing_go_to_left"].astype(np.int64),
        leaf=leaf,
    )


def add_trees(graph: Graph, matrix: str, trees: Sequence[Tree], outputs: int) -> str:
    """The sums of the trees' leaves, in the trees' order; the output has as many columns as `outputs`.

    Where a leaf adds to one output, as it always does in trees with sets, this is the operator that came with version 5
    of ai.onnx.ml; a leaf that adds to several is known to the one before it alone.
    """
    if any((np.count_nonzero(tree.leaf, axis=1) > 1).any() for tree in trees):
        graph.ml_opset = 3
        return _add_old(graph, matrix, trees, outputs)
    graph.ml_opset = 5
    return _add_new(graph, matrix, trees, outputs)


def add_trees_in_order(graph: Graph, matrix: str, trees: Sequence[Tree], outputs: int) -> str:
    """As `add_trees`, of leaves that add to one output each; rounded after each tree, whatever runs the model.

    A runtime that shares the trees of `add_trees` out among threads adds them in another order, and float32 then gives
    another sum. Here each tree has a column of its own, and `CumSum` adds these one after the other.
    """
    each: Counter[int] = Counter()
    apart = []
    for tree in trees:
        output = int(np.abs(tree.leaf).sum(axis=0).argmax())
        apart.append((tree, each[output] * outputs + output))
        each[output] += 1
    longest = max(each.values())
    graph.ml_opset = 5
    columns = _add_new(graph, matrix, [tree for tree, _ in apart], longest * outputs, [place for _, place in apart])
    shaped = graph.op("Reshape", columns, graph.constant(np.array([-1, longest, outputs])))
    sums = graph.op("CumSum", shaped, graph.constant(np.int64(1)))
    return graph.op("Gather", sums, graph.constant(np.int64(longest - 1)), axis=1)


def _add_old(graph: Graph, matrix: str, trees: Sequence[Tree], outputs: int) -> str:
    """`TreeEnsembleRegressor`; it computes in the trees' type and gives out float32."""
    sizes = [len(tree.mode) for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    joined = _joined(trees)
    is_leaf = joined.true < 0
    weights = joined.leaf[is_leaf]
    modes = [b"LEAF" if leaf else _OLD_MODES[mode] for leaf, mode in zip(is_leaf, joined.mode.tolist(), strict=True)]
    return graph.ml_op(
        "TreeEnsembleRegressor",
        matrix,
        n_targets=outputs,
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_featureids=joined.feature.tolist(),
        nodes_modes=modes,
        nodes_values_as_tensor=numpy_helper.from_array(joined.threshold, "nodes_values"),
        nodes_truenodeids=np.maximum(joined.true, 0).tolist(),
        nodes_falsenodeids=np.maximum(joined.false, 0).tolist(),
        nodes_missing_value_tracks_true=joined.missing_is_true.tolist(),
        target_treeids=np.repeat(tree_ids[is_leaf], outputs).tolist(),
        target_nodeids=np.repeat(node_ids[is_leaf], outputs).tolist(),
        target_ids=np.tile(np.arange(outputs), len(weights)).tolist(),
        target_weights_as_tensor=numpy_helper.from_array(weights.ravel(), "target_weights"),
    )


def _add_new(
    graph: Graph, matrix: str, trees: Sequence[Tree], outputs: int, targets: Sequence[int] | None = None
) -> str:
    """`TreeEnsemble`, which counts branches and leaves apart, each over all trees; `targets`: one a tree."""
    branching = [_branching(tree) for tree in trees]
    offsets = np.cumsum([0, *(len(tree.mode) for tree in branching)])[:-1]
    joined = _joined([_shifted(tree, int(offset)) for tree, offset in zip(branching, offsets, strict=True)])
    is_leaf = joined.true < 0
    place = np.where(is_leaf, np.cumsum(is_leaf), np.cumsum(~is_leaf)) - 1
    branches = np.flatnonzero(~is_leaf)
    kept = joined.threshold.dtype
    true, false = joined.true[branches], joined.false[branches]
    sets = [value for node in branches.tolist() if node in joined.members for value in (*joined.members[node], np.nan)]
    members = {"membership_values": numpy_helper.from_array(np.asarray(sets, kept), "members")} if sets else {}
    target = np.abs(joined.leaf).argmax(axis=1)
    if targets is not None:
        target = np.repeat(targets, [len(tree.mode) for tree in branching])
    return graph.ml_op(
        "TreeEnsemble",
        matrix,
        n_targets=outputs,
        aggregate_function=1,  # the sum
        post_transform=0,  # nothing
        tree_roots=place[offsets].tolist(),
        nodes_modes=numpy_helper.from_array(joined.mode[branches], "nodes_modes"),
        nodes_featureids=joined.feature[branches].tolist(),
        nodes_splits=numpy_helper.from_array(joined.threshold[branches], "nodes_splits"),
        nodes_truenodeids=place[true].tolist(),
        nodes_trueleafs=is_leaf[true].astype(int).tolist(),
        nodes_falsenodeids=place[false].tolist(),
        nodes_falseleafs=is_leaf[false].astype(int).tolist(),
        nodes_missing_value_tracks_true=joined.missing_is_true[branches].tolist(),
        leaf_targetids=target[is_leaf].tolist(),
        leaf_weights=numpy_helper.from_array(joined.leaf[is_leaf].sum(axis=1).astype(kept), "leaf_weights"),
        **members,
    )


def _branching(tree: Tree) -> Tree:
    """The tree; one that is a leaf as a branch both of whose ways lead to it, as `TreeEnsemble` wants it."""
    if len(tree.mode) > 1:
        return tree
    ways, nothing = np.array([1, -1]), np.zeros(2, np.int64)
    leaf = np.concatenate([tree.leaf * 0, tree.leaf])
    return Tree(nothing.astype(np.uint8), nothing, nothing.astype(tree.threshold.dtype), {}, ways, ways, nothing, leaf)


def _shifted(tree: Tree, offset: int) -> Tree:
    """The tree with its nodes numbered from `offset`."""
    return replace(
        tree,
        true=np.where(tree.true < 0, -1, tree.true + offset),
        false=np.where(tree.false < 0, -1, tree.false + offset),
        members={node + offset: values for node, values in tree.members.items()},
    )


def _joined(trees: Sequence[Tree]) -> Tree:
    """The nodes of all trees, one tree after the other."""
    return Tree(
        mode=np.concatenate([tree.mode for tree in trees]),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        members={node: values for tree in trees for node, values in tree.members.items()},
        true=np.concatenate([tree.true for tree in trees]),
        false=np.concatenate([tree.false for tree in trees]),
        missing_is_true=np.concatenate([tree.missing_is_true for tree in trees]),
        leaf=np.concatenate([tree.leaf for tree in trees]),
    )
