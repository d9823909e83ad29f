"""The split of a table that is larger than memory: the parts of the whole table, a sample of it, all rows in blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders import clean_table, sweep_config
from raysweep.config import TaskKind
from raysweep.errors import DataUnsuitable
from raysweep.records.table import Part
from raysweep.stages.split import bucketed
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.thresholds import DEFAULTS
from split_builders import KINDS, cut_and_seal, cut_sampled, search_rows, table_in, task_of, visits

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


def blocks_of(split, part):
    import ray

    found = ray.get(list(split.sample.blocks[part]))
    rows = found[0].rows.joined(*(one.rows for one in found[1:]))
    return rows, np.concatenate([one.sampled for one in found])


@pytest.fixture
def small_buckets(monkeypatch):
    monkeypatch.setattr(bucketed, "_BUCKET_BYTES", 20_000)


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_are_those_of_the_whole_table_and_every_row_is_in_a_block(kind, tmp_path, small_buckets):
    frame = visits(2_000, seed=1)
    task = task_of(frame)
    whole, sealed = cut_and_seal(table_in(frame), task, tmp_path, **{**KINDS[kind], "folds": 1})
    split, seal = cut_sampled(table_in(frame, 7, order=3), task, tmp_path, 400, **{**KINDS[kind], "folds": 1})

    assert split.parts == whole.parts
    assert split.sketch.tolist() == whole.sketch.tolist()
    assert seal.rows == sealed.rows
    ours, theirs = seal.open().block, sealed.open().block
    assert ours.features.equals(theirs.features)
    assert ours.y.tolist() == theirs.y.tolist()
    everything, sample = search_rows(whole), search_rows(split)
    for part, rows, taken in (
        (Part.TRAINING, everything.training, sample.training),
        (Part.TESTING, everything.testing, sample.testing),
    ):
        found, flags = blocks_of(split, part)
        assert len(split.sample.blocks[part]) > 1
        assert found.features.equals(rows.features), "in the order in which they stand in memory"
        assert found.y.tolist() == rows.y.tolist()
        assert found.take(np.flatnonzero(flags)).features.equals(taken.features)
    assert 400 <= sum(split.sample.rows.values()) < 500
    assert split.scored_on == f"testing (a sample of {sample.testing.rows:,} of {everything.testing.rows:,} rows)"
    assert not list(tmp_path.glob("sealed-*/*.arrows")), "nothing but the sealed rows is left"


def test_the_same_sample_for_any_blocks_and_order(tmp_path):
    frame = clean_table(1_500, seed=2)
    task = task_of(frame)
    first, _ = cut_sampled(table_in(frame), task, tmp_path, 300, folds=1)
    again, _ = cut_sampled(table_in(frame, 9, order=5), task, tmp_path, 300, folds=1)

    assert again == first
    one, other = search_rows(first), search_rows(again)
    assert one.training.features.equals(other.training.features)
    assert one.canaries.tolist() == other.canaries.tolist()
    assert len(one.canaries)


def test_a_rare_class_is_in_the_sample_and_weighs_what_it_did(tmp_path):
    frame = clean_table(6_000, seed=4)
    frame["target"] = np.where(np.arange(6_000) % 50 == 0, "yes", "no")
    task = task_of(frame)
    split, _ = cut_sampled(table_in(frame, 3), task, tmp_path, 600, folds=1)
    rows = search_rows(split).training
    of_training = split.parts[Part.TRAINING].class_counts

    of_testing = split.parts[Part.TESTING].class_counts
    assert split.sample.raised == (("yes", of_training[1] + of_testing[1], of_training[1] + of_testing[1]),)
    assert np.bincount(rows.y.astype(int))[1] == of_training[1], "fewer than 200: all of them"
    share = rows.weight[rows.y == 1].sum() / rows.weight.sum()
    assert share == pytest.approx(of_training[1] / sum(of_training), rel=0.15)


def test_a_number_that_is_no_less_than_there_are_takes_all(tmp_path):
    frame = clean_table(500, seed=2)
    split, seal = cut_sampled(table_in(frame), task_of(frame), tmp_path, 5_000)

    assert split.sample is None
    assert seal.path.suffix == ".parquet"


def test_regression_and_weights(tmp_path, small_buckets):
    frame = clean_table(1_500, seed=6).assign(target=lambda one: np.arange(len(one)) * 1e6, balance=2.0)
    task = task_of(frame, TaskKind.REGRESSION, weight="balance")
    sweep = sweep_config("target", weight="balance", search={"rows": 200}, split={"folds": 1})
    split, seal = cut_table(table_in(frame, 4), sweep, task, tmp_path, DEFAULTS)

    assert search_rows(split).training.weight.tolist() == [2.0] * split.sample.rows[Part.TRAINING]
    assert set(seal.open().block.weight) == {2.0}


def test_rows_that_come_and_go_between_the_passes_are_noticed(tmp_path):
    frame = clean_table(800, seed=1)
    table = table_in(frame, 2)

    class Shrinking:
        """Loses a block after the first pass."""

        passes = 0

        def __call__(self, count, names=None):
            self.passes += 1
            found = list(table.scan(count, names))
            yield from found if self.passes < 2 else found[:1]

    with pytest.raises(DataUnsuitable, match="when they were counted"):
        cut_sampled(replace(table, scan=Shrinking()), task_of(frame), tmp_path, 100, kind="random")
