"""A point of the space in Optuna's words: its samplers, what it is asked for, and what it calls the values."""

from __future__ import annotations

import math
import warnings
from typing import Final

import optuna

from raysweep.records.trial import Params
from raysweep.space import FamilySpace, Param, ParamValue

STARTUP_TRIALS: Final = 10


def make_sampler(algorithm: str, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler for one proposal: its random numbers do not depend on how many were asked for before."""
    if algorithm == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # multivariate, group and constant_liar are marked experimental
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True, constant_liar=True
        )


def suggest(trial: optuna.Trial, family: str, section: FamilySpace) -> Params:
    """The values that Optuna proposes for a family's parameters, as far as their conditions hold."""
    values: dict[str, ParamValue] = {}
    for name in section.ordered:
        if section.is_active(name, values):
            param = section.params[name]
            values[name] = _suggest_one(trial, key_of(family, name), param)
    return values


def _suggest_one(trial: optuna.Trial, key: str, param: Param) -> ParamValue:
    if param.choice is not None:
        return param.choice[trial.suggest_categorical(key, range(len(param.choice)))]
    low, high = param.bounds
    if param.step is not None:
        high = low + math.floor((high - low) / param.step + 1e-9) * param.step  # the last one on the grid
    if param.int_ is not None:
        return trial.suggest_int(key, int(low), int(high), step=int(param.step or 1), log=param.log)
    return trial.suggest_float(key, low, high, step=param.step, log=param.log)


def key_of(family: str, name: str) -> str:
    """What Optuna calls a parameter."""
    return f"{family}.{name}"


def encode(param: Param, value: ParamValue) -> object:
    """A choice travels as its position, since Optuna takes 1, 1.0 and True for one value."""
    if param.choice is None:
        return value
    return next(
        position for position, option in enumerate(param.choice) if type(option) is type(value) and option == value
    )
