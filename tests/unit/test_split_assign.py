"""The part and the fold of a row follow from the hash of its key alone."""

from __future__ import annotations

import numpy as np
import pytest

from raysweep.rows.hashing import mix
from raysweep.split_rules import PartsConfig
from raysweep.stages.split.assign import assign_folds, count_folds, make_assignment

PARTS = PartsConfig()


def keys_of(start, stop):
    return mix(np.arange(start, stop, dtype=np.uint64))


def sizes(parts):
    return np.bincount(parts, minlength=3).tolist()


@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.98, 0.01, 0.01)])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_shares_are_right_within_the_noise(shares, seed):
    parts = PartsConfig(training=shares[0], testing=shares[1], validation=shares[2])
    rows = 50_000
    found = sizes(make_assignment(parts, seed).part_of(keys_of(0, rows)))
    for count, share in zip(found, shares, strict=True):
        assert abs(count - rows * share) < 4.5 * (rows * share * (1 - share)) ** 0.5


def test_rows_added_later_move_no_other():
    assignment = make_assignment(PARTS, 7)
    few, many = keys_of(0, 1_000), keys_of(0, 3_000)
    assert (assignment.part_of(many)[:1_000] == assignment.part_of(few)).all()


def test_neither_order_nor_blocks_matter():
    keys = keys_of(0, 2_000)
    assignment = make_assignment(PARTS, 7, {"rare": keys[:50], "rarer": keys[50:60]})
    expected = assignment.part_of(keys)
    order = np.random.default_rng(0).permutation(len(keys))
    assert (assignment.part_of(keys[order]) == expected[order]).all()
    cut = np.concatenate([assignment.part_of(block) for block in np.array_split(keys, 37)])
    assert (cut == expected).all()
    shuffled = make_assignment(PARTS, 7, {"rarer": keys[50:60][::-1], "rare": np.roll(keys[:50], 3)})
    assert shuffled == assignment


def test_another_seed_is_another_split():
    keys = keys_of(0, 5_000)
    same = (make_assignment(PARTS, 0).part_of(keys) == make_assignment(PARTS, 1).part_of(keys)).mean()
    assert same == pytest.approx(0.6**2 + 2 * 0.2**2, abs=0.03)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (1, [1, 0, 0]),
        (2, [1, 1, 0]),
        (3, [1, 1, 1]),
        (4, [2, 1, 1]),
        (5, [3, 1, 1]),
        (10, [6, 2, 2]),
        (199, [119, 40, 40]),
    ],
)
def test_a_rare_class_is_in_every_part_that_it_can_reach(rows, expected):
    for seed in range(5):
        rare = keys_of(1_000, 1_000 + rows)
        assignment = make_assignment(PARTS, seed, {"rare": rare})
        assert sizes(assignment.part_of(rare)) == expected


def test_three_rows_reach_every_part_whatever_the_shares():
    parts = PartsConfig(training=0.98, testing=0.01, validation=0.01)
    assert sizes(make_assignment(parts, 0, {"rare": keys_of(0, 3)}).part_of(keys_of(0, 3))) == [1, 1, 1]


def test_equal_keys_stay_together_also_across_rare_classes():
    shared, common = keys_of(0, 10), keys_of(500, 600)
    rare = {"a": np.concatenate([keys_of(100, 130), shared]), "b": np.concatenate([keys_of(200, 203), shared, shared])}
    assignment = make_assignment(PARTS, 3, rare)
    rows = np.concatenate([shared, common, shared, rare["a"], rare["b"]])
    parts = assignment.part_of(rows)
    for key in np.unique(rows):
        assert len(set(parts[rows == key])) == 1


def test_the_rows_of_other_classes_do_not_move_for_a_rare_one():
    common = keys_of(0, 1_000)
    with_rare = make_assignment(PARTS, 0, {"rare": keys_of(5_000, 5_020)})
    assert (with_rare.part_of(common) == make_assignment(PARTS, 0).part_of(common)).all()


def test_folds_are_even_in_every_class():
    keys = keys_of(0, 1_003)
    classes = (np.arange(1_003) % 10 == 0).astype(float)
    folds = assign_folds(keys, classes, 5, 0)
    for code in (0.0, 1.0):
        counts = np.bincount(folds[classes == code], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(folds, minlength=5)) <= 1


def test_equal_keys_are_in_one_fold_and_order_does_not_matter():
    keys = np.repeat(keys_of(0, 200), 3)
    folds = assign_folds(keys, None, 4, 0)
    assert all(len(set(folds[keys == key])) == 1 for key in np.unique(keys))
    order = np.random.default_rng(0).permutation(len(keys))
    assert (assign_folds(keys[order], None, 4, 0) == folds[order]).all()
    assert (assign_folds(keys, None, 4, 1) != folds).any()


def test_folds_are_drawn_apart_from_parts():
    keys = keys_of(0, 20_000)
    parts, folds = make_assignment(PARTS, 0).part_of(keys), assign_folds(keys, None, 5, 0)
    assert np.bincount(folds[parts == 1]) == pytest.approx(800, abs=120)


def test_how_many_folds():
    assert count_folds("auto", 4_999) == 5
    assert count_folds("auto", 5_000) == 1
    assert count_folds(3, 1_000_000) == 3
    assert count_folds(1, 10) == 1
