"""The part of a row by its time, alone or with its group; against brute force and scikit-learn's gap."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.model_selection import TimeSeriesSplit

from raysweep.rows.hashing import mix
from raysweep.split_rules import PartsConfig, instant_of, iso_of, span_of
from raysweep.stages.split.by_time import IN_EMBARGO, TOO_LATE, GroupTimes, TimeAssignment, cut_times
from raysweep.stages.split.dealing import time_values

PARTS = PartsConfig()


def sizes(parts):
    return np.bincount(parts, minlength=3).tolist()


@pytest.mark.parametrize(
    ("rows_of_each", "expected"),
    [([650, 200, 150], [650, 200, 150]), ([500, 350, 150], [500, 350, 150]), ([100] * 10, [600, 200, 200])],
)
def test_cuts_in_time_come_as_near_as_ties_allow(rows_of_each, expected):
    times = np.repeat(np.arange(len(rows_of_each), dtype=float), rows_of_each)
    times = np.random.default_rng(0).permutation(times)
    assert sizes(cut_times(times, PARTS).part_of_times(times)) == expected


@pytest.mark.parametrize("times", [[], [np.nan, np.nan], [1.0, 1.0, 2.0]])
def test_too_few_times_to_cut(times):
    found = np.asarray(times, dtype=float)
    assert cut_times(found, PARTS).part_of_times(found).tolist() == [0] * len(times)


@pytest.mark.parametrize("gap", [0, 1, 7])
def test_an_embargo_is_the_gap_of_scikit_learn(gap):
    times = np.arange(100.0)
    for training, testing in TimeSeriesSplit(n_splits=3, gap=gap).split(times):
        cuts = (float(testing[0]), float(testing[-1] + 1))
        parts = TimeAssignment(cuts, float(gap)).part_of_times(times)
        assert np.flatnonzero(parts == 0).tolist() == training.tolist()
        assert np.flatnonzero(parts == 1).tolist() == testing[: len(testing) - gap].tolist()
        assert (parts == IN_EMBARGO).sum() == 2 * gap
        assert (parts == 2).sum() == 100 - cuts[1]


def test_rows_without_a_time_train_under_an_embargo_too():
    assert TimeAssignment((5.0, 8.0), 2.0).part_of_times(np.array([np.nan, 1.0, 4.0])).tolist() == [0, 0, IN_EMBARGO]


def groups_of(rows, seed):
    """Visits of people: when each comes first is spread over a year, and they come back for a month."""
    rng = np.random.default_rng(seed)
    person = rng.integers(0, rows // 5, rows)
    begins = rng.integers(0, 365, rows // 5)
    times = (begins[person] + rng.integers(0, 30, rows)).astype(float)
    times[rng.random(rows) < 0.05] = np.nan
    return mix(person.astype(np.uint64)), times


def brute_force(keys, times, cuts, embargo):
    """One group after the other, one row after the other."""
    ends = [*cuts, np.inf]
    places = []
    for key, time in zip(keys, times, strict=True):
        known = times[(keys == key) & ~np.isnan(times)]
        first = known.min() if len(known) else -np.inf
        part = sum(first >= cut for cut in cuts)
        if time >= ends[part]:
            places.append(TOO_LATE)
        elif time >= ends[part] - embargo:
            places.append(IN_EMBARGO)
        else:
            places.append(part)
    return places


@pytest.mark.parametrize("embargo", [0.0, 5.0])
def test_a_group_goes_where_its_first_row_does(embargo):
    keys, times = groups_of(1_500, 0)
    lonely = mix(np.array([10**6] * 3, np.uint64))  # a group without any time
    keys, times = np.r_[keys, lonely], np.r_[times, [np.nan] * 3]
    rule = GroupTimes.of(keys, times).assignment(PARTS, None, embargo)
    parts = rule.part_of_rows(keys, times)
    assert parts.tolist() == brute_force(keys, times, rule.time.cuts, embargo)
    assert parts[-3:].tolist() == [0, 0, 0]
    windows = [times[(parts == part) & ~np.isnan(times)] for part in range(3)]
    assert windows[0].max() < rule.time.cuts[0] - embargo
    assert rule.time.cuts[0] <= windows[1].min() <= windows[1].max() < rule.time.cuts[1] - embargo
    assert rule.time.cuts[1] <= windows[2].min()
    members = [set(keys[parts == part].tolist()) for part in range(3)]
    assert sum(map(len, members)) == len(set().union(*members))
    assert {TOO_LATE} <= set(parts.tolist())


def test_cuts_of_groups_come_nearest_to_the_shares_by_first_times():
    keys, times = groups_of(3_000, 1)
    keys, times = keys[~np.isnan(times)], times[~np.isnan(times)]
    rule = GroupTimes.of(keys, times).assignment(PARTS, None, 0.0)
    firsts = {key: times[keys == key].min() for key in np.unique(keys)}
    of_rows = np.array([firsts[key] for key in keys])
    candidates = np.unique(of_rows)[1:]
    nearest = [
        candidates[np.abs([(of_rows < cut).mean() - share for cut in candidates]).argmin()] for share in (0.6, 0.8)
    ]
    assert rule.time.cuts == tuple(nearest)


def test_groups_are_the_same_for_any_blocks_and_order():
    keys, times = groups_of(2_000, 2)
    whole = GroupTimes.of(keys, times)
    order = np.random.default_rng(0).permutation(len(keys))
    found = [GroupTimes.of(keys[rows], times[rows]) for rows in np.array_split(order, 13)]
    merged = GroupTimes.of(
        *(np.concatenate([getattr(one, name) for one in found]) for name in ("keys", "firsts", "rows"))
    )
    for name in ("keys", "firsts", "rows"):
        assert np.array_equal(getattr(whole, name), getattr(merged, name), equal_nan=name == "firsts")


def test_later_rows_and_new_groups_move_no_group_with_recorded_cuts():
    keys, times = groups_of(2_000, 3)
    rule = GroupTimes.of(keys, times).assignment(PARTS, None, 3.0)
    rng = np.random.default_rng(0)
    more = np.r_[keys, rng.choice(keys, 100), mix(np.arange(10**6, 10**6 + 100, dtype=np.uint64))]
    later = np.r_[times, np.full(100, 500.0), rng.integers(0, 400, 100)]
    again = GroupTimes.of(more, later).assignment(PARTS, rule.time.cuts, 3.0)
    known = np.isin(keys, keys[~np.isnan(times)])
    assert (again.part_of_rows(more, later)[:2_000][known] == rule.part_of_rows(keys, times)[known]).all()


def test_a_group_that_was_never_seen_trains():
    rule = GroupTimes.of(mix(np.array([1, 2], np.uint64)), np.array([1.0, 9.0])).assignment(PARTS, (3.0, 6.0), 0.0)
    assert rule.part_of_groups(mix(np.array([2, 3, 1], np.uint64))).tolist() == [2, 0, 0]
    empty = GroupTimes.of(np.zeros(0, np.uint64), np.zeros(0)).assignment(PARTS, None, 0.0)
    assert empty.part_of_groups(mix(np.array([2], np.uint64))).tolist() == [0]


def test_spans_and_instants():
    hour = 3_600e6
    assert [span_of(text) for text in ("2w", "7d", "12h", "30m", "45s", "1.5h")] == [
        *(336 * hour, 168 * hour, 12 * hour, hour / 2),
        *(45e6, 1.5 * hour),
    ]
    assert [span_of("7"), span_of("d7"), span_of("7 days"), span_of(3)] == [None, None, None, 3]
    assert instant_of("1970-01-02") == 24 * hour
    assert instant_of("2026-01-01T02:00:00+02:00") == instant_of("2026-01-01")
    for text in ("2013-07-01T05:06:07.123456", "1969-12-31T23:59:59.999999", "0001-01-01T00:00:00"):
        assert iso_of(instant_of(text)) == text
    assert iso_of(1e18) == 1e18
    with pytest.raises(ValueError, match="write a date as"):
        instant_of("yesterday")


def test_an_infinite_time_counts_as_missing():
    """It trains, like any row whose time is not known, and is in no embargo."""
    times = time_values(pa.chunked_array([pa.array([0.0, 1.0, 2.0, np.inf, -np.inf, None])]))
    assert np.isnan(times[3:]).all()
    assert TimeAssignment((1.0, 2.0)).part_of_times(times).tolist() == [0, 1, 2, 0, 0, 0]
