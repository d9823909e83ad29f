"""Whether a fitted estimator of the user's own can be published, so that another process can load it."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from raysweep.config import TaskKind
from raysweep.errors import RequestInvalid
from raysweep.training.families import families
from raysweep.training.family import Family
from raysweep.training.learner import FitSetting, Matrix
from raysweep.training.pipeline import Pipeline
from raysweep.training.sklearn_family import MODEL_FILE, SklearnLearner
from raysweep.training.trusted import undeclared_types

_ROWS: Final = 60
_METRIC: Final = {TaskKind.BINARY: "roc_auc", TaskKind.REGRESSION: "rmse"}


@dataclass(frozen=True, slots=True)
class EstimatorSource:
    """Where the class of an estimator comes from.

    Attributes:
        type: its dotted name.
        package: name and version of the installed package that it is in; empty where it is in none.
    """

    type: str
    package: str


def estimator_source(pipeline: Pipeline) -> EstimatorSource | None:
    """The user's own class in a pipeline; None for a family that needs none but raysweep's."""
    kind = _own_class(pipeline)
    if kind is None:
        return None
    owners = packages_distributions().get(kind.__module__.partition(".")[0], [])
    package = f"{owners[0]} {version(owners[0])}" if owners else ""
    return EstimatorSource(_dotted(kind), package)


def declared_types(family_name: str) -> tuple[str, ...]:
    """The types that a family has declared for its files, beside those of raysweep's list."""
    own = families()[family_name].own
    return () if own is None else own.trusted


def why_no_model(pipeline: Pipeline) -> str:
    """Why a pipeline cannot be published, in words; empty where it can."""
    kind = _own_class(pipeline)
    if kind is None:
        return ""
    if not is_importable(kind):
        return (
            f"{_dotted(kind)} is defined in a notebook, a script or a function, and cannot be imported elsewhere: "
            "parameters and scores are published, the model is not. Move the class into a module, and register it from "
            "there"
        )
    with tempfile.TemporaryDirectory(prefix="raysweep-own-") as folder:
        try:
            pipeline.learner.save(Path(folder))
        except Exception as error:  # noqa: BLE001 - what skops raises for a type that it cannot write is of many types
            return f"{_dotted(kind)} cannot be written without pickle: {type(error).__name__}: {error}"
        undeclared = undeclared_types(Path(folder) / MODEL_FILE, declared_types(pipeline.family))
    return _words(kind, undeclared) if undeclared else ""


def check_types(family: Family) -> None:
    """Fit the estimator to a few made-up rows, and look at which types its file would hold.

    What cannot be fitted or written like that says nothing, and is not refused.

    Raises:
        RequestInvalid: it holds types that are not declared.
    """
    for task in sorted(family.tasks & set(_METRIC)):
        kind = _class_of(family, task)
        if kind is None or family.own is None or not is_importable(kind):
            continue
        undeclared = _types_after_a_fit(family, task, family.own.trusted)
        if undeclared:
            raise RequestInvalid(f"the family {family.name!r}: {_words(kind, undeclared)}", problems=undeclared)


def _types_after_a_fit(family: Family, task: TaskKind, declared: tuple[str, ...]) -> tuple[str, ...]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(_ROWS, 3))
    y = (values[:, 0] > 0).astype(np.float64) if task.is_classification else values[:, 0]
    setting = FitSetting(task, 2 if task.is_classification else 0, 0, 1, 2, _METRIC[task])
    state = np.random.get_state()  # noqa: NPY002 - an estimator may draw from it, and the program must not notice
    try:
        with tempfile.TemporaryDirectory(prefix="raysweep-own-") as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            learner = family.load_learner()(family.defaults, setting)
            learner.grow(Matrix(values, y, None, (), {}), 1.0)
            learner.save(Path(folder))
            return undeclared_types(Path(folder) / MODEL_FILE, declared)
    except Exception:  # noqa: BLE001 - a few made-up rows may be too few for it
        return ()
    finally:
        np.random.set_state(state)  # noqa: NPY002 - as above


def _own_class(pipeline: Pipeline) -> type[Any] | None:
    learner = pipeline.learner
    if families()[pipeline.family].own is None or not isinstance(learner, SklearnLearner):
        return None
    return learner.kind


def _words(kind: type[Any], undeclared: tuple[str, ...]) -> str:
    listed = ", ".join(repr(one) for one in undeclared)
    return (
        f"a fitted {kind.__name__} holds types that are not declared, and no process would load it: look at what they "
        f"are, and declare them with trusted=({listed},)"
    )


def _class_of(family: Family, task: TaskKind) -> type[Any] | None:
    if family.own is None:
        return None
    return family.own.regressor if task is TaskKind.REGRESSION else family.own.classifier


def _dotted(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def is_importable(kind: type[Any]) -> bool:
    """Whether its dotted name leads to a class elsewhere too; what is in `__main__` is another thing there."""
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        return False
    try:
        found: Any = import_module(kind.__module__)
    except ImportError:
        return False
    return getattr(found, kind.__qualname__.partition(".")[0], None) is not None
