"""The generators of simulated sweeps: what is said of a world is true of its rows."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from simulated_tables import FRESH, GOOD, GROUP_COLUMN, NOISE, make_world

ROWS = 20_000


def worlds(seeds, count, task, group_rows=0):
    """The first worlds with such a task, their rows in such groups."""
    found = (world for seed in seeds if (world := make_world(seed)).task == task)
    fitting = [replace(world, group_rows=group_rows).settled() for world in islice(found, count)]
    assert len(fitting) == count
    return fitting


@pytest.mark.parametrize("group_rows", [0, 5])
def test_the_features_explain_the_share_of_the_target_that_the_world_says(group_rows):
    for world in worlds(GOOD, 3, "regression", group_rows):
        target = world.draw(ROWS, FRESH)["target"]
        explained = replace(world, signal=1.0).draw(ROWS, FRESH)["target"]
        assert np.corrcoef(explained, target)[0, 1] ** 2 == pytest.approx(world.signal, abs=0.05)


def test_the_features_of_noise_say_nothing_of_the_target():
    for world in worlds(NOISE, 3, "regression"):
        target = world.draw(ROWS, FRESH)["target"]
        explained = replace(world, signal=1.0).draw(ROWS, FRESH)["target"]
        assert abs(np.corrcoef(explained, target)[0, 1]) < 4 / np.sqrt(ROWS)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_classes_have_their_shares(task):
    for world in worlds((*GOOD[-8:], *NOISE[:8]), 3, task):
        counted = world.draw(ROWS, FRESH)["target"].value_counts(normalize=True).sort_index()
        assert counted.to_numpy() == pytest.approx(np.array(world.shares), abs=0.03)


def test_fresh_rows_come_in_fresh_groups_that_share_a_part_of_the_noise():
    (world,) = worlds(NOISE, 1, "regression", 5)
    swept, fresh = world.table(), world.draw(ROWS, FRESH)
    assert not set(swept[GROUP_COLUMN]) & set(fresh[GROUP_COLUMN])
    assert len(fresh) / fresh[GROUP_COLUMN].nunique() == pytest.approx(world.group_rows, rel=0.05)
    of_group = fresh.groupby(GROUP_COLUMN)["target"]
    counts, variances = of_group.count(), of_group.var()
    within = np.average(variances[counts > 1], weights=counts[counts > 1] - 1)
    assert 1 - within / fresh["target"].var() == pytest.approx(0.3, abs=0.03)


def test_the_same_seed_gives_the_same_rows_and_another_one_others():
    world = make_world(5)
    assert world.table().equals(make_world(5).table())
    assert not world.table().equals(world.draw(world.rows, FRESH))
