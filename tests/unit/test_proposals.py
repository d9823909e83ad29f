"""What is proposed, in which order, and what Optuna is told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.records.aims import Aims
from raysweep.records.trial import RungReport, TrialState
from raysweep.space import load_space
from raysweep.stages.search import proposals as module
from raysweep.stages.search.proposals import Proposer, candidate_digest, seed_for
from raysweep.training.families import families

SPACE = {
    "xgboost": {
        "params": {
            "max_cat_to_onehot": {"int": [1, 32], "log": True, "when": {"encoding": "native"}},
            "max_leaves": {"int": [4, 64], "when": {"grow_policy": "lossguide"}},
            "encoding": {"choice": ["ordinal", "native"]},
            "grow_policy": {"choice": ["depthwise", "lossguide"]},
            "learning_rate": {"float": [0.01, 0.4], "log": True},
        },
        "fixed": {"tree_method": "hist", "max_depth": 4},
        "start": [{"learning_rate": 0.1, "encoding": "native", "max_cat_to_onehot": 8}, {"learning_rate": 0.05}],
    },
    "ridge": {"params": {"alpha": {"float": [0.1, 10], "log": True}}, "start": [{"alpha": 2.0}]},
    "k_neighbors": {"params": {"n_neighbors": {"int": [10, 20]}}},
}


RIDGE = {"ridge": {"params": {"alpha": {"float": [0.001, 1000], "log": True}}}}
TWO_NUMBERS = {"xgboost": {"params": {"learning_rate": {"float": [0.01, 1.0]}, "subsample": {"float": [0.1, 1.0]}}}}
R2 = Aims.named("r2")


def proposer_of(sections=None, algorithm="tpe", seed=0, aims=R2):
    space = load_space({"version": 1, "families": sections or SPACE}, base=Path())
    return Proposer(
        space,
        lambda family: families()[family].defaults,
        lambda family: space.families[family].effort.rounds or families()[family].rounds,
        algorithm=algorithm,
        aims=aims,
        seed=seed,
    )


def report(score, rung=1, *, last=False):
    return RungReport(rung, 1.0 if last else 0.1 * rung, score, {"x": score}, 0.0, 0.0, None, last)


def proposals(proposer, count):
    """Candidates that each end complete with a score that follows from their params."""
    for _ in range(count):
        asked = proposer.propose()
        proposer.tell(asked, TrialState.COMPLETE, [report(len(str(asked.params)) / 100, last=True)])
        yield asked


def test_defaults_come_first_then_starting_points():
    first = list(proposals(proposer_of(), 6))
    assert [(one.family, one.origin) for one in first] == [
        ("xgboost", "default"),
        ("ridge", "default"),
        ("k_neighbors", "default"),
        ("xgboost", "start"),
        ("xgboost", "start"),
        ("ridge", "start"),
    ]
    assert [one.number for one in first] == list(range(6))
    assert first[1].params == dict(families()["ridge"].defaults)
    assert first[5].params == {"alpha": 2.0, "encoding": "onehot"}


def test_a_default_has_all_values_of_the_family_that_hold():
    params = proposer_of().propose().params
    own = dict(families()["xgboost"].defaults)
    del own["max_cat_to_onehot"], own["max_leaves"]
    assert params == own | {"max_depth": 4}


def test_a_starting_point_is_completed_by_defaults():
    whole, part = [one for one in proposals(proposer_of(), 6) if (one.family, one.origin) == ("xgboost", "start")]
    assert whole.params["max_cat_to_onehot"] == 8
    assert whole.params["max_depth"] == part.params["max_depth"] == 4
    assert part.params["learning_rate"] == 0.05
    assert part.params["encoding"] == "ordinal"
    assert "max_cat_to_onehot" not in part.params


@pytest.mark.parametrize("algorithm", ["tpe", "random"])
def test_params_exist_only_where_their_condition_holds(algorithm):
    seen = set()
    for one in proposals(proposer_of(algorithm=algorithm), 80):
        if one.family != "xgboost":
            continue
        assert ("max_cat_to_onehot" in one.params) == (one.params["encoding"] == "native")
        assert ("max_leaves" in one.params) == (one.params["grow_policy"] == "lossguide")
        assert one.params["tree_method"] == "hist"
        seen.add((one.params["encoding"], one.params["grow_policy"], one.origin))
    assert len({pair[:2] for pair in seen}) == 4
    assert algorithm in {origin for *_, origin in seen}


def test_conditions_on_conditions():
    sections = {
        "xgboost": {
            "params": {
                "gamma": {"float": [0, 1], "when": {"max_leaves": 0}},
                "max_leaves": {"int": [0, 1], "when": {"grow_policy": "lossguide"}},
                "grow_policy": {"choice": ["depthwise", "lossguide"]},
            }
        }
    }
    seen = set()
    for one in proposals(proposer_of(sections, "random"), 60):
        has_leaves = one.params["grow_policy"] == "lossguide"
        assert ("max_leaves" in one.params) == has_leaves
        assert ("gamma" in one.params) == (has_leaves and one.params["max_leaves"] == 0)
        seen.add((has_leaves, "gamma" in one.params))
    assert seen == {(False, False), (True, False), (True, True)}


@pytest.mark.parametrize("algorithm", ["tpe", "random"])
def test_the_same_seed_gives_the_same_proposals(algorithm):
    first, again = (list(proposals(proposer_of(algorithm=algorithm, seed=5), 40)) for _ in range(2))
    other = list(proposals(proposer_of(algorithm=algorithm, seed=6), 40))
    assert first == again
    assert [one.params for one in first[:6]] == [one.params for one in other[:6]]
    assert [one.params for one in first[6:]] != [one.params for one in other[6:]]


def test_a_seed_follows_from_the_params_and_not_from_the_number():
    candidates = list(proposals(proposer_of(seed=3), 12))
    for one in candidates:
        assert one.digest == candidate_digest(one.family, dict(reversed(one.params.items())))
        assert one.seed == seed_for(3, one.digest)
    assert len({one.seed for one in candidates}) == len({one.digest for one in candidates})
    assert seed_for(3, "a") != seed_for(4, "a")


@pytest.mark.parametrize("algorithm", ["tpe", "random"])
def test_what_optuna_is_told(algorithm):
    proposer = proposer_of(algorithm=algorithm)
    asked = [proposer.propose() for _ in range(6)]
    assert [proposer.known_values(one) is None for one in asked] == [False, False, True, False, False, False]
    proposer.tell(asked[0], TrialState.COMPLETE, [report(0.1), report(0.3, 2, last=True)])
    proposer.tell(asked[1], TrialState.PRUNED, [report(0.2), report(0.4, 2)])
    proposer.tell(asked[2], TrialState.COMPLETE, [report(0.9, last=True)])  # outside of the space: not told
    proposer.tell(asked[3], TrialState.STOPPED, [report(0.5)])
    proposer.tell(asked[4], TrialState.FAILED, [report(0.6)])
    proposer.tell(asked[5], TrialState.STOPPED, [])
    assert proposer.told() == {"COMPLETE": 1, "FAIL": 1, "PRUNED": 3}
    trials = proposer._study.get_trials()
    infeasible = [trial.state.name for trial in trials if trial.constraints]
    assert infeasible == ["PRUNED"], "what has failed is no good place to be, which TPE heeds"
    assert trials[0].value == 0.3
    assert trials[1].value is None or trials[1].value == 0.4
    assert trials[1].intermediate_values == {1: 0.2, 2: 0.4}


def test_optuna_learns_from_the_params_that_were_tried():
    proposer = proposer_of()
    for _ in range(30):
        asked = proposer.propose()
        told = proposer.known_values(asked)
        proposer.tell(asked, TrialState.COMPLETE, [report(0.5, last=True)])
        if told is None:
            continue
        assert told["family"] == asked.family
        prefix = f"{asked.family}."
        for key, value in told.items():
            if key.startswith(prefix) and key.removeprefix(prefix) not in {"encoding", "grow_policy"}:
                assert asked.params[key.removeprefix(prefix)] == value


@pytest.mark.parametrize("algorithm", ["tpe", "random"])
def test_choices_of_mixed_types_keep_their_types(algorithm):
    options = [1, 1.0, True, "1", None]
    sections = {
        "logistic_regression": {
            "params": {
                "class_weight": {"choice": options},
                "C": {"float": [0.1, 1.0], "when": {"class_weight": True}},
            },
            "start": [{"class_weight": option} for option in options],
        }
    }
    seen = {}
    proposer = proposer_of(sections, algorithm)
    for _ in range(60):
        one = proposer.propose()
        value = one.params["class_weight"]
        known = options[proposer.known_values(one)["logistic_regression.class_weight"]]
        proposer.tell(one, TrialState.COMPLETE, [report(0.5, last=True)])
        assert (type(known), known) == (type(value), value)
        seen.setdefault((type(value), value), set()).add(one.origin)
        assert ("C" in one.params) == (value is True)
    assert len(seen) == 5
    assert all({"start", algorithm} <= origins for origins in seen.values())


def test_steps_and_their_last_value():
    sections = {
        "xgboost": {
            "params": {"max_depth": {"int": [3, 10], "step": 3}, "subsample": {"float": [0.5, 1.0], "step": 0.2}}
        }
    }
    later = [one for one in proposals(proposer_of(sections, "random"), 60) if one.origin == "random"]
    assert {one.params["max_depth"] for one in later} == {3, 6, 9}
    assert {round(one.params["subsample"], 9) for one in later} == {0.5, 0.7, 0.9}


def test_rounds_come_from_the_space_or_the_family():
    sections = {"xgboost": {"effort": {"rounds": 77}}, "random_forest": {}, "ridge": {"effort": {"rounds": 5}}}
    rounds = [one.rounds for one in proposals(proposer_of(sections), 2)]
    assert rounds == [77, families()["random_forest"].rounds]


def test_a_family_without_params_repeats_itself():
    assert len({one.digest for one in proposals(proposer_of({"ridge": {}}), 4)}) == 1


@pytest.mark.parametrize("metric", ["r2", "rmse"])
def test_tpe_goes_where_the_scores_are_better(metric):
    aims = Aims.named(metric)
    proposer = proposer_of(RIDGE, aims=aims)
    sign = aims.metric.sign
    alphas = []
    for _ in range(60):
        asked = proposer.propose()
        alpha = asked.params["alpha"]
        alphas.append(alpha)
        proposer.tell(asked, TrialState.COMPLETE, [report(-sign * abs(alpha - 100), last=True)])
    assert sum(30 < alpha < 300 for alpha in alphas[-20:]) >= 9


def test_tpe_goes_where_the_constraints_are_kept():
    proposer = proposer_of(RIDGE, aims=Aims.named("r2", (), {"size_bytes": 50}))
    alphas = []
    for _ in range(60):
        asked = proposer.propose()
        alpha = asked.params["alpha"]
        alphas.append(alpha)
        measured = RungReport(1, 1.0, alpha, {"r2": alpha, "size_bytes": alpha}, 0.0, 0.0, is_last=True)
        proposer.tell(asked, TrialState.COMPLETE, [measured])
    assert sum(15 < alpha <= 50 for alpha in alphas[-20:]) >= 5, "the best that are allowed, not the best"


def test_with_two_objectives_tpe_covers_the_front_and_forgets_only_what_is_behind_it(monkeypatch):
    kept = {"MAX_KNOWN": 70, "KEPT_BEST": 25, "KEPT_LATEST": 10, "KEPT_OTHERS": 25}
    for name, value in kept.items():
        monkeypatch.setattr(module, name, value)
    proposer = proposer_of(TWO_NUMBERS, aims=Aims.named("r2", ["size_bytes"]))
    behind = []
    for number in range(90):
        asked = proposer.propose()
        size, waste = asked.params["learning_rate"], abs(asked.params["subsample"] - 0.8)
        measured = {"r2": size - waste, "size_bytes": size + waste}  # without waste every size is on the front
        behind.append(waste)
        last = RungReport(1, 1.0, measured["r2"], measured, 0.0, 0.0, is_last=True)
        proposer.tell(asked, TrialState.PRUNED if number == 50 else TrialState.COMPLETE, [last])
    assert np.mean(behind[-30:]) < np.mean(behind[1:31]) / 1.5


def test_a_proposal_depends_on_its_number_and_on_what_is_known_alone():
    first, later = proposer_of(), proposer_of()
    candidates = list(proposals(first, 30))
    for candidate in candidates:
        later.readopt(candidate)
        later.tell(candidate, TrialState.COMPLETE, [report(len(str(candidate.params)) / 100, last=True)])
    assert [later.propose() for _ in range(5)] == [first.propose() for _ in range(5)]


def test_a_candidate_from_another_space_is_not_learned_from():
    narrow = {"ridge": {"params": {"alpha": {"float": [0.1, 1.0], "log": True}}, "fixed": {"encoding": "ordinal"}}}
    proposer = proposer_of(narrow)
    for candidate in proposals(proposer_of(), 40):
        proposer.readopt(candidate)
        assert proposer.known_values(candidate) is None
    assert proposer.propose().number == 40


def test_tpe_forgets_all_but_the_best_the_latest_and_some_others(monkeypatch):
    monkeypatch.setattr(module, "MAX_KNOWN", 40)
    monkeypatch.setattr(module, "KEPT_BEST", 5)
    monkeypatch.setattr(module, "KEPT_LATEST", 10)
    monkeypatch.setattr(module, "KEPT_OTHERS", 10)
    proposer = proposer_of()
    running = [proposer.propose() for _ in range(4)]
    done = list(proposals(proposer, 100))
    assert len(proposer._study.get_trials()) < 60
    values = [trial.value for trial in proposer._study.get_trials() if trial.value is not None]
    assert max(values) == max(len(str(one.params)) / 100 for one in done)
    assert [proposer.known_values(one) is None for one in running] == [False, False, True, False]
    for one in running:
        proposer.tell(one, TrialState.PRUNED, [report(0.2), report(0.1, 2)])
    assert proposer.told()["PRUNED"] == 3
    assert "RUNNING" not in proposer.told()
