"""Families of the user's own: any scikit-learn-compatible estimator, treated as a shipped one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from sklearn.utils.validation import has_fit_parameter

from raysweep.space import ParamValue
from raysweep.training.families import register
from raysweep.training.family import Family
from raysweep.training.learner import Floats
from raysweep.training.own_checks import Asked, check_asked
from raysweep.training.own_export import check_types, is_importable
from raysweep.training.sklearn_family import SklearnLearner


@dataclass(frozen=True, slots=True)
class Estimators:
    """The classes of an estimator that is not raysweep's.

    Attributes:
        classifier, regressor: None where it cannot learn that.
        growing: its parameter that counts rounds; empty where there is none.
        trusted: what its skops file may hold: the classes themselves, and the types that were declared.
    """

    classifier: type[Any] | None
    regressor: type[Any] | None
    growing: str
    trusted: tuple[str, ...]


class OwnLearner(SklearnLearner):
    """One fit of such an estimator. What it is told beside its parameters, it is told if it takes it."""

    estimators: ClassVar[Estimators]

    @staticmethod
    @cache
    def of(estimators: Estimators) -> type[OwnLearner]:
        """The learner of these classes."""
        told = {
            "__module__": __name__,
            "estimators": estimators,
            "classifier": estimators.classifier,
            "regressor": estimators.regressor,
            "growing": estimators.growing,
            "trusted": estimators.trusted,
        }
        return type("OwnLearner", (OwnLearner,), told)

    def _make(self, rows: int) -> Any:  # noqa: ARG002 - as in SklearnLearner
        made = self.kind(**self._params)
        told: dict[str, Any] = {"random_state": self._setting.seed % 2**31, "n_jobs": self._setting.threads}
        if self.growing:
            told["warm_start"] = True
        known = made.get_params(deep=False)
        taken = {name: value for name, value in told.items() if name in known}
        return made.set_params(**taken) if taken else made

    def _weights(self, weight: Floats | None) -> dict[str, Floats]:
        takes = weight is not None and has_fit_parameter(self._model, "sample_weight")
        return {"sample_weight": weight} if takes and weight is not None else {}

    def __reduce__(self) -> tuple[Any, ...]:
        """The class is made anew where it goes to."""
        return _revive, (self.estimators, self.__dict__)


def _revive(estimators: Estimators, state: dict[str, Any]) -> OwnLearner:
    learner = object.__new__(OwnLearner.of(estimators))
    learner.__dict__.update(state)
    return learner


def make_family(  # noqa: PLR0913 - each argument is one thing that a user says
    name: str,
    *,
    classifier: type[Any] | None = None,
    regressor: type[Any] | None = None,
    defaults: Mapping[str, ParamValue],
    encodings: Sequence[str] = ("ordinal", "target"),
    scaled: bool | None = None,
    growing: str = "",
    rounds: int | None = None,
    trusted: Sequence[str] = (),
    keeps_rows: bool = True,
    uses_gpu: bool = False,
) -> Family:
    """A family that is a scikit-learn-compatible estimator, for an entry point of a package in `raysweep.families`.

    `random_state`, `n_jobs` and `sample_weight` are given to the estimator if it takes them.

    Args:
        name: as search spaces call it.
        classifier: the class that learns binary and multiclass tasks; it has `predict_proba`.
        regressor: the class that learns numbers.
        defaults: every parameter that a space may search or fix, with the estimator's own value. They are the first
            candidate of the family, and all its classes take them.
        encodings: what may become of text columns: ordinal, target, and onehot for an estimator that takes sparse
            matrices. The first is the default of `encoding`, unless `defaults` says another.
        scaled: numbers are standardized and their gaps filled. None: unless the estimator's tags say that it takes
            missing values.
        growing: the parameter that counts rounds, for an estimator with `warm_start` that goes on from the rounds that
            it has; without it, less effort is a fit on fewer rows.
        rounds: full effort in such rounds.
        trusted: the dotted names of the types, beside the classes themselves, that a fitted estimator holds.
        keeps_rows: whether a fitted estimator holds rows that it was fitted on, as nearest neighbours do. A sweep with
            `export.rows: none` leaves such families out.
        uses_gpu: whether it uses a GPU where it finds one: its trials get `search.trial.gpus`, those of others none.

    Raises:
        RequestInvalid: with every problem.
    """
    asked = Asked(name, classifier, regressor, dict(defaults), tuple(encodings), growing, rounds, tuple(trusted))
    takes_gaps = check_asked(asked)
    classes = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in asked.kinds)
    own = Estimators(classifier, regressor, growing, tuple(sorted({*classes, *trusted})))
    return Family(
        name,
        asked.tasks,
        {"encoding": asked.encodings[0], **asked.defaults},
        f"{__name__}:{OwnLearner.__name__}",
        rounds=rounds,
        scaled=not takes_gaps if scaled is None else scaled,
        encodings=asked.encodings,
        keeps_rows=keeps_rows,
        uses_gpu=uses_gpu,
        own=own,
    )


def register_family(  # noqa: PLR0913 - as make_family
    name: str,
    *,
    classifier: type[Any] | None = None,
    regressor: type[Any] | None = None,
    defaults: Mapping[str, ParamValue],
    encodings: Sequence[str] = ("ordinal", "target"),
    scaled: bool | None = None,
    growing: str = "",
    rounds: int | None = None,
    trusted: Sequence[str] = (),
    keeps_rows: bool = True,
    uses_gpu: bool = False,
) -> Family:
    """Let the sweeps of this program search an estimator of the user's own; see `make_family` for the arguments.

    A family that was registered under the same name before is replaced. Each class is fitted to a few made-up rows, to
    find out which types it holds. A class that cannot be imported elsewhere gets a warning.

    Raises:
        RequestInvalid: an argument is wrong, the name is taken, or the fitted estimator holds types that are not
            declared.
    """
    family = make_family(
        name,
        classifier=classifier,
        regressor=regressor,
        defaults=defaults,
        encodings=encodings,
        scaled=scaled,
        growing=growing,
        rounds=rounds,
        trusted=trusted,
        keeps_rows=keeps_rows,
        uses_gpu=uses_gpu,
    )
    check_types(family)
    register(family)
    for kind in filter(None, (classifier, regressor)):
        if not is_importable(kind):
            warnings.warn(
                f"{kind.__name__} is defined in a notebook, a script or a function: a sweep that it wins publishes its "
                "parameters and scores, but no model; move it into a module for that",
                stacklevel=2,
            )
    return family
