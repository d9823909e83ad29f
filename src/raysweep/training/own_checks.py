"""What is asked of an estimator of the user's own before it becomes a family."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any, Final

from sklearn.utils import get_tags

from raysweep.config import TaskKind
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid

ENCODINGS: Final = ("ordinal", "target", "onehot")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_METHODS: Final = ("get_params", "set_params", "fit", "predict")
_GIVEN: Final = {
    "random_state": "derives from the sweep's seed",
    "n_jobs": "is search.trial.cpus",
    "warm_start": "follows from growing",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user says of an estimator; see `raysweep.training.own_family.make_family`."""

    name: str
    classifier: type[Any] | None
    regressor: type[Any] | None
    defaults: dict[str, Any]
    encodings: tuple[str, ...]
    growing: str
    rounds: int | None
    trusted: tuple[str, ...]

    @property
    def kinds(self) -> tuple[type[Any], ...]:
        """The classes."""
        return tuple(kind for kind in (self.classifier, self.regressor) if kind is not None)

    @property
    def tasks(self) -> frozenset[TaskKind]:
        """What it can learn."""
        classes = {TaskKind.BINARY, TaskKind.MULTICLASS} if self.classifier is not None else set()
        return frozenset(classes | ({TaskKind.REGRESSION} if self.regressor is not None else set()))


def check_asked(asked: Asked) -> bool:
    """Whether all classes take missing values, by what their tags say.

    Raises:
        RequestInvalid: with every problem.
    """
    problems = [*_plain_problems(asked), *_default_problems(asked)]
    made = []
    for kind in asked.kinds:
        found = _class_problems(kind)
        problems += found
        if not found and not problems:
            made.append(_make(kind, asked, problems))
    if problems:
        raise RequestInvalid(f"the family {asked.name!r}: {'; '.join(problems)}", problems=problems)
    return all(_takes_gaps(one) for one in made)


def _plain_problems(asked: Asked) -> list[str]:
    problems = []
    if not _NAME.fullmatch(str(asked.name)):
        problems.append("its name must be letters, digits and _, such as naive_bayes, as search spaces write it")
    if not asked.kinds:
        problems.append("give classifier=, regressor=, or both")
    if not asked.encodings:
        problems.append("encodings must name one at least")
    chosen = [asked.defaults["encoding"]] if "encoding" in asked.defaults else []
    problems += [
        f"no encoding {one!r}{suggest(str(one), ENCODINGS)} (there are {', '.join(ENCODINGS)})"
        for one in asked.encodings
        if one not in ENCODINGS
    ]
    problems += [f"the default encoding {one!r} is not among encodings" for one in chosen if one not in asked.encodings]
    if bool(asked.growing) != (asked.rounds is not None):
        problems.append("growing= (the parameter that counts rounds) and rounds= (full effort) go together")
    if asked.rounds is not None and asked.rounds < 1:
        problems.append(f"rounds must be 1 or more, not {asked.rounds}")
    problems += [
        f"trusted: {one!r} is no dotted name of a type, such as package.module.Type"
        for one in asked.trusted
        if not _DOTTED.fullmatch(str(one))
    ]
    return problems


def _default_problems(asked: Asked) -> list[str]:
    problems = [f"defaults: {name!r} {why}; leave it out" for name, why in _GIVEN.items() if name in asked.defaults]
    if asked.growing in asked.defaults:
        problems.append(f"defaults: {asked.growing!r} counts the rounds; leave it out, and say rounds=")
    problems += [
        f"defaults: {name!r} is a {type(value).__name__}, and a space holds numbers, texts, booleans and null"
        for name, value in asked.defaults.items()
        if value is not None and not isinstance(value, bool | int | float | str)
    ]
    return problems


def _class_problems(kind: type[Any]) -> list[str]:
    if not inspect.isclass(kind):
        return [f"{kind!r} is no class: give the class itself, and its parameters as defaults"]
    lacking = [name for name in _METHODS if not callable(getattr(kind, name, None))]
    if lacking:
        return [f"{kind.__name__} is not scikit-learn-compatible: it has no {', '.join(lacking)}"]
    return []


def _make(kind: type[Any], asked: Asked, problems: list[str]) -> Any:
    """The estimator with its defaults; what is wrong with it is added to the problems."""
    values = {name: value for name, value in asked.defaults.items() if name != "encoding"}
    unknown = _unknown(kind, values)
    made = None
    if not unknown:
        try:
            made = kind(**values)
        except Exception as error:  # noqa: BLE001 - what a constructor of the user's raises
            problems.append(f"{kind.__name__} cannot be made with its defaults: {type(error).__name__}: {error}")
            return None
        known = made.get_params(deep=False)
        unknown = [f"{name!r}{suggest(name, known)}" for name in values if name not in known]
        problems += _growing_problems(kind, asked, known)
    problems += [f"defaults: {kind.__name__} has no parameter {one}" for one in unknown]
    if made is not None and kind is asked.classifier and not hasattr(made, "predict_proba"):
        problems.append(
            f"{kind.__name__} has no predict_proba, and a classifier is scored by its probabilities: give it one, for "
            "instance by a class of your own around sklearn.calibration.CalibratedClassifierCV"
        )
    return made


def _unknown(kind: type[Any], values: dict[str, Any]) -> list[str]:
    """Those values that the constructor does not take, with what may be meant."""
    taken = inspect.signature(kind).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values()):
        return []
    return [f"{name!r}{suggest(name, taken)}" for name in values if name not in taken]


def _growing_problems(kind: type[Any], asked: Asked, known: dict[str, Any]) -> list[str]:
    if not asked.growing:
        return []
    return [
        f"growing: {kind.__name__} has no parameter {name!r}, and cannot go on from the rounds that it has"
        for name in (asked.growing, "warm_start")
        if name not in known
    ]


def _takes_gaps(made: Any) -> bool:
    try:
        return bool(get_tags(made).input_tags.allow_nan)
    except Exception:  # noqa: BLE001 - an estimator without scikit-learn's tags says nothing
        return False
