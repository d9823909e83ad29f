"""The registry of families: what each can learn, its parameters with their defaults, how it wants its columns.

A family is an algorithm as the search sees it. This module imports no learner: `Family.learner` names the class that
does the work, and it is imported in the process that fits. Installed packages add families through the entry point
group `raysweep.families` (each entry point is a `Family`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from raysweep.config import TaskKind
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid
from raysweep.space import FamilySpace, ParamValue, SearchSpace, check_families

if TYPE_CHECKING:
    from raysweep.training.learner import Learner

_CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
_NUMBERS = frozenset({TaskKind.REGRESSION})
_ANY = _CLASSES | _NUMBERS
ENTRY_POINTS = "raysweep.families"
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
    """

    name: str
    tasks: frozenset[TaskKind]
    defaults: Mapping[str, ParamValue]
    learner: str
    rounds: int | None = None
    scaled: bool = False
    uses_gpu: bool = False
    encodings: tuple[str, ...] = ENCODINGS

    def load_learner(self) -> type[Learner]:
        """The class that fits it; imports the library it needs."""
        module, _, name = self.learner.partition(":")
        return cast("type[Learner]", getattr(import_module(module), name))


_SKLEARN = "raysweep.training.sklearn_family"
_FOREST: Mapping[str, ParamValue] = {
    "max_depth": None,
    "min_samples_leaf": 1,
    "min_samples_split": 2,
    "max_leaf_nodes": None,
    "encoding": "ordinal",
}
_DENSE = ("ordinal", "target")
_NUMERIC = ("ordinal", "onehot", "target")
_SHIPPED = (
    Family(
        "xgboost",
        _ANY,
        {
            "learning_rate": 0.3,
            "max_depth": 6,
            "min_child_weight": 1.0,
            "subsample": 1.0,
            "colsample_bytree": 1.0,
            "colsample_bylevel": 1.0,
            "reg_lambda": 1.0,
            "reg_alpha": 0.0,
            "gamma": 0.0,
            "max_bin": 256,
            "grow_policy": "depthwise",
            "max_leaves": 0,
            "scale_pos_weight": 1.0,
            "max_delta_step": 0.0,
            "tree_method": "hist",
            "encoding": "ordinal",
            "max_cat_to_onehot": 4,
        },
        "raysweep.training.xgboost_family:XGBoostLearner",
        rounds=2000,
        uses_gpu=True,
    ),
    Family(
        "hist_gradient_boosting",
        _ANY,
        {
            "learning_rate": 0.1,
            "max_leaf_nodes": 31,
            "max_depth": None,
            "min_samples_leaf": 20,
            "l2_regularization": 0.0,
            "max_features": 1.0,
            "max_bins": 255,
            "encoding": "ordinal",
        },
        f"{_SKLEARN}:HistGradientBoostingLearner",
        rounds=1000,
        encodings=_DENSE,
    ),
    Family(
        "random_forest",
        _ANY,
        {**_FOREST, "max_features": None, "max_samples": None},
        f"{_SKLEARN}:RandomForestLearner",
        rounds=200,
        encodings=_DENSE,
    ),
    Family(
        "extra_trees",
        _ANY,
        {**_FOREST, "max_features": None},
        f"{_SKLEARN}:ExtraTreesLearner",
        rounds=200,
        encodings=_DENSE,
    ),
    Family(
        "logistic_regression",
        _CLASSES,
        {"C": 1.0, "max_iter": 300, "class_weight": None, "encoding": "onehot"},
        f"{_SKLEARN}:LogisticRegressionLearner",
        scaled=True,
        encodings=_NUMERIC,
    ),
    Family(
        "ridge",
        _NUMBERS,
        {"alpha": 1.0, "encoding": "onehot"},
        f"{_SKLEARN}:RidgeLearner",
        scaled=True,
        encodings=_NUMERIC,
    ),
    Family(
        "k_neighbors",
        _ANY,
        {"n_neighbors": 5, "weights": "uniform", "p": 2, "encoding": "target"},
        f"{_SKLEARN}:KNeighborsLearner",
        scaled=True,
        encodings=_NUMERIC,
    ),
)


@cache
def families() -> Mapping[str, Family]:
    """Every family by name: the shipped ones, then those of installed packages."""
    known = {family.name: family for family in _SHIPPED}
    for point in entry_points(group=ENTRY_POINTS):
        family = point.load()
        known.setdefault(family.name, family)
    return known


def fitting_space(space: SearchSpace, task: TaskKind) -> tuple[SearchSpace, tuple[str, ...]]:
    """The families of `space` that can learn the task, and the names of those left out.

    Raises:
        RequestInvalid: a family or parameter does not exist, or none can learn the task.
    """
    check_space(space)
    kept = {name: section for name, section in space.families.items() if task in families()[name].tasks}
    left_out = tuple(name for name in space.families if name not in kept)
    if not kept:
        able = ", ".join(name for name, family in families().items() if task in family.tasks)
        raise RequestInvalid(
            f"search.space: {', '.join(left_out)} cannot learn a {task.value} task; families that can: {able}"
        )
    return space.model_copy(update={"families": kept}), left_out


def check_space(space: SearchSpace) -> None:
    """Refuse families, parameters and encodings that do not exist.

    Raises:
        RequestInvalid: with every problem.
    """
    check_families(space, {name: frozenset(family.defaults) for name, family in families().items()})
    problems = [
        f"families.{family}: no encoding {value!r}{suggest(str(value), known)} (it takes {', '.join(known)})"
        for family, section in space.families.items()
        for known in [families()[family].encodings]
        for value in _encodings_in(section)
        if value not in known
    ]
    if problems:
        raise RequestInvalid("search.space: " + "; ".join(problems), problems=problems)


def _encodings_in(section: FamilySpace) -> tuple[ParamValue, ...]:
    searched = section.params.get("encoding")
    if searched is None:
        return (section.fixed["encoding"],) if "encoding" in section.fixed else ()
    return searched.choice or (str(searched),)
