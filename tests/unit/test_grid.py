"""Grid search: which values, every combination once, in an order from the seed, until there are no more."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from math import prod
from pathlib import Path

import pytest

from raysweep.config import SearchConfig, TaskKind
from raysweep.errors import RequestInvalid
from raysweep.records.aims import Aims
from raysweep.records.trial import RungReport, TrialState
from raysweep.space import Param, load_space
from raysweep.stages.search.grid import Grid, check_grid, grid_values
from raysweep.stages.search.proposals import Proposer
from raysweep.training.families import families, possible_spaces

SPACE = {
    "xgboost": {
        "params": {
            "encoding": {"choice": ["ordinal", "native", "target"]},
            "max_cat_to_onehot": {"int": [1, 4], "when": {"encoding": "native"}},
            "max_depth": {"int": [3, 4]},
        },
        "fixed": {"tree_method": "hist"},
        "start": [{"max_depth": 4, "encoding": "native", "max_cat_to_onehot": 2}, {"max_depth": 3}, {"max_depth": 3}],
    },
    "ridge": {"params": {"alpha": {"float": [0.5, 1.0], "step": 0.25}}},
}
COMBINATIONS = 2 * (1 + 1 + 4) + 3
REPORT = RungReport(1, 1.0, 0.5, {}, 0.0, 0.0, None, is_last=True)


def space_of(sections):
    return load_space({"version": 1, "families": sections}, base=Path())


def proposer_of(sections=None, seed=0):
    return Proposer(
        space_of(sections or SPACE),
        lambda family: families()[family].defaults,
        lambda _: None,
        algorithm="grid",
        aims=Aims.named("r2"),
        seed=seed,
    )


def all_of(proposer):
    return list(iter(proposer.propose, None))


@pytest.mark.parametrize(
    ("param", "values"),
    [
        ({"choice": [1, 1.0, True, "a", None]}, (1, 1.0, True, "a", None)),
        ({"int": [1, 10]}, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
        ({"int": [1, 10], "log": True}, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
        ({"int": [0, 100]}, (0, 25, 50, 75, 100)),
        ({"int": [1, 10_000], "log": True}, (1, 10, 100, 1_000, 10_000)),
        ({"int": [1, 11], "log": True}, (1, 2, 3, 6, 11)),
        ({"int": [3, 40], "step": 6}, (3, 9, 15, 21, 27, 33, 39)),
        ({"float": [0, 1]}, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ({"float": [0.01, 100], "log": True}, (0.01, 0.1, 1.0, 10.0, 100.0)),
        ({"float": [0.5, 1.0], "step": 0.2}, (0.5, 0.7, 0.9)),
        ({"float": [0.0, 0.3], "step": 0.1}, (0.0, 0.1, 0.2, 0.3)),
        ({"float": [2, 2]}, (2.0,)),
        ({"int": [7, 7]}, (7,)),
    ],
)
def test_the_values_of_a_parameter(param, values):
    known = Param.model_validate(param)
    found = grid_values(known)
    assert found == pytest.approx(values) if "choice" not in param else found == values
    assert [type(value) for value in found] == [type(value) for value in values]
    assert all(known.contains(value) for value in found)


def test_every_combination_once_and_conditional_parameters_only_where_they_hold():
    found = list(Grid(space_of(SPACE), seed=0))
    assert len(found) == COMBINATIONS == Grid(space_of(SPACE), seed=0).size
    assert len({(family, *sorted(values.items())) for family, values in found}) == COMBINATIONS
    assert Counter(family for family, _ in found) == {"xgboost": 12, "ridge": 3}
    for family, values in found:
        if family == "xgboost":
            assert ("max_cat_to_onehot" in values) == (values["encoding"] == "native")


def test_a_value_that_another_parameter_waits_for_is_on_the_grid():
    sections = {
        "xgboost": {
            "params": {
                "max_leaves": {"int": [0, 100]},
                "gamma": {"float": [0, 1], "when": {"max_leaves": 7}},
                "reg_alpha": {"choice": [0.0, 1.0], "when": {"gamma": 0.5, "max_leaves": 7}},
            }
        }
    }
    found = [values for _, values in Grid(space_of(sections), seed=0)]
    assert {values["max_leaves"] for values in found} == {0, 25, 50, 75, 100, 7}
    assert len(found) == 5 + 4 + 2
    assert [values["max_leaves"] for values in found if "gamma" in values] == [7] * 6


def test_choices_that_are_equal_but_of_another_type_are_told_apart():
    sections = {
        "logistic_regression": {
            "params": {
                "class_weight": {"choice": [1, 1.0, True]},
                "C": {"choice": [0.1, 1.0], "when": {"class_weight": True}},
            }
        }
    }
    found = [values for _, values in Grid(space_of(sections), seed=0)]
    assert sorted((type(values["class_weight"]).__name__, len(values)) for values in found) == [
        ("bool", 2),
        ("bool", 2),
        ("float", 1),
        ("int", 1),
    ]


def test_the_order_is_the_seeds_and_any_first_part_is_random():
    sections = {"ridge": {"params": {"alpha": {"float": [0, 99], "step": 1}}}}
    first, again, other = ([values["alpha"] for _, values in Grid(space_of(sections), seed)] for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(first) == sorted(other) == [float(number) for number in range(100)]
    assert first[:20] != sorted(first[:20])
    assert max(first[:20]) > 60


def test_defaults_and_starting_points_come_first_and_nothing_comes_twice():
    candidates = all_of(proposer_of())
    assert [(one.family, one.origin) for one in candidates[:4]] == [
        ("xgboost", "default"),
        ("ridge", "default"),
        ("xgboost", "start"),
        ("xgboost", "start"),
    ]
    assert {one.origin for one in candidates[4:]} == {"grid"}
    assert [one.number for one in candidates] == list(range(len(candidates)))
    assert len({one.digest for one in candidates}) == len(candidates)
    # The default of xgboost is not on the grid; that of ridge and both starting points are.
    assert len(candidates) == COMBINATIONS + 1
    assert candidates[4].params["tree_method" if candidates[4].family == "xgboost" else "encoding"]
    assert proposer_of().propose().params == candidates[0].params


def test_proposals_depend_on_seed_and_number_alone():
    proposer = proposer_of(seed=3)
    told = []
    for score in range(8):
        candidate = proposer.propose()
        proposer.tell(candidate, TrialState.COMPLETE if score % 2 else TrialState.FAILED, [REPORT] * (score % 2))
        told.append(candidate)
    assert told == all_of(proposer_of(seed=3))[:8]
    assert [one.digest for one in told] != [one.digest for one in all_of(proposer_of(seed=4))[:8]]


@pytest.mark.parametrize("taken_up", [0, 1, 3, 9, COMBINATIONS + 1])
def test_what_was_proposed_before_a_crash_is_not_proposed_again(taken_up):
    undisturbed = all_of(proposer_of())
    later = proposer_of()
    for candidate in undisturbed[:taken_up]:
        later.readopt(candidate)
        later.tell(candidate, TrialState.COMPLETE, [REPORT])
    assert all_of(later) == undisturbed[taken_up:]


def test_a_wider_grid_goes_on_with_what_is_new():
    wider = {**SPACE, "ridge": {"params": {"alpha": {"float": [0.5, 2.0], "step": 0.25}}}}
    before = all_of(proposer_of())
    later = proposer_of(wider)
    for candidate in before:
        later.readopt(candidate)
    assert sorted(one.params["alpha"] for one in all_of(later)) == [1.25, 1.5, 1.75, 2.0]


NUMBERS = ("learning_rate", "min_child_weight", "subsample", "reg_lambda", "reg_alpha", "gamma", "max_delta_step")


def too_many():
    params = {name: {"float": [0, 1]} for name in NUMBERS}
    return {"xgboost": {"params": {**params, "max_depth": {"int": [1, 13], "step": 1}}}}


def test_too_many_combinations_are_counted_and_refused():
    sections = too_many()
    count = prod([5] * len(NUMBERS)) * 13
    with pytest.raises(RequestInvalid, match=rf"{count:,} combinations \(xgboost {count:,}\).*algorithm random"):
        proposer_of(sections)
    del sections["xgboost"]["params"]["max_depth"]
    assert Grid(space_of(sections), 0).size == 5**7
    assert len(list(islice(Grid(space_of(sections), 0), 50))) == 50
    tiny = {"ridge": {"params": {"alpha": {"float": [0, 1], "step": 2**-20}}}}
    with pytest.raises(RequestInvalid, match=r"families\.ridge\.params\.alpha alone has 1,048,577 values"):
        proposer_of(tiny)


def test_the_sweep_file_may_ask_for_it():
    assert SearchConfig(algorithm="grid").algorithm == "grid"


def test_a_grid_is_refused_before_the_data_are_read_where_no_task_has_a_smaller_one():
    small, large = space_of({"ridge": {"params": {"alpha": {"float": [1, 2]}}}}), space_of(too_many())
    check_grid([large, small])
    check_grid([])
    with pytest.raises(RequestInvalid, match="combinations"):
        check_grid([large, large])
    both = space_of({**too_many(), "ridge": {}})
    found = [tuple(one.families) for one in possible_spaces(both, None)]
    assert found == [("xgboost",), ("xgboost",), ("xgboost", "ridge")]
    assert [tuple(one.families) for one in possible_spaces(both, TaskKind.BINARY)] == [("xgboost",)]
