"""Which candidate to try next: the families' defaults, the space's starting points, then Optuna's or a grid's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

import optuna
from optuna.trial import TrialState as OptunaState

from raysweep.documents import digest
from raysweep.records.aims import Aims
from raysweep.records.trial import Candidate, Params, RungReport, TrialState
from raysweep.space import ParamValue, SearchSpace
from raysweep.stages.search.grid import Grid
from raysweep.stages.search.optuna_points import encode, key_of, make_sampler, suggest

MAX_REPEATS: Final = 50
# TPE's time grows with the trials that it looks at: of more than this many it forgets all but the best, the latest, and
# some of the others, without which it would not know what is worse.
MAX_KNOWN: Final = 400
KEPT_BEST: Final = 75
KEPT_LATEST: Final = 75
KEPT_OTHERS: Final = 100
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
        aims: what is better, and what is infeasible.
        algorithm: tpe (multivariate, with constant liar; Bergstra et al. 2011, Falkner et al. 2018), random, or grid,
            which proposes each candidate once and learns nothing.

    Raises:
        RequestInvalid: the grid has too many combinations.
    """

    def __init__(
        self,
        space: SearchSpace,
        defaults: Defaults,
        rounds: Callable[[str], int | None],
        *,
        algorithm: str,
        aims: Aims,
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
        self._aims = aims
        self._study = self._new_study()
        self._running: dict[int, optuna.Trial] = {}
        self._told = 0
        self._seen: set[str] = set()
        self._grid: Iterator[tuple[str, str, Params]] | None = None
        if algorithm == "grid":
            combinations = ((family, "grid", values) for family, values in Grid(space, seed))
            self._grid = chain(self._first_points(), combinations)

    def propose(self) -> Candidate | None:
        """The next candidate: it depends on the seed, its number, and on the trials that are known.

        None where a grid has no more.
        """
        if self._grid is not None:
            return self._from_grid(self._grid)
        if self._first:
            family, origin, values = self._first.popleft()
            params = self._complete(family, values)
            return self._proposal(family, params, origin, self._enqueued(family, values))
        trial = self._ask(make_sampler(self._algorithm, seed_for(self._seed, f"proposal {self._proposed}")))
        names = tuple(self._space.families)
        family = str(trial.suggest_categorical(FAMILY, names)) if len(names) > 1 else names[0]
        values = suggest(trial, family, self._space.families[family])
        return self._proposal(family, self._complete(family, values), self._algorithm, trial)

    def tell(self, candidate: Candidate, state: TrialState, rungs: Sequence[RungReport]) -> None:
        """Report how a candidate ended: complete with its score, or pruned with its last rung.

        One that has failed, or breaks a constraint, is reported as infeasible, so that it is not proposed like again.
        """
        trial = self._running.pop(candidate.number, None)
        if trial is None:  # a default outside of the space's bounds
            return
        self._told += 1
        if not self._aims.objectives:  # Optuna takes no reports where there are several
            for report in rungs:
                trial.report(report.score, report.rung)
        if state is TrialState.FAILED:
            trial.set_constraint("runs", 1.0)
        elif rungs:
            for name, excess in self._aims.excess(rungs[-1].metrics).items():
                trial.set_constraint(name, excess)
        if state is TrialState.COMPLETE:
            self._study.tell(trial, self._aims.values(rungs[-1]))
        elif rungs or state is TrialState.FAILED:
            self._study.tell(trial, state=OptunaState.PRUNED)
        else:  # stopped before it had shown anything
            self._study.tell(trial, state=OptunaState.FAIL)

    def readopt(self, candidate: Candidate) -> None:
        """Take up a candidate that was proposed before, by another driver, perhaps from another space.

        Optuna does not learn from it where it lies outside of this space.
        """
        self._proposed = max(self._proposed, candidate.number + 1)
        self._seen.add(candidate.digest)
        for point in self._first:
            if candidate_digest(point[0], self._complete(point[0], point[2])) == candidate.digest:
                self._first.remove(point)  # it alone: the same point may stand there twice, and is proposed twice
                break
        section = self._space.families.get(candidate.family)
        if section is None or self._grid is not None:
            return
        searched = {name: value for name, value in candidate.params.items() if name in section.params}
        trial = None
        if self._complete(candidate.family, searched) == dict(candidate.params):
            trial = self._enqueued(candidate.family, searched)
        if trial is not None:
            self._running[candidate.number] = trial

    def fits(self, candidate: Candidate) -> bool:
        """Whether the space holds a candidate that was proposed before, perhaps from another one."""
        section = self._space.families.get(candidate.family)
        if section is None:
            return False
        searched = {name: value for name, value in candidate.params.items() if name in section.params}
        if self._complete(candidate.family, searched) != dict(candidate.params):
            return False
        is_default = candidate.origin == "default"  # which the space's bounds need not hold
        return is_default or all(section.params[name].contains(value) for name, value in searched.items())

    def _from_grid(self, grid: Iterator[tuple[str, str, Params]]) -> Candidate | None:
        """The next point that was not proposed before; Optuna is not asked."""
        for family, origin, values in grid:
            params = self._complete(family, values)
            if candidate_digest(family, params) not in self._seen:
                return self._proposal(family, params, origin, None)
        return None

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
            wanted[key_of(family, name)] = encode(section.params[name], point[name])
        self._forget_if_many()  # here, since what is enqueued would be forgotten too
        self._study.enqueue_trial({FAMILY: family, **wanted} if len(self._space.families) > 1 else wanted)
        trial = self._ask(optuna.samplers.RandomSampler(seed=0))  # every value is given
        if len(self._space.families) > 1:
            trial.suggest_categorical(FAMILY, tuple(self._space.families))
        suggest(trial, family, section)
        return trial

    def _ask(self, sampler: optuna.samplers.BaseSampler) -> optuna.Trial:
        self._forget_if_many()
        self._study.sampler = sampler
        return self._study.ask()

    def _forget_if_many(self) -> None:
        if self._told > MAX_KNOWN and self._algorithm != "random":
            self._forget()

    def _forget(self) -> None:
        """Go on with a study of the best trials, the latest, some others, and of those that run."""
        trials = self._study.get_trials(deepcopy=False)
        ended = [trial for trial in trials if trial.state.is_finished()]
        complete = [trial for trial in ended if trial.state is OptunaState.COMPLETE]
        front = {trial.number for trial in self._study.best_trials} if self._aims.objectives else set()

        def place(trial: optuna.trial.FrozenTrial) -> tuple[float, bool, float]:
            excess = sum(over for over in trial.constraints.values() if over > 0)
            return excess, trial.number not in front, -self._aims.metric.sign * trial.values[0]

        best = sorted(complete, key=place)[:KEPT_BEST]
        running = {trial.number: number for number, trial in self._running.items()}
        known = {trial.number for trial in (*best, *ended[-KEPT_LATEST:])} | set(running)
        others = [trial.number for trial in trials if trial.number not in known]
        kept = known | set(others[:: max(1, len(others) // KEPT_OTHERS)])
        study = self._new_study()
        for trial in trials:
            if trial.number not in kept:
                continue
            study.add_trial(trial)
            if trial.number in running:
                new = study.get_trials(deepcopy=False)[-1]
                self._running[running[trial.number]] = optuna.Trial(study, new._trial_id)  # noqa: SLF001 - no public way
        self._study = study
        self._told = len(kept) - len(running)

    def _new_study(self) -> optuna.Study:
        return optuna.create_study(directions=[one.value for one in self._aims.directions])

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
        self._seen.add(identity)
        if trial is not None:
            self._running[candidate.number] = trial
        return candidate
