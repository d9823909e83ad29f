"""Ensembles of trees as ONNX operators, and in which order they are added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from onnx import numpy_helper

from raysweep.training.onnx_graph import Graph
from raysweep.training.onnx_trees import LESS, LESS_OR_EQUAL, Tree

_OLD_MODES: Final = {LESS_OR_EQUAL: b"BRANCH_LEQ", LESS: b"BRANCH_LT"}


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
