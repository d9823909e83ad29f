"""Why not? Each cause with the numbers that speak for it, and with those that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raysweep.records.final_check import Gate, Outcome
from raysweep.records.metric import METRICS
from raysweep.records.model_facts import Cause, CauseName, LearningCurve, SeedSpread, Slice
from raysweep.records.table import LabelConflicts
from raysweep.records.trial import Candidate, Capacity, Period, RungReport, SearchOutcome, Trial, TrialState
from raysweep.space import SearchSpace
from raysweep.stages.confirm.data_causes import (
    Broken,
    Labels,
    few_rows,
    label_noise,
    leakage,
    shift,
    weak_features,
    weak_slice,
)
from raysweep.stages.confirm.search_causes import Need, expected_best, narrow_space, seed_noise, small_budget

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


@pytest.mark.parametrize(("rounds", "is_cause"), [(100, True), (98, True), (60, False)])
def test_all_rounds_used_and_still_rising(rounds, is_cause):
    winner = tried(0, 0.8, rounds=rounds, rungs=3, learning_rate=0.01)
    found = narrow_space(winner, search([winner]), RATE, AUC, NEED)
    assert isinstance(found, Cause) == is_cause
    if isinstance(found, Cause):
        assert "all 100 rounds" in found.evidence


def test_a_search_that_was_cut_short():
    few = search([tried(number, 0.7 + 0.01 * number) for number in range(4)])
    found = small_budget(few, AUC, NEED)
    assert isinstance(found, Cause)
    assert "about 90 s more on 2 slots" in found.price
    assert found.weight >= 0.6


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
    found = leakage([Broken("code", 0.99, 0.52)], "ROC AUC")
    assert isinstance(found, Cause)
    assert "code alone has ROC AUC 0.99 on testing, 0.52 on validation" in found.evidence
    assert found.weight == 0.97
    assert isinstance(leakage([], "ROC AUC"), str)


@pytest.mark.parametrize(
    ("told", "gates", "weight"), [(0.9, FELL, 0.88), (0.9, (), 0.53), (0.52, FELL, 0), (None, (), 0)]
)
def test_a_shift(told, gates, weight):
    found = shift(told, (("age", 0.8),), gates)
    assert (found.weight if isinstance(found, Cause) else 0) == pytest.approx(weight)


def test_a_weak_slice():
    weak = Slice("region = north", "region", 300, 0.4, 0.5, 2.0, 0.001)
    failed = (Gate("slices", Outcome.FAILED, "region"),)
    found = weak_slice([weak], failed, 1_000)
    assert isinstance(found, Cause)
    assert "carry 60% of the loss" in found.evidence
    assert found.weight == 0.9
    unsure = weak_slice([weak], (), 1_000)
    assert isinstance(unsure, Cause)
    assert unsure.weight < 0.9
    assert isinstance(weak_slice([replace(weak, p_value=0.2)], (), 1_000), str)


def test_features_that_say_nothing():
    assert isinstance(weak_features((Gate("beats the dummy", Outcome.FAILED, "no"),)), Cause)
    assert isinstance(weak_features((Gate("beats the dummy", Outcome.PASSED, "yes"),)), str)
