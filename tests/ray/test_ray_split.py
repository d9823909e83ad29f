"""The split of a table: the same for the same rows, disjoint, sealed."""

from __future__ import annotations

import stat

import numpy as np
import pandas as pd
import pytest

from builders import arrow_of, clean_table, profile_of, sweep_config
from raysweep.config import TaskKind
from raysweep.errors import DataUnsuitable
from raysweep.records.table import Part
from raysweep.rows.hashing import digest_of, hash_rows
from raysweep.stages.split.planning import plan_assignment, split_rule, usable_rows
from split_builders import cut, cut_and_seal, search_rows, table_in, task_of

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


def test_the_same_split_for_any_blocks_and_order(tmp_path):
    frame = clean_table(1_500, seed=2)
    task = task_of(frame)
    expected, seal = cut_and_seal(table_in(frame), task, tmp_path)
    first, sealed = search_rows(expected), seal.open().block
    for blocks in (1, 7, 64):
        split, seal = cut_and_seal(table_in(frame, blocks, order=blocks), task, tmp_path)
        assert split == expected
        assert split.sketch.tolist() == expected.sketch.tolist()
        rows = search_rows(split)
        assert rows.training.features.equals(first.training.features)
        assert rows.testing.y.tolist() == first.testing.y.tolist()
        assert rows.fold_of_row.tolist() == first.fold_of_row.tolist()
        assert rows.canaries.tolist() == first.canaries.tolist()
        again = seal.open().block
        assert again.features.equals(sealed.features)
        assert again.y.tolist() == sealed.y.tolist()


def test_parts_hold_every_row_once(tmp_path):
    frame = clean_table(1_000, seed=3)
    split = cut(table_in(frame, 4), task_of(frame), tmp_path)
    assert sum(part.rows for part in split.parts.values()) == 1_000
    assert split.keys_shared == 0
    assert split.left_out_rows == 0
    assert split.parts[Part.TRAINING].rows == pytest.approx(600, abs=65)
    rows = search_rows(split)
    arrow, _ = arrow_of(frame)
    keys = hash_rows(arrow, split.key)
    names = rows.training.features.column_names
    assert names == [name for name in frame.columns if name != "target"]
    training = hash_rows(rows.training.features, names)
    assert training.tolist() == sorted(training.tolist())
    assert digest_of(training) == split.parts[Part.TRAINING].digest
    assert set(training.tolist()) < set(keys.tolist())
    assert split.parts[Part.TRAINING].class_counts == tuple(np.bincount(rows.training.y.astype(int)).tolist())


def test_the_sealed_rows_are_private_and_complete(tmp_path):
    frame = clean_table(300, seed=4)
    task = task_of(frame)
    split, seal = cut_and_seal(table_in(frame, 3), task, tmp_path)
    folder = seal.path.parent
    assert folder.parent == tmp_path
    assert folder.name.startswith("sealed-")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(seal.path.stat().st_mode) == 0o600
    sealed = seal.open().block
    assert sealed.rows == split.parts[Part.VALIDATION].rows
    assert sealed.features.column_names == [column.name for column in task.features]
    names = sealed.features.column_names
    assert digest_of(hash_rows(sealed.features, names)) == split.parts[Part.VALIDATION].digest


def test_weights_go_with_their_rows(tmp_path):
    frame = clean_table(400, seed=5).drop(columns="balance")
    frame["weight"] = frame["amount"] * 2
    task = task_of(frame, weight="weight")
    split, seal = cut_and_seal(table_in(frame, 5), task, tmp_path)
    rows = search_rows(split)
    for block in (rows.training, rows.testing, seal.open().block):
        assert "weight" not in block.features.column_names
        assert block.weight.tolist() == [2 * value for value in block.features.column("amount").to_pylist()]


@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.REGRESSION])
def test_rows_without_a_target_are_left_out_and_move_no_other(kind, tmp_path):
    frame = clean_table(500, seed=6, task=kind.value)
    whole = cut(table_in(frame), task_of(frame, kind), tmp_path, kind="random")
    bad = frame.assign(target=frame["target"].astype(float))
    bad.loc[::5, "target"] = np.nan
    split = cut(table_in(bad, 3), task_of(bad, kind), tmp_path, kind="random")
    assert split.left_out_rows == 100
    kept, every = search_rows(split).training, search_rows(whole).training
    names = kept.features.column_names
    assert set(hash_rows(kept.features, names).tolist()) < set(hash_rows(every.features, names).tolist())
    assert np.isfinite(kept.y).all()


