"""Which candidate to try next: the families' defaults, the space's starting points, then Optuna's ask and tell."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import optuna
from optuna.trial import TrialState as OptunaState

from raysweep.documents import digest
from raysweep.records.metric import Direction
from raysweep.records.trial import Candidate, Params, RungReport, TrialState
from raysweep.space import FamilySpace, Param, ParamValue, SearchSpace

STARTUP_TRIALS: Final = 10
MAX_REPEATS: Final = 50
# TPE's time grows with the trials that it looks at: of more than this many it forgets all but the best and the latest.
MAX_KNOWN: Final = 300
KEPT_BEST: Final = 50
KEPT_LATEST: Final = 100
FAMILY: Final = "family"

Defaults = Callable[[str], Mapping[str, ParamValue]]


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
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._direction = direction
        self._study = optuna.create_study(direction=direction.value)
        self._running: dict[int, optuna.Trial] = {}
        self._told = 0

    def propose(self) -> Candidate:
        """The next candidate: it depends on the seed, its number, and on the trials that are known."""
        if self._first:
            family, origin, values = self._first.popleft()
            params = self._complete(family, values)
            return self._proposal(family, params, origin, self._enqueued(family, values))
        trial = self._ask(_make_sampler(self._algorithm, seed_for(self._seed, f"proposal {self._proposed}")))
        names = tuple(self._space.families)
        family = str(trial.suggest_categorical(FAMILY, names)) if len(names) > 1 else names[0]
        values = _suggest(trial, family, self._space.families[family])
        return self._proposal(family, self._complete(family, values), self._algorithm, trial)

    def tell(self, candidate: Candidate, state: TrialState, rungs: Sequence[RungReport]) -> None:
        """Report how a candidate ended: complete with its score, pruned with its last rung, or failed."""
        trial = self._running.pop(candidate.number, None)
        if trial is None:  # a default outside of the space's bounds
            return
        self._told += 1
        for report in rungs:
            trial.report(report.score, report.rung)
        if state is TrialState.COMPLETE and rungs:
            self._study.tell(trial, rungs[-1].score)
        elif state in {TrialState.PRUNED, TrialState.STOPPED} and rungs:
            self._study.tell(trial, state=OptunaState.PRUNED)
        else:
            self._study.tell(trial, state=OptunaState.FAIL)

    def readopt(self, candidate: Candidate) -> None:
        """Take up a candidate that was proposed before, by another driver, perhaps from another space.

        Optuna does not learn from it where it lies outside of this space.
        """
        self._proposed = max(self._proposed, candidate.number + 1)
        waiting = [(point, candidate_digest(point[0], self._complete(point[0], point[2]))) for point in self._first]
        self._first = deque(point for point, identity in waiting if identity != candidate.digest)
        section = self._space.families.get(candidate.family)
        if section is None:
            return
        searched = {name: value for name, value in candidate.params.items() if name in section.params}
        trial = None
        if self._complete(candidate.family, searched) == dict(candidate.params):
            trial = self._enqueued(candidate.family, searched)
        if trial is not None:
            self._running[candidate.number] = trial

    def known_values(self, candidate: Candidate) -> Mapping[str, object] | None:
        """The values by which Optuna knows a candidate that runs; None where it does not."""
        trial = self._running.get(candidate.number)
        return None if trial is None else trial.params

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
        trial = self._ask(optuna.samplers.RandomSampler(seed=0))  # every value is given
        if len(self._space.families) > 1:
            trial.suggest_categorical(FAMILY, tuple(self._space.families))
        _suggest(trial, family, section)
        return trial

    def _ask(self, sampler: optuna.samplers.BaseSampler) -> optuna.Trial:
        if self._told > MAX_KNOWN and self._algorithm != "random":
            self._forget()
        self._study.sampler = sampler
        return self._study.ask()

    def _forget(self) -> None:
        """Go on with a study of the best and the latest trials, and of those that run."""
        trials = self._study.get_trials(deepcopy=False)
        ended = [trial for trial in trials if trial.state.is_finished()]
        complete = [trial for trial in ended if trial.state is OptunaState.COMPLETE]
        is_better = self._direction is Direction.MAXIMIZE
        best = sorted(complete, key=lambda trial: trial.value or 0.0, reverse=is_better)[:KEPT_BEST]
        running = {trial.number: number for number, trial in self._running.items()}
        kept = {trial.number for trial in (*best, *ended[-KEPT_LATEST:])} | set(running)
        study = optuna.create_study(direction=self._direction.value)
        for trial in trials:
            if trial.number not in kept:
                continue
            study.add_trial(trial)
            if trial.number in running:
                new = study.get_trials(deepcopy=False)[-1]
                self._running[running[trial.number]] = optuna.Trial(study, new._trial_id)  # noqa: SLF001 - no public way
        self._study = study
        self._told = len(kept) - len(running)

    def _proposal(self, family: str, params: Params, origin: str, trial: optuna.Trial | None) -> Candidate:
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
        if trial is not None:
            self._running[candidate.number] = trial
        return candidate


def _make_sampler(algorithm: str, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler for one proposal: its random numbers do not depend on how many were asked for before."""
    if algorithm == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # multivariate, group and constant_liar are marked experimental
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True, constant_liar=True
        )


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
