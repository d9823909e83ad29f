"""The search space: bounds, conditions, starting points, and the spaces that come with raysweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.config import TaskKind
from raysweep.errors import RequestInvalid
from raysweep.space import FamilySpace, Param, load_space, shipped_spaces
from raysweep.training.families import check_space, families, fitting_space


def space_of(params, family="xgboost", **section):
    values = {"version": 1, "families": {family: {"params": params, **section}}}
    return load_space(values, base=Path())


def refusal(*args, **section):
    with pytest.raises(RequestInvalid) as caught:
        check_space(space_of(*args, **section))
    return str(caught.value)


@pytest.mark.parametrize(
    ("param", "said"),
    [
        ({"int": [8, 3]}, "the bounds are reversed: [8, 3]; write [3, 8]"),
        ({"float": [1.0, 0.1]}, "the bounds are reversed"),
        ({"float": [0, 1], "log": True}, "log: true needs a lower bound above 0, not 0"),
        ({"int": [-1, 1], "log": True}, "log: true needs a lower bound above 0"),
        ({"float": [0.1, 1], "log": True, "step": 0.1}, "log and step exclude each other"),
        ({"int": [1, 9], "step": 0.5}, "the step of an int must be a whole number"),
        ({"int": [1, 9], "step": 0}, "step"),
        ({}, "exactly one of"),
        ({"int": [1, 2], "float": [1, 2]}, "exactly one of"),
        ({"choice": []}, "choice"),
        ({"choice": [1, 1]}, "holds a value twice"),
        ({"choice": [1, 2], "log": True}, "log and step belong to"),
        ({"int": [1, 2, 3]}, "int"),
        ({"float": [float("nan"), 1]}, "finite"),
    ],
)
def test_params_that_are_refused(param, said):
    message = refusal({"max_depth": param})
    assert said in message
    assert "families.xgboost.params.max_depth" in message


def test_conditions_that_can_never_hold():
    depth = {"int": [3, 8]}
    choice = {"choice": ["ordinal", "native"]}
    assert "no parameter 'encodng', did you mean 'encoding'" in refusal(
        {"encoding": choice, "max_depth": depth | {"when": {"encodng": "native"}}}
    )
    assert "encoding can never be 'onehot'" in refusal(
        {"encoding": choice, "max_depth": depth | {"when": {"encoding": "onehot"}}}
    )
    assert "can never be 20" in refusal({"max_depth": depth, "encoding": choice | {"when": {"max_depth": 20}}})
    circle = refusal(
        {
            "max_depth": depth | {"when": {"encoding": "native"}},
            "encoding": choice | {"when": {"max_depth": 5}},
            "gamma": {"float": [0, 1]},
        }
    )
    assert "the conditions of encoding, max_depth wait for each other" in circle
    assert "max_depth" in refusal({"max_depth": depth | {"when": {"max_depth": 5}}})


def test_starting_points_outside_of_the_space():
    message = refusal(
        {"max_depth": {"int": [3, 8]}, "gamma": {"float": [0, 1], "step": 0.25}},
        start=[{"max_depth": 6}, {"max_depth": 9, "gama": 1}, {"gamma": 0.3}, {"max_depth": True}],
    )
    assert "start[0]" not in message
    assert "start[1].max_depth: 9 is outside of int in [3, 8]" in message
    assert "start[1].gama: no such parameter, did you mean 'gamma'?" in message
    assert "start[2].gamma: 0.3 is outside of float in [0.0, 1.0] in steps of 0.25" in message
    assert "start[3].max_depth: True is outside" in message


def test_families_parameters_and_encodings_that_do_not_exist():
    assert "unknown family" in refusal({}, family="xgbost")
    assert "did you mean 'xgboost'" in refusal({}, family="xgbost")
    assert "no parameter 'max_dpth', did you mean 'max_depth'?" in refusal({"max_dpth": {"int": [3, 8]}})
    assert "no parameter 'tree_methd'" in refusal({}, fixed={"tree_methd": "hist"})
    assert "is both searched and fixed" in refusal({"max_depth": {"int": [3, 8]}}, fixed={"max_depth": 3})
    assert "no encoding 'targt', did you mean 'target'?" in refusal({"encoding": {"choice": ["ordinal", "targt"]}})
    assert "no encoding 'native' (it takes ordinal, target)" in refusal(
        {}, "random_forest", fixed={"encoding": "native"}
    )
    assert "no encoding 'hash'" in refusal({}, fixed={"encoding": "hash"})


def test_several_problems_at_once():
    values = {
        "version": 1,
        "families": {
            "xgboost": {"params": {"max_depth": {"int": [8, 3]}, "gamma": {"float": [0, 1], "log": True}}},
            "ridge": {"params": {"alpha": {"choice": []}}},
        },
    }
    with pytest.raises(RequestInvalid) as caught:
        load_space(values, base=Path())
    assert len(caught.value.problems) == 3


def test_params_come_after_what_their_condition_names():
    section = FamilySpace(
        params={
            "c": Param(int=(1, 2), when={"b": 1}),
            "b": Param(int=(1, 2), when={"a": "x"}),
            "a": Param(choice=("x", "y")),
        }
    )
    assert section.ordered == ("a", "b", "c")
    assert section.is_active("b", {"a": "x"})
    assert not section.is_active("b", {"a": "y"})
    assert not section.is_active("c", {"a": "y"})


def test_conditions_on_what_is_fixed_tell_true_from_one():
    section = FamilySpace(
        params={"a": Param(int=(1, 2), when={"on": True}), "b": Param(int=(1, 2), when={"on": 1})}, fixed={"on": True}
    )
    assert section.is_active("a", {})
    assert not section.is_active("b", {})


def test_what_a_param_contains():
    mixed = Param(choice=(1, 1.0, True, "1", None))
    assert all(mixed.contains(value) for value in (1, 1.0, True, "1", None))
    assert not any(mixed.contains(value) for value in (0, False, "", 2.0))
    stepped = Param(float=(0.1, 0.9), step=0.2)
    assert all(stepped.contains(value) for value in (0.1, 0.3, 0.5, 0.7, 0.9))
    assert not any(stepped.contains(value) for value in (0.2, 1.1, float("nan"), True, "0.1", None))
    assert not Param(int=(1, 9)).contains(2.5)


@pytest.mark.parametrize("name", sorted(shipped_spaces()))
def test_shipped_spaces_are_sound(name):
    space = load_space(name, base=Path())
    check_space(space)
    for family, section in space.families.items():
        assert not set(section.params) - set(families()[family].defaults)


def test_the_space_called_auto_holds_every_family():
    space = load_space("auto", base=Path())
    assert set(space.families) == set(families())
    kept, left_out = fitting_space(space, TaskKind.REGRESSION)
    assert left_out == ("logistic_regression",)
    assert "ridge" in kept.families
    with pytest.raises(RequestInvalid, match="ridge cannot learn a binary task; families that can: xgboost"):
        fitting_space(space_of({}, family="ridge"), TaskKind.BINARY)
