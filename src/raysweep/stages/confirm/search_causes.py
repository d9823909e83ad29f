"""Whether the search is why a model falls short: a space too narrow, a budget too small, the luck of seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raysweep.records.metric import Metric
from raysweep.records.model_facts import Cause, CauseName, SeedSpread
from raysweep.records.trial import SearchOutcome, Trial, TrialState
from raysweep.space import Param, SearchSpace
from raysweep.training.learner import Floats

MIN_TRIALS: Final = 8
FEW_TRIALS: Final = 10
EDGE: Final = 0.05
OUTER: Final = 0.25
AGREED: Final = 0.6
TREND: Final = 0.2
LATE: Final = 0.75
STILL_RISING: Final = 0.1


@dataclass(frozen=True, slots=True)
class Need:
    """What is missing.

    Attributes:
        shortfall: to the goal, in units of the metric, above 0; None where no goal was missed.
        standard_error: of the score on validation.
    """

    shortfall: float | None
    standard_error: float

    def share(self, gain: float) -> float:
        """How much of what is missing a gain would bring, 0 to 1; without a goal, in units of two standard errors."""
        wanted = self.shortfall if self.shortfall is not None else 2 * self.standard_error
        return min(1.0, max(0.0, gain / wanted)) if wanted > 0 else 0.0


def narrow_space(winner: Trial, search: SearchOutcome, space: SearchSpace, metric: Metric, need: Need) -> Cause | str:
    """Best parameters at a bound of the space, with the best trials near it and scores that rise towards it."""
    family = winner.candidate.family
    trials = [one for one in _whole(search.trials) if one.candidate.family == family]
    more_rounds = _more_rounds(winner, metric, need)
    if more_rounds is not None:
        return more_rounds
    if family not in space.families or len(trials) < MIN_TRIALS:
        return f"whether the space is too narrow: {len(trials)} whole trials of {family} are too few to tell"
    found = [
        edge
        for name, param in space.families[family].params.items()
        if param.choice is None
        and name in winner.candidate.params
        and (edge := _edge(name, param, winner, trials, metric)) is not None
    ]
    if not found:
        return "a space that is too narrow: the best parameters are not at its bounds"
    best = max(found, key=lambda edge: edge.agreed)
    listed = ", ".join(f"{edge.name} {edge.value:g} (bound {edge.bound:g})" for edge in found)
    wider = ", ".join(f"{edge.name} {'beyond' if edge.is_upper else 'below'} {edge.bound:g}" for edge in found)
    gain = max(edge.gain for edge in found)
    return Cause(
        CauseName.NARROW_SPACE,
        f"the best parameters stand at a bound of the space: {listed}; so do {best.agreed:.0%} of the best trials of "
        f"{family}, and testing scores rise towards it",
        f"widen the space: allow {wider}, and go on with what was tried: raysweep resume RUN --set search.space=...",
        f"as many trials again, about {_duration(search.seconds)}",
        gain if gain > 0 else None,
        min(0.95, 0.4 + 0.35 * best.agreed + 0.2 * need.share(gain)),
    )


def small_budget(search: SearchOutcome, metric: Metric, need: Need) -> Cause | str:
    """An incumbent that was still rising when the search ended (expected best of n: Dodge et al. 2019)."""
    scores = metric.sign * np.asarray([one.rungs[-1].score for one in _whole(search.trials)])
    count = len(scores)
    if count == 0:
        return "a budget that is too small: no trial ran to its end"
    best_at = int(scores.argmax())
    is_late = best_at >= LATE * (count - 1)
    gained = expected_best(scores, count) - expected_best(scores, max(1, count // 2))
    if count >= FEW_TRIALS and not (is_late and gained > 0):
        return f"a budget that is too small: of {count} whole trials the best was number {best_at + 1}, none since"
    weight = (0.5 if count < FEW_TRIALS else 0.25) + (0.1 if is_late else 0.0) + 0.35 * need.share(gained)
    return Cause(
        CauseName.SMALL_BUDGET,
        f"{count} whole trials, the best was number {best_at + 1}; the last doubling of trials brought {gained:.2g} on "
        f"{search.part} on average; the search ended because of {search.stopped_by}",
        "give the search more: raysweep resume RUN --set search.trials=... --set search.stop.seconds=...",
        f"twice the search, about {_duration(search.seconds)} more on {search.slots} slots",
        gained if gained > 0 else None,
        min(0.95, weight),
    )


def seed_noise(seeds: SeedSpread | None, need: Need) -> Cause | str:
    """What is missing is within what another seed of the same candidate gives or takes."""
    if seeds is None:
        return "the noise of seeds: no fit with another seed"
    spread = seeds.spread
    scores = ", ".join(f"{score:.4g}" for score in seeds.validation)
    if need.shortfall is None or not spread > 0 or need.shortfall > 2 * spread:
        return f"the noise of seeds: scores on validation with {len(seeds.validation)} seeds are {scores}"
    return Cause(
        CauseName.SEED_NOISE,
        f"with {len(seeds.validation)} seeds the same candidate scores {scores} on validation (fit on training rows): "
        f"what is missing, {need.shortfall:.2g}, is within that",
        "prefer a steadier model: more rounds at a lower learning rate, a larger forest, or the mean of several seeds",
        f"{len(seeds.validation)} times the fit and the prediction",
        spread,
        0.35 + 0.5 * min(1.0, spread / need.shortfall),
    )


def expected_best(scores: Floats, count: int) -> float:
    """The expected highest of `count` draws with replacement from these scores (more is better)."""
    ordered = np.sort(scores)
    ends = np.arange(len(ordered) + 1) / len(ordered)
    return float((np.diff(ends**count) * ordered).sum())


@dataclass(frozen=True, slots=True)
class _Edge:
    name: str
    value: float
    bound: float
    is_upper: bool
    agreed: float
    gain: float


def _edge(name: str, param: Param, winner: Trial, trials: Sequence[Trial], metric: Metric) -> _Edge | None:
    """The parameter, where the winner stands at a bound, the best trials with it, and scores rise towards it."""
    having = [one for one in trials if name in one.candidate.params]
    own = _place(param, winner.candidate.params[name])
    if own is None or EDGE < own < 1 - EDGE or len(having) < MIN_TRIALS:
        return None
    is_upper = own >= 0.5  # noqa: PLR2004
    places = np.asarray([_place(param, one.candidate.params[name]) or 0.0 for one in having])
    towards = places if is_upper else 1 - places
    scores = metric.sign * np.asarray([one.rungs[-1].score for one in having])
    best = np.argsort(-scores, kind="stable")[: max(4, len(having) // 4)]
    agreed = float((towards[best] >= 1 - OUTER).mean())
    if agreed < AGREED or _rank_correlation(towards, scores) < TREND:
        return None
    upper_half = np.argsort(-scores, kind="stable")[: max(MIN_TRIALS, len(having) // 2)]
    slope = np.polyfit(towards[upper_half], scores[upper_half], 1)[0] if np.ptp(towards[upper_half]) > 0 else 0.0
    bound = float(param.bounds[int(is_upper)])
    value = winner.candidate.params[name]
    return _Edge(
        name,
        float(value) if isinstance(value, int | float) else math.nan,
        bound,
        is_upper,
        agreed,
        max(0.0, float(slope) * OUTER),
    )


def _place(param: Param, value: object) -> float | None:
    """Where a value stands between the bounds, 0 to 1."""
    low, high = (float(bound) for bound in param.bounds)
    if isinstance(value, bool) or not isinstance(value, int | float) or high <= low:
        return None
    if param.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _more_rounds(winner: Trial, metric: Metric, need: Need) -> Cause | None:
    """The winner has used all rounds that there are, and the last of them still helped."""
    last, full = winner.rungs[-1], winner.candidate.rounds
    if last.rounds is None or full is None or last.rounds < (1 - EDGE) * full or len(winner.rungs) == 1:
        return None
    gain = metric.sign * (last.score - winner.rungs[-2].score)
    if need.share(gain) < STILL_RISING:
        return None
    return Cause(
        CauseName.NARROW_SPACE,
        f"the winner used all {full:,} rounds that the space allows, and was still improving on testing",
        f"allow more: families.{winner.candidate.family}.effort.rounds in the space, or a higher learning_rate",
        "a new run (effort cannot change within one), each trial longer in proportion",
        gain,
        min(0.9, 0.55 + 0.3 * need.share(gain)),
    )


def _whole(trials: Sequence[Trial]) -> list[Trial]:
    """Trials whose scores may be compared, in the order of proposals."""
    return [one for one in trials if one.rungs and one.rungs[-1].is_whole and one.state is not TrialState.FAILED]


def _rank_correlation(one: Floats, other: Floats) -> float:
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)]
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
