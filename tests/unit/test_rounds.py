"""How many rounds are enough: one number for all folds, no reward for luck."""

import numpy as np
import pytest

from raysweep.training.rounds import PATIENCE_ROUNDS, agreed_rounds, best_rounds, has_stalled, look_every


def test_the_first_of_equal_rounds_is_best():
    assert best_rounds([0.1, 0.3, 0.2, 0.3]) == 2


def test_a_curve_stalls_after_fifty_rounds_without_gain():
    curve = [0.5, 0.6] + [0.55] * (PATIENCE_ROUNDS - 1)
    assert not has_stalled(curve)
    assert has_stalled([*curve, 0.55])


def test_where_looks_are_rare_rounds_are_counted_all_the_same():
    assert best_rounds([0.1, 0.3, 0.2], every=10) == 20
    assert agreed_rounds([[0.1, 0.3], [0.1, 0.3]], every=5) == 10
    curve = [0.5, 0.6, 0.55, 0.55, 0.55, 0.55]
    assert not has_stalled(curve, every=10)
    assert has_stalled([*curve, 0.55], every=10)


@pytest.mark.parametrize(("rounds", "every"), [(1, 1), (54, 1), (399, 1), (400, 2), (2000, 10)])
def test_about_two_hundred_looks_are_enough(rounds, every):
    assert look_every(rounds) == every


def test_folds_agree_on_the_best_of_their_mean():
    assert agreed_rounds([[0.0, 1.0, 0.0, 0.9], [0.0, 0.0, 1.0, 0.9]]) == 4


def test_folds_agree_within_the_shortest_curve():
    assert agreed_rounds([[0.1, 0.2], [0.1, 0.2, 0.9]]) == 2


def test_noise_is_not_mined():
    generator = np.random.default_rng(0)
    curves = [generator.normal(size=200).tolist() for _ in range(5)]
    agreed = agreed_rounds(curves)
    assert np.mean([curve[agreed - 1] for curve in curves]) < np.mean([max(curve) for curve in curves]) - 1
