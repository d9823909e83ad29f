"""Why not? Each cause with the numbers that speak for it, and with those that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysweep.records.final_check import Gate, Outcome
from raysweep.records.metric import METRICS
from raysweep.records.model_facts import Cause, CauseName, LearningCurve, SeedSpread, Slice
from raysweep.records.table import LabelConflicts
from raysweep.records.trial import Candidate, Capacity, Period, RungReport, SearchOutcome, Trial, TrialState
from raysweep.space import SearchSpace, load_space, shipped_spaces
from raysweep.stages.confirm.data_causes import (
    Broken,
    Labels,
    few_rows,
    fresh_rows,
    label_noise,
    leakage,
    shift,
    weak_features,
    weak_slice,
)
from raysweep.stages.confirm.search_causes import Need, expected_best, narrow_space, seed_noise, small_budget
from raysweep.training.families import families

AUC, RMSE = METRICS["roc_auc"], METRICS["rmse"]
NEED = Need(0.05, 0.01)
FELL = (Gate("generalises", Outcome.FAILED, "fell"),)


def tried(number, score, *, rounds=10, full=100, rungs=1, **params):
    candidate = Candidate(number, "xgboost", params, f"{number:016x}", "tpe", number, full)
    reports = tuple(
        RungReport(rung, rung / rungs, score - 0.02 * (rungs - rung), {}, 1.0, 1.0, rounds, rung == rungs)
        for rung in range(1, rungs + 1)
    )
    return Trial(candidate, TrialState.COMPLETE, reports)


def search(trials, stopped_by="search.trials: all were tried"):
    return SearchOutcome(tuple(trials), "testing", stopped_by, (Period(Capacity(2), 1.0, 90.0),), 2)


def space(**params):
    return SearchSpace.model_validate({"version": 1, "families": {"xgboost": {"params": params}}})


RATE = space(learning_rate={"float": [0.001, 0.1], "log": True})


def rates(values, score_of):
    return [tried(number, score_of(value), learning_rate=value) for number, value in enumerate(values)]


@pytest.mark.parametrize("metric", [AUC, RMSE])
def test_the_best_at_a_bound_is_a_space_too_narrow(metric):
    values = np.geomspace(0.001, 0.1, 24)
    trials = rates(values, lambda value: metric.sign * 0.1 * np.log10(value) + 1)
    found = narrow_space(trials[-1], search(trials), RATE, metric, NEED)
    assert isinstance(found, Cause)
    assert found.name is CauseName.NARROW_SPACE
    assert "learning_rate beyond 0.1" in found.advice
    assert found.expected_gain == pytest.approx(0.05, rel=0.3)  # a quarter of two decades
    assert found.weight > 0.8


def test_at_the_lower_bound_it_is_below():
    values = np.geomspace(0.001, 0.1, 24)
    trials = rates(values, lambda value: -0.1 * np.log10(value))
    found = narrow_space(trials[0], search(trials), RATE, AUC, NEED)
    assert isinstance(found, Cause)
    assert "learning_rate below 0.001" in found.advice


@pytest.mark.parametrize(
    ("space_name", "family"),
    [
        (name, family)
        for name, path in shipped_spaces().items()
        for family in load_space(name, base=path.parent).families
    ],
)
def test_defaults_that_no_shipped_space_holds_are_no_fault(space_name, family):
    """Such as an l2_regularization of 0 where the space is logarithmic."""
    spaces = load_space(space_name, base=Path())
    rng = np.random.default_rng(0)
    section, defaults = spaces.families[family], families()[family].defaults
    trials = [replace(tried(0, 0.9), candidate=Candidate(0, family, defaults, "d", "default", 0, 100))]
    for number in range(1, 12):
        params = {
            name: param.choice[0] if param.choice else type(param.bounds[0])(rng.uniform(*param.bounds))
            for name, param in section.params.items()
        }
        made = Candidate(number, family, {**defaults, **params}, f"{number}", "tpe", number, 100)
        trials.append(replace(tried(number, 0.8 + rng.random() / 100), candidate=made))
    for winner in trials:
        assert narrow_space(winner, replace(search(trials)), spaces, AUC, NEED)


@pytest.mark.parametrize(
    ("count", "score_of"),
    [
        (24, lambda value: -((np.log10(value) + 2) ** 2)),  # best in the middle
        (24, lambda value: 0.5 + 0.001 * (hash(float(value)) % 97)),  # no trend
        (5, np.log10),  # too few
    ],
)
def test_no_narrow_space_without_evidence(count, score_of):
    trials = rates(np.geomspace(0.001, 0.1, count), score_of)
    best = max(trials, key=lambda trial: trial.rungs[-1].score)
    assert isinstance(narrow_space(best, search(trials), RATE, AUC, NEED), str)


def test_a_default_beyond_the_bounds_that_wins_is_a_space_too_narrow():
    inside = rates(np.geomspace(0.001, 0.1, 12), lambda value: 0.7 + value)
    default = tried(12, 0.9, learning_rate=0.3)
    found = narrow_space(default, search([*inside, default]), RATE, AUC, NEED)
    assert isinstance(found, Cause)
    assert "learning_rate 0.3 (bound 0.1)" in found.evidence
    assert found.expected_gain is None
    assert found.weight == pytest.approx(0.9)


def test_a_bound_behind_which_little_lies_is_no_cause():
    trials = rates(np.geomspace(0.001, 0.1, 24), lambda value: 0.7 + 0.001 * np.log10(value))
    assert isinstance(narrow_space(trials[-1], search(trials), RATE, AUC, NEED), str)


@pytest.mark.parametrize(("rounds", "is_cause"), [(100, True), (98, True), (60, False)])
def test_all_rounds_used_and_still_rising(rounds, is_cause):
    winner = tried(0, 0.8, rounds=rounds, rungs=3, learning_rate=0.01)
    found = narrow_space(winner, search([winner]), RATE, AUC, NEED)
    assert isinstance(found, Cause) == is_cause
    if isinstance(found, Cause):
        assert "all 100 rounds" in found.evidence
        assert found.expected_gain == pytest.approx(0.02)  # every rung has brought as much


def test_a_search_that_was_cut_short():
    few = search([tried(number, 0.7 + 0.03 * number) for number in range(4)])
    found = small_budget(few, AUC, NEED)
    assert isinstance(found, Cause)
    assert "about 90 s more on 2 slots" in found.price
    assert found.weight > 0.4


def test_one_trial_tells_nothing_and_flat_scores_tell_that_more_bring_nothing():
    assert isinstance(small_budget(search([tried(0, 0.7)]), AUC, NEED), Cause)
    flat = search([tried(number, 0.7 + 0.0001 * number) for number in range(6)])
    assert isinstance(small_budget(flat, AUC, NEED), str)


def test_more_trials_bring_about_what_is_said():
    """Held against searches twice as long, where scores are normal."""
    rng = np.random.default_rng(0)
    searches = rng.normal(0.7, 0.02, (400, 24))
    found = [
        small_budget(search([tried(n, s) for n, s in enumerate(np.sort(one[:12]))]), AUC, NEED) for one in searches
    ]
    expected = np.mean([one.expected_gain for one in found if isinstance(one, Cause)])
    true = (searches.max(axis=1) - searches[:, :12].max(axis=1)).mean()
    assert expected == pytest.approx(true, rel=0.5)


def test_where_no_score_is_missing_no_gain_counts():
    calibrated = Need(None, 0.01, is_score=False)
    rising = search([tried(number, 0.7 + 0.03 * number) for number in range(9)])
    assert isinstance(small_budget(rising, AUC, calibrated), str)
    curve = LearningCurve(((250, 0.70), (500, 0.75), (1_000, 0.80)), 0.84)
    assert isinstance(few_rows(curve, AUC, calibrated), str)


def test_an_incumbent_of_long_ago_needs_no_more_trials():
    scores = [0.8, *([0.7] * 60)]
    assert isinstance(small_budget(search([tried(n, s) for n, s in enumerate(scores)]), AUC, NEED), str)
    assert isinstance(small_budget(search([]), AUC, NEED), str)


def test_the_expected_best_is_that_of_drawing():
    scores = np.random.default_rng(0).normal(size=9)
    drawn = np.random.default_rng(1).choice(scores, size=(200_000, 4)).max(axis=1)
    assert expected_best(scores, 4) == pytest.approx(drawn.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("spread", "shortfall", "is_cause"), [((0.80, 0.84, 0.78), 0.01, True), ((0.80, 0.801, 0.799), 0.05, False)]
)
def test_the_noise_of_seeds(spread, shortfall, is_cause):
    found = seed_noise(SeedSpread(spread, spread), Need(shortfall, 0.01))
    assert isinstance(found, Cause) == is_cause
    if isinstance(found, Cause):
        assert found.weight == pytest.approx(0.92)  # before all that may help, since the goal is within the noise


def test_no_goal_no_noise_of_seeds():
    assert isinstance(seed_noise(SeedSpread((0.8, 0.9), (0.8, 0.9)), Need(None, 0.01)), str)
    assert isinstance(seed_noise(None, NEED), str)


@pytest.mark.parametrize(
    ("labels", "minority", "is_cause"),
    [
        (Labels(0.2, 0.85), 0, True),
        (Labels(0.01, 0.99), 0, False),
        (Labels(0.0, 1.0), 120, True),  # equal features, other labels
        (None, 0, False),
    ],
)
def test_wrong_labels(labels, minority, is_cause):
    found = label_noise(labels, LabelConflicts(10, 200, minority), 1_000, AUC, 0.9)
    assert isinstance(found, Cause) == is_cause


def test_a_goal_above_the_ceiling_is_out_of_reach():
    reachable = label_noise(Labels(0.1, 0.95), None, 1_000, AUC, 0.9)
    out_of_reach = label_noise(Labels(0.1, 0.85), None, 1_000, AUC, 0.9)
    assert isinstance(reachable, Cause)
    assert isinstance(out_of_reach, Cause)
    assert reachable.weight < out_of_reach.weight == 0.96
    assert "roc_auc better than about 0.85" in out_of_reach.evidence


def test_wrong_labels_that_gather_in_a_slice_are_the_slice_s():
    slice_ = Slice("region = north", "region", 200, 0.4, 0.5, 2.4, 0.001)
    spread = label_noise(Labels(0.1, 0.85), None, 1_000, AUC, 0.9)
    gathered = label_noise(Labels(0.1, 0.85), None, 1_000, AUC, 0.9, slice_)
    weak = weak_slice([slice_], (), 1_000, 1)
    assert isinstance(spread, Cause)
    assert isinstance(gathered, Cause)
    assert isinstance(weak, Cause)
    assert gathered.weight < weak.weight < spread.weight
    assert "gather in region = north" in gathered.evidence


@pytest.mark.parametrize(
    ("points", "doubled", "is_cause"),
    [
        (((250, 0.70), (500, 0.75), (1_000, 0.80)), 0.84, True),
        (((250, 0.80), (500, 0.80), (1_000, 0.80)), 0.80, False),
        (((250, 0.80), (500, 0.80), (1_000, 0.80)), None, False),
        (((250, 0.82), (500, 0.80), (1_000, 0.80)), 0.84, False),
    ],
)
def test_too_few_rows(points, doubled, is_cause):
    found = few_rows(LearningCurve(points, doubled), AUC, NEED)
    assert isinstance(found, Cause) == is_cause
    if isinstance(found, Cause):
        assert found.expected_gain == pytest.approx(0.04)
        assert "2,000 training rows expect about 0.84" in found.advice


def test_a_leak_is_surer_than_anything():
    found = leakage([Broken("code", 0.99, 0.52)], "ROC AUC", (), FELL)
    assert isinstance(found, Cause)
    assert "code alone has ROC AUC 0.99 on testing, 0.52 on validation" in found.evidence
    assert found.weight == 0.97
    assert isinstance(leakage([], "ROC AUC", (), FELL), str)


@pytest.mark.parametrize(
    ("testing", "auc", "gates", "weight"),
    [
        (0.80, 0.9, FELL, 0.55),  # its own values have moved: a shift
        (0.99, 0.9, FELL, 0.97),  # that much only a leak knows
        (0.80, 0.52, FELL, 0.97),
        (0.80, 0.52, (), 0.35),  # the score has not fallen, so that it explains nothing
    ],
)
def test_a_feature_that_says_less_is_a_leak_or_a_shift(testing, auc, gates, weight):
    found = leakage([Broken("code", testing, 0.52)], "ROC AUC", (("code", auc), ("age", 0.9)), gates)
    assert isinstance(found, Cause)
    assert found.weight == weight


@pytest.mark.parametrize(
    ("told", "gates", "weight"), [(0.9, FELL, 0.88), (0.9, (), 0.26), (0.52, FELL, 0), (None, (), 0)]
)
def test_a_shift(told, gates, weight):
    found = shift(told, (("age", 0.8),), gates)
    assert (found.weight if isinstance(found, Cause) else 0) == pytest.approx(weight)


def test_a_weak_slice():
    weak = Slice("region = north", "region", 300, 0.4, 0.5, 2.0, 0.001)
    failed = (Gate("slices", Outcome.FAILED, "region"),)
    found = weak_slice([weak], failed, 1_000, 1)
    assert isinstance(found, Cause)
    assert "carry 60% of the loss" in found.evidence
    assert found.weight == 0.9
    unsure = weak_slice([weak], (), 1_000, 1)
    assert isinstance(unsure, Cause)
    assert unsure.weight < 0.9
    assert isinstance(weak_slice([replace(weak, p_value=0.2, score=0.6)], (), 1_000, 1), str)


def test_features_that_say_nothing():
    none = Gate("beats the dummy", Outcome.FAILED, "no")
    assert isinstance(weak_features((none,), []), Cause)
    assert isinstance(weak_features((Gate("beats the dummy", Outcome.PASSED, "yes"),), []), str)
    assert isinstance(weak_features((none, *FELL), []), str)  # they did say something on testing rows


def test_features_are_what_is_left_where_nothing_else_explains_a_missed_goal():
    missed = (Gate("goal", Outcome.FAILED, "missed"),)
    other = Cause(CauseName.FEW_ROWS, "", "", "", None, 0.6)
    assert isinstance(weak_features(missed, []), Cause)
    assert isinstance(weak_features(missed, [replace(other, weight=0.3)]), Cause)
    assert isinstance(weak_features(missed, [other]), str)


@pytest.mark.parametrize(("gate", "advice"), [("evidence", "split.parts.validation"), ("seal", "fresh rows")])
def test_where_nothing_can_be_said_more_rows_come_first(gate, advice):
    found = fresh_rows((Gate(gate, Outcome.INCONCLUSIVE, "12 validation rows"),))
    assert found is not None
    assert found.evidence == "12 validation rows"
    assert advice in found.advice
    assert found.weight > 0.97
    assert fresh_rows((Gate(gate, Outcome.WARNING, "30 validation rows"),)) is None
