"""A family: an algorithm as the search sees it, with its parameters and how it wants its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from raysweep.config import TaskKind
from raysweep.space import ParamValue

if TYPE_CHECKING:
    from raysweep.training.learner import Learner
    from raysweep.training.own_family import Estimators

ENCODINGS = ("ordinal", "native", "onehot", "target")


@dataclass(frozen=True, slots=True)
class Family:
    """An algorithm as the search sees it.

    Attributes:
        tasks: what it can learn.
        defaults: every parameter that it knows, with the value that the library itself would use. They are always the
            first candidate of the family.
        rounds: full effort in rounds where the space does not say; None for a family that does not grow in rounds and
            spends more effort on more rows instead.
        learner: `module:Class` of its `raysweep.training.learner.Learner`.
        scaled: whether numbers are standardized and their gaps filled with the median.
        uses_gpu: whether it can run on a GPU.
        encodings: those of `raysweep.training.preprocess` that it can take.
        keeps_rows: whether a fitted one holds rows that it was fitted on, so that who has the model has them.
        takes_blocks: whether its learner is a `raysweep.training.learner.BlockLearner`.
        own: the classes of an estimator that is not raysweep's; None where `learner` is enough.
    """

    name: str
    tasks: frozenset[TaskKind]
    defaults: Mapping[str, ParamValue]
    learner: str
    rounds: int | None = None
    scaled: bool = False
    uses_gpu: bool = False
    encodings: tuple[str, ...] = ENCODINGS
    keeps_rows: bool = False
    takes_blocks: bool = False
    own: Estimators | None = None

    def load_learner(self) -> type[Learner]:
        """The class that fits it; imports the library it needs."""
        module, _, name = self.learner.partition(":")
        found: Any = getattr(import_module(module), name)
        return cast("type[Learner]", found if self.own is None else found.of(self.own))
