"""Which candidate to try next: the families' defaults, the space's starting points, then Optuna's ask and tell."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import optuna
from optuna.trial import TrialState as OptunaState

from raysweep.documents import digest
from raysweep.records.metric import Direction
from raysweep.records.trial import Candidate, Params, RungReport, TrialState
from raysweep.space import FamilySpace, Param, ParamValue, SearchSpace

STARTUP_TRIALS: Final = 10
MAX_REPEATS: Final = 50
FAMILY: Final = "family"

Defaults = Callable[[str], Mapping[str, ParamValue]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A candidate, and the Optuna trial it came from (None for a default outside of the space's bounds)."""

    candidate: Candidate
    optuna_trial: optuna.Trial | None


def candidate_digest(family: str, params: Params) -> str:
    """The identity of a candidate: the same family and params, whenever and wherever they are proposed."""
    return digest({"family": family, "params": dict(params)})[:16]


def seed_for(sweep_seed: int, params_digest: str) -> int:
    """The seed of a candidate's fits, from the sweep's seed and the digest of its params."""
    return int(digest([sweep_seed, params_digest])[:8], 16)


class Proposer:
    """Proposes candidates one at a time, and learns from how they ended.

    Args:
        space: the families that fit the task.
        defaults: for a family, all its parameters with the library's own values.
        rounds: for a family, its full effort in rounds, or None.
        algorithm: tpe (multivariate, with constant liar; Bergstra et al. 2011, Falkner et al. 2018) or random.
    """

    def __init__(
        self,
        space: SearchSpace,
        defaults: Defaults,
        rounds: Callable[[str], int | None],
        *,
        algorithm: str,
        direction: Direction,
        seed: int,
    ) -> None:
        self._space = space
        self._defaults = defaults
        self._rounds = rounds
        self._algorithm = algorithm
        self._seed = seed
        self._proposed = 0
        self._first: deque[tuple[str, str, Params]] = deque(self._first_points())
        self._study = _make_study(algorithm, direction, seed)

    def propose(self) -> Asked:
        """The next candidate."""
        if self._first:
            family, origin, values = self._first.popleft()
            return self._asked(family, self._complete(family, values), origin, self._enqueued(family, values))
        trial = self._study.ask()
        names = tuple(self._space.families)
        family = str(trial.suggest_categorical(FAMILY, names)) if len(names) > 1 else names[0]
        values = _suggest(trial, family, self._space.families[family])
        return self._asked(family, self._complete(family, values), self._algorithm, trial)

    def tell(self, asked: Asked, state: TrialState, rungs: Sequence[RungReport]) -> None:
        """Report how a candidate ended: complete with its score, pruned with its last rung, or failed."""
        trial = asked.optuna_trial
        if trial is None:
            return
        for report in rungs:
            trial.report(report.score, report.rung)
        if state is TrialState.COMPLETE and rungs:
            self._study.tell(trial, rungs[-1].score)
        elif state in {TrialState.PRUNED, TrialState.STOPPED} and rungs:
            self._study.tell(trial, state=OptunaState.PRUNED)
        else:
            self._study.tell(trial, state=OptunaState.FAIL)

    def told(self) -> dict[str, int]:
        """How many trials Optuna was told of, by Optuna's name of their state."""
        states = [trial.state.name for trial in self._study.get_trials(deepcopy=False)]
        return {name: states.count(name) for name in sorted(set(states))}

    def _first_points(self) -> list[tuple[str, str, Params]]:
        sections = self._space.families
        points: list[tuple[str, str, Params]] = [(family, "default", {}) for family in sections]
        points += [(family, "start", point) for family, section in sections.items() for point in section.start]
        return points

    def _complete(self, family: str, values: Params) -> Params:
        """The values with what is fixed and with the family's defaults, less what a condition rules out."""
        section = self._space.families[family]
        known = {**self._defaults(family), **section.fixed, **values}
        for name in section.ordered:
            if not section.is_active(name, known):
                known.pop(name, None)
        return known

    def _enqueued(self, family: str, values: Params) -> optuna.Trial | None:
        """The point as a trial that Optuna may learn from, where it lies inside of the space."""
        section = self._space.families[family]
        point = self._complete(family, values)
        wanted: dict[str, object] = {}
        for name in section.ordered:
            if not section.is_active(name, point):
                continue
            if name not in point or not section.params[name].contains(point[name]):
                return None
            wanted[_key(family, name)] = _encode(section.params[name], point[name])
        self._study.enqueue_trial({FAMILY: family, **wanted} if len(self._space.families) > 1 else wanted)
        trial = self._study.ask()
        if len(self._space.families) > 1:
            trial.suggest_categorical(FAMILY, tuple(self._space.families))
        _suggest(trial, family, section)
        return trial

    def _asked(self, family: str, params: Params, origin: str, trial: optuna.Trial | None) -> Asked:
        identity = candidate_digest(family, params)
        candidate = Candidate(
            number=self._proposed,
            family=family,
            params=dict(sorted(params.items())),
            digest=identity,
            origin=origin,
            seed=seed_for(self._seed, identity),
            rounds=self._rounds(family),
        )
        self._proposed += 1
        return Asked(candidate, trial)


def _make_study(algorithm: str, direction: Direction, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # multivariate, group and constant_liar are marked experimental
        sampler: optuna.samplers.BaseSampler
        if algorithm == "random":
            sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True, constant_liar=True
            )
        return optuna.create_study(direction=direction.value, sampler=sampler)


def _suggest(trial: optuna.Trial, family: str, section: FamilySpace) -> Params:
    values: dict[str, ParamValue] = {}
    for name in section.ordered:
        if section.is_active(name, values):
            param = section.params[name]
            values[name] = _suggest_one(trial, _key(family, name), param)
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


def _key(family: str, name: str) -> str:
    return f"{family}.{name}"


def _encode(param: Param, value: ParamValue) -> object:
    """A choice travels as its position, since Optuna takes 1, 1.0 and True for one value."""
    if param.choice is None:
        return value
    return next(
        position for position, option in enumerate(param.choice) if type(option) is type(value) and option == value
    )