def test_a_class_of_three_rows_is_in_every_part(tmp_path):
    frame = clean_table(600, seed=7, task="multiclass")
    frame.loc[[5, 300, 599], "target"] = "rare"
    task = task_of(frame, TaskKind.MULTICLASS)
    split = cut(table_in(frame, 6), task, tmp_path)
    position = task.classes.index("rare")
    assert [part.class_counts[position] for part in split.parts.values()] == [1, 1, 1]
    assert split.kind == "stratified"
    assert split.folds == 5


def test_rows_with_equal_keys_stay_together(tmp_path):
    frame = clean_table(400, seed=8)
    frame["person"] = np.arange(400) // 4
    split, seal = cut_and_seal(table_in(frame, 9), task_of(frame), tmp_path, key=("person",))
    assert split.key == ("person",)
    rows = search_rows(split)
    sealed = seal.open().block
    people = [set(block.features.column("person").to_pylist()) for block in (rows.training, rows.testing, sealed)]
    assert sum(map(len, people)) == 100
    assert split.keys_shared == 0
    everyone = np.array(
        rows.training.features.column("person").to_pylist() + rows.testing.features.column("person").to_pylist()
    )
    for person in np.unique(everyone):
        assert len(set(rows.fold_of_row[everyone == person])) == 1


def test_another_order_of_columns_is_the_same_split(tmp_path):
    frame = clean_table(300, seed=9)
    turned = frame[list(reversed(frame.columns))]
    first, second = (cut(table_in(one), task_of(one), tmp_path) for one in (frame, turned))
    assert {part: one.digest for part, one in first.parts.items()} == {
        part: one.digest for part, one in second.parts.items()
    }


def test_too_few_rows_for_a_part(tmp_path):
    frame = clean_table(2, seed=1).assign(target=[0, 1])
    with pytest.raises(DataUnsuitable, match="part is empty") as caught:
        cut(table_in(frame), task_of(frame), tmp_path)
    assert [finding.check for finding in caught.value.findings] == ["rows.too_few"]


def test_no_rows_at_all(tmp_path):
    frame = clean_table(10, seed=1)
    empty = frame.head(0).assign(target=pd.Series([], dtype="int64"))
    with pytest.raises(DataUnsuitable, match="part is empty"):
        cut(table_in(empty), task_of(frame), tmp_path)


def test_rows_of_a_group_stay_together_without_being_learned_from(tmp_path):
    frame = clean_table(400, seed=8).assign(person=np.arange(400) // 4)
    split = cut(table_in(frame, 3), task_of(frame), tmp_path, data={"group": "person"})
    assert (split.kind, split.key, split.keys_shared) == ("group", ("person",), 0)


@pytest.mark.parametrize("blocks", [1, 7])
def test_the_latest_rows_validate(tmp_path, blocks):
    frame = clean_table(2_000, seed=8)
    frame.loc[:9, "joined"] = pd.NaT
    frame.loc[10:14, "target"] = np.nan
    sweep = {"kind": "time", "data": {"time": "joined"}}
    split, seal = cut_and_seal(table_in(frame, blocks, order=blocks), task_of(frame), tmp_path, **sweep)
    rows, sealed = search_rows(split), seal.open().block
    days = [block.features.column("joined").to_pandas().dropna() for block in (rows.training, rows.testing, sealed)]
    assert days[0].max() < days[1].min()
    assert days[1].max() < days[2].min()
    assert sum(map(len, days)) == 1_985
    assert rows.training.features.column("joined").null_count == 10
    assert [part.rows / 1_995 for part in split.parts.values()] == pytest.approx([0.6, 0.2, 0.2], abs=0.01)
    assert (split.kind, split.folds, split.keys_shared) == ("time", 1, 0)
    assert split.cuts == tuple(day.min().timestamp() * 1e6 for day in days[1:])


def test_checks_may_look_at_early_rows_only(tmp_path):
    frame = clean_table(2_000, seed=8)
    config = sweep_config("target", split={"kind": "time"}, time="joined")
    table = table_in(frame)
    rule = split_rule(table, config, TaskKind.BINARY)
    assignment = plan_assignment(table, rule, task_of(frame))
    profile = profile_of(frame)
    usable = usable_rows(assignment, profile, rule)
    late = profile.sample.column("joined").to_pandas() >= pd.Timestamp(assignment.cuts[1], unit="us")
    assert (usable == ~late.to_numpy()).all()
    assert 0.15 < late.mean() < 0.25


def test_a_part_without_any_weight_is_refused(tmp_path):
    """Its weights are 0 in the latest rows, which validate."""
    frame = clean_table(300, 0).assign(day=np.arange(300), w=np.r_[np.ones(240), np.zeros(60)])
    with pytest.raises(DataUnsuitable, match=r"all rows of the validation part have the weight 0 \(w\)"):
        cut(table_in(frame), task_of(frame, weight="w"), tmp_path, kind="time", data={"time": "day"})
