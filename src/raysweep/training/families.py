"""The registry of families: what each can learn, its parameters with their defaults, how it wants its columns.

This module imports no learner: `Family.learner` names the class that does the work. Installed packages add families
through the entry point group `raysweep.families` (each entry point is a `Family` of its own name); a program adds them
by `raysweep.register_family`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from raysweep.config import TaskKind
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid
from raysweep.space import FamilySpace, ParamValue, SearchSpace, check_families
from raysweep.training.family import Family

_CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
_NUMBERS = frozenset({TaskKind.REGRESSION})
_ANY = _CLASSES | _NUMBERS
ENTRY_POINTS = "raysweep.families"


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
        takes_blocks=True,
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
        keeps_rows=True,
    ),
)


_registered: dict[str, Family] = {}


def families() -> Mapping[str, Family]:
    """Every family by name: the shipped ones, those of installed packages, those that were registered."""
    return {**_installed(), **_registered}


def added_families() -> tuple[Family, ...]:
    """Those that are not shipped; another process has to be told of them."""
    return tuple(family for name, family in families().items() if not is_shipped(name))


def is_shipped(name: str) -> bool:
    """Whether a family comes with raysweep."""
    return any(family.name == name for family in _SHIPPED)


def register(family: Family) -> None:
    """Add a family in this process, or replace the one that was registered under its name.

    Raises:
        RequestInvalid: a shipped family or one of an installed package has that name.
    """
    if is_shipped(family.name):
        raise RequestInvalid(f"{family.name!r} is a family that comes with raysweep; choose another name")
    for point in entry_points(group=ENTRY_POINTS, name=family.name):
        raise RequestInvalid(
            f"{family.name!r} is a family of the installed package {_package(point)}; choose another name, or, in that "
            "package itself, make the family with raysweep.make_family"
        )
    _registered[family.name] = family


def take_up(added: Iterable[Family]) -> None:
    """Know the families that another process has added."""
    _registered.update({family.name: family for family in added})


@cache
def _installed() -> Mapping[str, Family]:
    known = {family.name: family for family in _SHIPPED}
    for point in entry_points(group=ENTRY_POINTS):
        known.setdefault(point.name, _load(point))
    return known


def _load(point: EntryPoint) -> Family:
    """The family behind an entry point.

    Raises:
        RequestInvalid: it cannot be imported, is no `Family`, or has another name.
    """
    place = f"the entry point {point.name!r} of the package {_package(point)} in the group {ENTRY_POINTS}"
    try:
        family = point.load()
    except Exception as error:  # what other people's code raises at import
        raise RequestInvalid(f"{place} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(family, Family):
        raise RequestInvalid(f"{place} is a {type(family).__name__}, not what raysweep.make_family gives")
    if family.name != point.name:
        raise RequestInvalid(f"{place} is a family that calls itself {family.name!r}; let both have one name")
    return family


def _package(point: EntryPoint) -> str:
    return "?" if point.dist is None else f"{point.dist.name} {point.dist.version}"


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


def space_without_rows(space: SearchSpace) -> tuple[SearchSpace, tuple[str, ...]]:
    """The families of `space` whose fitted models hold no rows of the table, and the names of those left out.

    Raises:
        RequestInvalid: none is left.
    """
    known = families()
    left_out = tuple(name for name in space.families if known[name].keeps_rows)
    kept = {name: section for name, section in space.families.items() if name not in left_out}
    if not kept:
        raise RequestInvalid(
            f"export.rows is none, but a model of {' or '.join(left_out)} holds rows that it was fitted on: search "
            "other families, or publish rows. An estimator of yours that holds none is registered with keeps_rows=False"
        )
    return space.model_copy(update={"families": kept}), left_out


def possible_spaces(space: SearchSpace, task: TaskKind | None) -> list[SearchSpace]:
    """What `space` may come to: for the task; where that is not known yet, for each that its families can learn."""
    tasks = [kind for kind in TaskKind if any(kind in families()[name].tasks for name in space.families)]
    return [fitting_space(space, kind)[0] for kind in ([task] if task else tasks)]


def full_rounds(family: str, space: SearchSpace) -> int | None:
    """Full effort of a family in a space, in rounds; None for one that does not grow in rounds."""
    own = families()[family].rounds
    return None if own is None else space.families[family].effort.rounds or own


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
