"""The difference of predictions on the scale on which the model tells rows apart."""

from __future__ import annotations

import numpy as np
import pytest

from raysweep.training.agreement import gap, ordinary_rows

NUMBERS = np.random.default_rng(3).normal(size=100)


@pytest.mark.parametrize("shape", [(100,), (100, 1)])
@pytest.mark.parametrize(("size", "offset"), [(1.0, 0.0), (1e-7, 0.0), (1e9, 0.0), (1.0, 1e7), (1e-3, -1e3)])
def test_neither_the_unit_nor_an_offset_hides_a_difference(size, offset, shape):
    wanted = (NUMBERS * size + offset).reshape(shape)
    found = wanted.copy()
    found[17] += 0.01 * wanted.std()
    apart = gap(found, wanted)
    assert apart.shape == (100,)
    assert apart[17] == pytest.approx(0.01, rel=1e-4)
    assert np.count_nonzero(apart) == 1


def test_probabilities_differ_by_what_they_differ():
    wanted = np.tile([0.9, 0.1], (100, 1))
    found = wanted + np.array([0.0, 3e-6])
    np.testing.assert_allclose(gap(found, wanted), 3e-6, rtol=1e-6)


def test_rows_far_outside_widen_neither_the_scale_nor_are_they_held_to_it():
    wanted = np.append(NUMBERS, 1e30)
    ordinary = ordinary_rows(["training row"] * 100 + ["extreme: 1e+308 in every number"])
    assert gap(wanted * (1 + 1e-15), wanted, ordinary)[100] < 1e-14
    assert gap(wanted + 1e-3, wanted, ordinary)[:100].min() > 5e-4
    assert gap(wanted * (1 + 1e-3), wanted, ordinary)[100] == pytest.approx(1e-3)


def test_predictions_that_are_all_the_same():
    same = np.full(10, 1e-9)
    np.testing.assert_allclose(gap(same * 1.5, same), 0.5)
    np.testing.assert_allclose(gap(np.zeros(10) + 0.25, np.zeros(10)), 0.25)


def test_what_is_no_number_or_too_many_is_endlessly_far():
    found = NUMBERS.copy()
    found[3] = np.nan
    assert np.isinf(gap(found, NUMBERS)[3])
    assert np.isinf(gap(NUMBERS, found)[3])
    assert np.isinf(gap(np.zeros((100, 2)), NUMBERS)).all()
    assert np.isinf(gap(NUMBERS[:99], NUMBERS)).all()
    assert gap(NUMBERS, NUMBERS).max() == 0


def test_the_smallest_difference_is_none_only_where_there_is_none():
    wanted = np.array([0.0, 1e300, -1e300, 5e-324])
    found = np.array([0.0, 1e300, -1e300, 1e-323])
    assert (gap(found, wanted) > 0).tolist() == [False, False, False, True]


def test_numbers_are_held_to_no_more_than_numbers_can():
    wanted = 1e12 + NUMBERS * 1e-3
    assert gap(np.nextafter(wanted, np.inf), wanted).max() < 1e-6
