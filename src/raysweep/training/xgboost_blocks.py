"""Rows in blocks as one binned matrix of XGBoost: only the bins of all rows are held, in memory or on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xgboost as xgb

from raysweep.training.learner import Blocks, Matrix


class BlockIterator(xgb.DataIter):  # type: ignore[misc]  # untyped
    """Hands blocks to XGBoost, which reads them several times: for the cuts of the bins, and for the bins.

    Args:
        blocks: gives them anew.
        types: what XGBoost has to know of a block's columns.
        cache: a folder for the bins, where memory has no room for them.
    """

    def __init__(self, blocks: Blocks, types: Callable[[Matrix], dict[str, Any]], cache: Path | None = None) -> None:
        self._blocks = blocks
        self._types = types
        self._left: Iterator[Matrix] = iter(())
        super().__init__(cache_prefix=None if cache is None else str(cache / "bins"))

    def reset(self) -> None:
        """Begin again."""
        self._left = self._blocks()

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next block; False where there is none."""
        block = next(self._left, None)
        if block is None:
            return False
        types = {name: value for name, value in self._types(block).items() if name != "enable_categorical"}
        input_data(data=block.values, label=block.y, weight=block.weight, **types)
        return True


def binned_blocks(blocks: BlockIterator, *, max_bin: int, threads: int, categorical: bool) -> xgb.DMatrix:
    """The binned matrix of all blocks; on disk where the iterator has a folder for it."""
    kind = xgb.QuantileDMatrix if blocks.cache_prefix is None else xgb.ExtMemQuantileDMatrix
    return kind(blocks, max_bin=max_bin, nthread=threads, enable_categorical=categorical)
