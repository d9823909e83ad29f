"""The split of a table: the same for the same rows, disjoint, sealed."""

from __future__ import annotations

import copy
import stat
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import arrow_of, clean_table, profile_of, sweep_config, table_of
from raysweep.config import TaskKind
from raysweep.errors import DataUnsuitable, RequestInvalid, SealBroken
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask, Part
from raysweep.rows.hashing import digest_of, hash_rows
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.stages.source.ray_scan import DatasetScan
from raysweep.stages.split.planning import plan_assignment, split_rule, usable_rows
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.thresholds import DEFAULTS
from raysweep.training.canaries import check_unsealed, hash_block
from raysweep.training.evaluate import TrialRules

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


def table_in(frame, blocks=1, order=None):
    import ray

    arrow, _ = arrow_of(frame)
    if order is not None:
        arrow = arrow.take(np.random.default_rng(order).permutation(arrow.num_rows))
    cuts = np.linspace(0, arrow.num_rows, blocks + 1).astype(int).tolist()
    return table_of(frame, DatasetScan(ray.data.from_arrow([arrow.slice(a, b - a) for a, b in pairwise(cuts)])))


def task_of(frame, kind=TaskKind.BINARY, weight=None):
    _, columns = arrow_of(frame)
    features = tuple(column for column in columns if column.name not in {"target", weight})
    known = frame["target"].dropna()
    classes = () if kind is TaskKind.REGRESSION else tuple(sorted(known.unique().tolist()))
    counts = tuple(int((known == one).sum()) for one in classes)
    return LearningTask(kind, "target", metric_for(None, kind), features, classes, counts, weight)


def cut_and_seal(table, task, folder, *, further=(), **config):
    data = config.pop("data", {})
    sweep = sweep_config(task.target, split=config, weight=task.weight, **data)
    return cut_table(table, sweep, task, folder, DEFAULTS, further=further)


def cut(table, task, folder, **config):
    return cut_and_seal(table, task, folder, **config)[0]


def search_rows(split):
    import ray

    return ray.get(split.search_data)


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


def test_groups_and_further_columns_go_with_the_sealed_rows(tmp_path):
    frame = clean_table(400, seed=8).assign(person=np.arange(400) // 4, note=[f"row {row}" for row in range(400)])
    task = task_of(frame.drop(columns=["person", "note"]))
    wanted = {"data": {"group": "person"}, "further": ("note", "amount", "person")}
    split, seal = cut_and_seal(table_in(frame, 3), task, tmp_path, **wanted)
    rows, sealed = search_rows(split), seal.open()
    assert sealed.further.column_names == ["note", "person"]  # the amount is an input
    by_note = frame.set_index("note").loc[sealed.further.column("note").to_pylist()]
    assert sealed.block.features.column("amount").to_pylist() == by_note["amount"].tolist()
    assert sealed.block.y.tolist() == by_note["target"].tolist()
    assert sealed.further.column("person").to_pylist() == by_note["person"].tolist()
    people = pd.Series(sealed.further.column("person").to_pylist())
    assert people.groupby(sealed.block.group).nunique().eq(1).all()
    assert len(set(sealed.block.group.tolist())) == people.nunique()
    for block in (rows.training, rows.testing):
        assert pd.Series(block.group).value_counts().eq(4).all()
        assert not set(block.group.tolist()) & set(sealed.block.group.tolist())


def test_a_further_column_that_is_not_there(tmp_path):
    frame = clean_table(400, seed=8)
    with pytest.raises(RequestInvalid, match=r"'amont'.*did you mean 'amount'"):
        cut(table_in(frame), task_of(frame), tmp_path, further=("amont",))


def test_the_seal_is_opened_once_and_by_nobody_else(tmp_path):
    frame = clean_table(300, seed=4)
    for fault, message in (("none", "opened before"), ("changed", "were changed"), ("gone", "cannot be read")):
        _, seal = cut_and_seal(table_in(frame), task_of(frame), tmp_path)
        if fault == "none":
            copy.deepcopy(seal).open()
        elif fault == "changed":
            content = bytearray(seal.path.read_bytes())
            content[len(content) // 2] ^= 1
            seal.path.write_bytes(content)
        else:
            seal.delete()
            seal.delete()
            assert not seal.path.parent.exists()
        with pytest.raises(SealBroken, match=message):
            seal.open()


def test_nothing_that_the_search_gets_leads_to_the_sealed_rows(tmp_path):
    from ray import cloudpickle

    frame = clean_table(600, seed=4)
    task = task_of(frame)
    split, seal = cut_and_seal(table_in(frame), task, tmp_path)
    space = load_space("auto", base=Path())
    request = SearchRequest(task, split, space, print, print, bool)
    context = SlotContext(task, split.search_data, 0, TrialRules((1.0,), threads=1))
    for given in (replace(request, split=replace(split, search_data=None)), replace(context, rows=None)):
        assert seal.path.parent.name.encode() not in cloudpickle.dumps(given)
    assert seal.path.parent.name.encode() not in cloudpickle.dumps(search_rows(split))
    assert seal.path.parent.name.encode() in cloudpickle.dumps(seal)
    assert seal.path.parent.name not in repr(seal)


def test_canaries_are_validation_rows_that_no_row_of_the_search_equals(tmp_path):
    frame = clean_table(3_000, seed=4)
    alike = frame.head(1_000)
    both = pd.concat([frame, alike.assign(note="another")]).assign(note=lambda all_: all_["note"].fillna("one"))
    task = task_of(both.drop(columns="note"))  # rows that differ by their note alone are on both sides
    split, seal = cut_and_seal(table_in(both, 3), task, tmp_path)
    rows, sealed = search_rows(split), seal.open().block
    check_unsealed(rows)
    canaries = set(rows.canaries.tolist())
    marks = {part: hash_block(block) for part, block in (("search", rows.training), ("sealed", sealed))}
    assert canaries < set(marks["sealed"].tolist())
    others = {*marks["search"].tolist(), *hash_block(rows.testing).tolist()}
    expected = sorted({*marks["sealed"].tolist()} - others)
    assert others & {*marks["sealed"].tolist()}
    assert sorted(canaries) == expected[:1_024]
    spoiled = int(np.flatnonzero(np.isin(marks["sealed"], rows.canaries))[7])
    for part in ("training", "testing"):
        planted = replace(rows, **{part: getattr(rows, part).joined(sealed.take(slice(spoiled, spoiled + 1)))})
        with pytest.raises(SealBroken, match=f"handed to the search: 1 of .* {part} rows"):
            check_unsealed(planted)


def test_the_sketch_is_of_whole_validation_rows(tmp_path):
    frame = clean_table(400, seed=5).drop(columns="balance")
    frame["weight"] = frame["amount"] * 2
    split, seal = cut_and_seal(table_in(frame, 5), task_of(frame, weight="weight"), tmp_path)
    amounts = seal.open().block.features.column("amount").to_pylist()
    arrow, _ = arrow_of(frame[frame["amount"].isin(amounts)])
    assert split.sketch.tolist() == sorted(hash_rows(arrow, arrow.column_names).tolist())
