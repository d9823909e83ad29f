"""The sample of a part's rows: by the hash of the key, whole keys, no class lost, and weighed so that means hold."""

from __future__ import annotations

import numpy as np
import pytest

from raysweep.rows.hashing import mix
from raysweep.stages.split.sampling import sample_part, share_out


def keys_of(count: int, repeat: int = 1) -> np.ndarray:
    return np.repeat(mix(np.arange(count, dtype=np.uint64)), repeat)


def test_it_has_as_many_rows_as_were_wanted_whatever_their_order():
    keys = keys_of(10_000)
    sample = sample_part(keys, None, 1_000, seed=3)
    shuffled = np.random.default_rng(0).permutation(keys)
    again = sample_part(shuffled, None, 1_000, seed=3)

    assert sample.contains(keys).sum() == 1_000
    assert set(keys[sample.contains(keys)]) == set(shuffled[again.contains(shuffled)])
    assert sample.weights(keys[sample.contains(keys)]) is None, "all count alike"


def test_another_seed_takes_other_rows_and_a_larger_sample_holds_the_smaller_one():
    keys = keys_of(10_000)
    small, large, other = (sample_part(keys, None, *how).contains(keys) for how in ((500, 0), (2_000, 0), (500, 1)))

    assert (large & small).sum() == small.sum()
    assert (other & small).sum() < 100


def test_rows_of_a_group_are_in_it_together():
    keys = keys_of(400, repeat=25)
    taken = sample_part(keys, None, 1_010, seed=0).contains(keys).reshape(400, 25)

    assert (taken.all(axis=1) | ~taken.any(axis=1)).all()
    assert taken.sum() == 1_025


def test_a_single_group_is_taken_where_it_is_larger_than_what_was_wanted():
    keys = keys_of(3, repeat=5_000)

    assert sample_part(keys, None, 10, seed=0).contains(keys).sum() == 5_000


def test_rare_classes_keep_two_hundred_rows_or_all_and_weigh_what_they_did():
    keys = keys_of(200_000)
    classes = np.zeros(len(keys))
    classes[:1_000], classes[1_000:1_050] = 1.0, 2.0
    sample = sample_part(keys, classes, 4_000, seed=0)
    taken = sample.contains(keys)
    weights = sample.weights(keys[taken])
    counts = np.bincount(classes[taken].astype(int))

    assert counts[1] == 200
    assert counts[2] == 50
    assert weights[classes[taken] == 0] == pytest.approx(1.0)
    for code, rows in ((1, 1_000), (2, 50)):  # times 50, since that many rows stand for one
        assert weights[classes[taken] == code].sum() * 50 == pytest.approx(rows, rel=0.1)


def test_a_group_with_a_rare_row_is_taken_whole():
    keys = keys_of(20_000, repeat=4)
    classes = np.zeros(len(keys))
    classes[::8000] = 1.0
    sample = sample_part(keys, classes, 800, seed=0)
    taken = sample.contains(keys)

    assert taken[classes == 1].all()
    assert (taken.reshape(-1, 4).all(axis=1) | ~taken.reshape(-1, 4).any(axis=1)).all()


def test_parts_get_their_share_and_at_least_a_row():
    assert share_out(1_000, 6_000, 2_000) == (750, 250)
    assert share_out(100, 1_000_000, 10) == (100, 1)
