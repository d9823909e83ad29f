"""The seal of the validation rows, and the canaries by which a process knows one of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import arrow_of, clean_table
from raysweep.errors import RequestInvalid, SealBroken
from raysweep.rows.hashing import hash_rows
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest
from raysweep.stages.search.ray_slot_actor import SlotContext
from raysweep.training.canaries import check_unsealed, hash_block
from raysweep.training.evaluate import TrialRules
from split_builders import cut, cut_and_seal, search_rows, table_in, task_of

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


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
