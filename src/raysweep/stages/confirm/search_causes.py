"""Whether the search is why a model falls short: a space too narrow, a budget too small, the luck of seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from raysweep.records.metric import Metric
from raysweep.records.model_facts import Cause, CauseName, SeedSpread
from raysweep.records.trial import SearchOutcome, Trial, TrialState
from raysweep.space import Param, SearchSpace
from raysweep.training.learner import Floats

MIN_TRIALS: Final = 8
FEW_TRIALS: Final = 10
NO_TRIALS: Final = 2
SOME: Final = 0.1  # of what is missing: what brings less is no cause
EDGE: Final = 0.05
OUTER: Final = 0.25
AGREED: Final = 0.6
TREND: Final = 0.2
LATE: Final = 0.75
RESUME: Final = "raysweep resume RUN"  # the address takes the place of RUN where it is known
_BELOW: Final = -1.0  # the place of a default of 0 where the space is logarithmic


@dataclass(frozen=True, slots=True)
class Need:
    """What is missing.

    Attributes:
        shortfall: to the goal, in units of the metric, above 0; None where no goal was missed.
        standard_error: of the score on validation.
        is_score: a better score is what is missing, and not, say, probabilities that mean what they say.
    """

    shortfall: float | None
    standard_error: float
    is_score: bool = True

    def share(self, gain: float) -> float:
        """How much of what is missing a gain would bring, 0 to 1; without a goal, in units of two standard errors."""
        wanted = self.shortfall if self.shortfall is not None else 2 * self.standard_error
        return min(1.0, max(0.0, gain / wanted)) if wanted > 0 and self.is_score else 0.0

    def is_met_by(self, gain: float) -> bool:
        """Whether a gain would bring some of what is missing."""
        return self.share(gain) >= SOME


def narrow_space(winner: Trial, search: SearchOutcome, space: SearchSpace, metric: Metric, need: Need) -> Cause | str:
    """Best parameters at a bound of the space, with the best trials near it and scores that rise towards it."""
    family = winner.candidate.family
    trials = [one for one in _whole(search.trials) if one.candidate.family == family]
    more_rounds = _more_rounds(winner, metric, need)
    if more_rounds is not None:
        return more_rounds
    alone = "; no other family was searched: search.space: auto" if len(space.families) == 1 else ""
    if family not in space.families or len(trials) < MIN_TRIALS:
        return f"whether the space is too narrow: {len(trials)} whole trials of {family} are too few to tell{alone}"
    found = [
        edge
        for name, param in space.families[family].params.items()
        if param.choice is None
        and name in winner.candidate.params
        and (edge := _edge(name, param, winner, trials, metric)) is not None
    ]
    if not found:
        return f"a space that is too narrow: the best parameters are not at its bounds{alone}"
    is_beyond = any(edge.is_beyond for edge in found)
    gain = _lead(trials, metric) if is_beyond else max(edge.gain for edge in found)
    if not need.is_met_by(gain):
        return f"a space that is too narrow: beyond its bounds there would be about {gain:.2g} on {search.part}"
    best = max(found, key=lambda edge: edge.agreed)
    listed = ", ".join(f"{edge.name} {edge.value:g} (bound {edge.bound:g})" for edge in found)
    wider = ", ".join(f"{edge.name} {'beyond' if edge.is_upper else 'below'} {edge.bound:g}" for edge in found)
    return Cause(
        CauseName.NARROW_SPACE,
        f"the best parameters stand at a bound of the space, or beyond: {listed}; there are {best.agreed:.0%} of the "
        f"best trials of {family}",
        f"widen the space: allow {wider}, and go on with what was tried: {RESUME} --set search.space=wider.yaml",
        f"as many trials again, about {_duration(search.seconds)}",
        None if is_beyond else gain,
        0.4 + 0.25 * (1.0 if is_beyond else best.agreed) + 0.25 * need.share(gain),
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
    gain = _continued([expected_best(scores, number) for number in (count // 4, count // 2, count) if number])
    if count > NO_TRIALS and not (need.is_met_by(gain) and (is_late or count < FEW_TRIALS)):
        return (
            f"a budget that is too small: of {count} whole trials the best was number {best_at + 1}, and the last "
            f"doubling of trials brought {gained:.2g} on {search.part}"
        )
    weight = (0.2 if count < FEW_TRIALS else 0.1) + (0.1 if is_late else 0.0) + 0.6 * need.share(gain)
    return Cause(
        CauseName.SMALL_BUDGET,
        f"{count} whole trials, the best was number {best_at + 1}; the last doubling of trials brought {gained:.2g} on "
        f"{search.part} on average; the search ended because of {search.stopped_by}",
        f"give the search more, such as {RESUME} --set search.trials={2 * len(search.trials)} (and search.stop, if "
        "that ended it); it is a further use of these validation rows",
        f"twice the search, about {_duration(search.seconds)} more on {search.slots} slots",
        gain if gain > 0 else None,
        weight,
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
        0.4 + 0.52 * min(1.0, spread / need.shortfall),  # a goal within the noise: what else may help cannot be told
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
    is_beyond: bool
    agreed: float
    gain: float


def _edge(name: str, param: Param, winner: Trial, trials: Sequence[Trial], metric: Metric) -> _Edge | None:
    """The parameter, where the winner stands at a bound, the best trials with it, and scores rise towards it.

    Defaults may stand beyond a bound: one that wins is evidence enough.
    """
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
    is_beyond = not 0 <= own <= 1
    if not is_beyond and (agreed < AGREED or _rank_correlation(towards, scores) < TREND):
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
        is_beyond,
        agreed,
        max(0.0, float(slope) * OUTER),
    )


def _lead(trials: Sequence[Trial], metric: Metric) -> float:
    """Of the best trial over the next."""
    scores = sorted(metric.sign * one.rungs[-1].score for one in trials)
    return scores[-1] - scores[-2]


def _place(param: Param, value: object) -> float | None:
    """Where a value stands between the bounds, 0 to 1; a default may stand beyond them."""
    low, high = (float(bound) for bound in param.bounds)
    if isinstance(value, bool) or not isinstance(value, int | float) or high <= low:
        return None
    if param.log and value <= 0:
        return _BELOW
    if param.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _more_rounds(winner: Trial, metric: Metric, need: Need) -> Cause | None:
    """The winner has used all rounds that there are, and the last of them still helped."""
    last, full = winner.rungs[-1], winner.candidate.rounds
    if last.rounds is None or full is None or last.rounds < (1 - EDGE) * full or len(winner.rungs) == 1:
        return None
    gain = _continued([metric.sign * one.score for one in winner.rungs])
    if not need.is_met_by(gain):
        return None
    return Cause(
        CauseName.NARROW_SPACE,
        f"the winner used all {full:,} rounds that the space allows, and was still improving on testing",
        f"allow more: families.{winner.candidate.family}.effort.rounds in the space, or a higher learning_rate",
        "a new run (effort cannot change within one), each trial longer in proportion",
        gain,
        min(0.9, 0.55 + 0.3 * need.share(gain)),
    )


def _continued(scores: Sequence[float]) -> float:
    """What the next step would bring: less than the last one by as much as that one brought less than the one before.

    Where that is not known, half as much.
    """
    gains = [later - earlier for earlier, later in pairwise(scores)] or [0.0]
    ratio = min(1.0, gains[-1] / gains[-2]) if len(gains) > 1 and gains[-2] > 0 else 0.5
    return max(0.0, gains[-1] * ratio)


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
