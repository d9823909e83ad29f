"""Every kind of split: the same parts for any format and workers, stable, disjoint, in order of time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders import arrow_of, clean_table, sweep_config
from raysweep.config import load_config
from raysweep.errors import DataUnsuitable, RequestInvalid
from raysweep.records.table import Part
from raysweep.rows.canonical import placed
from raysweep.rows.hashing import hash_rows
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.statistics import block_statistics
from raysweep.stages.profile.summary import summarize
from raysweep.stages.source import ray_scan, ray_source
from raysweep.stages.source.ray_source import open_table
from raysweep.stages.split.dealing import Wanted, deal
from raysweep.stages.split.planning import plan_assignment, split_rule, usable_rows
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.thresholds import DEFAULTS
from split_builders import KINDS, cut, cut_and_seal, places_of, search_rows, table_in, task_of, visits

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_parts_for_any_format_files_and_workers(kind, tmp_path, monkeypatch):
    frame = visits(1_200, 3)
    shuffled = frame.sample(frac=1, random_state=1)
    frame.to_parquet(tmp_path / "one.parquet", index=False)
    frame.to_csv(tmp_path / "one.csv", index=False)
    for ending in ("parquet", "csv"):
        (tmp_path / ending).mkdir()
        for number, rows in enumerate(np.array_split(np.arange(len(frame)), 5)):
            some = shuffled.iloc[rows]
            write = some.to_parquet if ending == "parquet" else some.to_csv
            write(tmp_path / ending / f"{number}.{ending}", index=False)
    sections = dict(KINDS[kind])
    data = sections.pop("data", {})
    found = []
    for source, held in (("one.parquet", True), ("one.csv", True), ("parquet", False), ("csv", False)):
        if not held:  # read in tasks of Ray's, one a file
            monkeypatch.setattr(ray_source, "_HELD_PARQUET_BYTES", 0)
            monkeypatch.setattr(ray_source, "_HELD_TEXT_BYTES", 0)
            monkeypatch.setattr(ray_scan, "_TASK_BYTES", 1)
        keys = {"source": str(tmp_path / source), "target": "target", **data}
        sweep = load_config({"version": 1, "data": keys, "split": sections})
        task = task_of(frame.drop(columns="part"))
        split, seal = cut_table(open_table(sweep), sweep, task, tmp_path, DEFAULTS)
        found.append((split, search_rows(split).canaries.tolist(), seal.open().block.features))
    first = found[0]
    for split, canaries, sealed in found[1:]:
        assert split == first[0]
        assert split.sketch.tolist() == first[0].sketch.tolist()
        assert canaries == first[1]
        assert sealed.equals(first[2])


@pytest.mark.parametrize("kind", ["random", "stratified", "group", "time", "group+time"])
def test_rows_added_later_move_no_other(kind, tmp_path):
    frame = visits(2_000, 3)
    more = pd.concat([frame, visits(200, 4)])
    sections = dict(KINDS[kind])
    if "time" in kind:
        split = cut(table_in(frame), task_of(frame), tmp_path, **sections)
        sections["cuts"] = split.rule.cuts
        assert all(isinstance(one, str) for one in split.rule.cuts)
    before, after = places_of(frame, **sections), places_of(more, **sections)
    assert {row: after.get(row) for row in before} == before
    if kind == "group":  # also more rows of people who were there
        known = frame.sample(200, random_state=0).assign(amount=-1.0)
        grown = places_of(pd.concat([frame, known]), **sections)
        assert {row: grown.get(row) for row in before} == before


@pytest.mark.parametrize("kind", ["random", "group"])
def test_a_rare_class_moves_nothing_where_the_hash_alone_decides(kind):
    frame = visits(1_500, 5)
    frame["target"] = np.where(np.arange(1_500) % 100 == 0, 1, 0)
    grown = pd.concat([frame, visits(150, 6).assign(target=1)])
    before, after = places_of(frame, **KINDS[kind]), places_of(grown, **KINDS[kind])
    assert {row: after[row] for row in before} == before


def test_only_rows_of_rare_classes_move_where_a_split_is_stratified():
    frame = visits(1_500, 5)
    frame["target"] = np.where(np.arange(1_500) % 100 == 0, 1, 0)
    common = frame[frame["target"] == 0]
    grown = pd.concat([frame, visits(60, 6).assign(target=1), visits(100, 7).assign(target=0)])
    before, after = places_of(frame, kind="stratified"), places_of(grown, kind="stratified")
    arrow, _ = arrow_of(common)
    for row in hash_rows(arrow, arrow.column_names).tolist():
        assert before[row] == after[row]


@pytest.mark.parametrize("kind", ["random", "stratified", "group", "time", "group+time"])
def test_neither_repeats_nor_groups_are_in_two_parts(kind, tmp_path):
    frame = visits(1_200, 3)
    frame = pd.concat([frame, frame.sample(400, random_state=0), frame.sample(100, random_state=1)])
    split, seal = cut_and_seal(table_in(frame, 4), task_of(frame), tmp_path, **KINDS[kind])
    rows, sealed = search_rows(split), seal.open().block
    blocks = [one.features.to_pandas() for one in (rows.training, rows.testing, sealed)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert blocks[one].merge(blocks[other]).empty
        if "group" in kind:
            assert not {*blocks[one]["person"]} & {*blocks[other]["person"]}
    assert split.keys_shared == 0
    if "group" in kind:
        assert [part.groups for part in split.parts.values()] == [one["person"].nunique() for one in blocks]


@pytest.mark.parametrize("kind", ["time", "group+time"])
def test_parts_follow_one_another_with_the_embargo_between(kind, tmp_path):
    frame = visits(3_000, 8)
    frame.loc[frame.index[:7], "target"] = np.nan
    split, seal = cut_and_seal(table_in(frame, 4), task_of(frame), tmp_path, **KINDS[kind])
    rows, sealed = search_rows(split), seal.open().block
    days = [one.features.column("joined").to_pandas() for one in (rows.training, rows.testing, sealed)]
    gap = pd.Timedelta(days=20 if kind == "time" else 5)
    cuts = [pd.Timestamp(text) for text in split.rule.cuts]
    assert days[0].max() < cuts[0] - gap
    assert cuts[0] <= days[1].min()
    assert days[1].max() < cuts[1] - gap
    assert cuts[1] <= days[2].min()
    spans = [(one.first, one.last) for one in split.parts.values()]
    assert spans == [(one.min().isoformat(), one.max().isoformat()) for one in days]
    known = frame.dropna(subset="target")
    firsts = known["joined"] if kind == "time" else known.groupby("person")["joined"].transform("min")
    ends = np.select([firsts < cuts[0], firsts < cuts[1]], cuts, pd.Timestamp.max)
    late = (known["joined"] >= ends).to_numpy()
    embargoed = (known["joined"] >= pd.Series(ends, known.index) - gap).to_numpy() & ~late
    assert split.left_out == {
        "without a target": 7,
        "embargo": embargoed.sum(),
        "after the end of their group's part": late.sum(),
    }
    assert embargoed.any()
    assert late.any() == (kind == "group+time")
    assert sum(one.rows for one in split.parts.values()) == 2_993 - embargoed.sum() - late.sum()


def test_numbers_order_rows_too(tmp_path):
    frame = clean_table(1_000, 8).assign(turn=np.arange(1_000))
    sweep = {"kind": "time", "embargo": 10, "cuts": (600, 800), "data": {"time": "turn"}}
    split = cut(table_in(frame), task_of(frame), tmp_path, **sweep)
    assert [(one.rows, one.first, one.last) for one in split.parts.values()] == [
        (590, 0.0, 589.0),
        (190, 600.0, 789.0),
        (200, 800.0, 999.0),
    ]
    assert split.rule.cuts == split.cuts == (600.0, 800.0)
    for wrong, message in (
        ({"embargo": "7d"}, "embargo is 7d, but"),
        ({"cuts": ("2021-01-01", "2022-01-01")}, "holds numbers: write numbers"),
    ):
        with pytest.raises(RequestInvalid, match=message):
            cut(table_in(frame), task_of(frame), tmp_path, **{**sweep, **wrong})
    with pytest.raises(RequestInvalid, match="a span such as 7d"):
        cut(table_in(frame), task_of(frame), tmp_path, kind="time", embargo=7, data={"time": "joined"})


def test_groups_that_all_begin_early_leave_a_part_empty(tmp_path):
    frame = visits(400, 8).assign(joined=pd.Timestamp("2021-01-01"))
    frame.loc[frame.index[::3], "joined"] = pd.Timestamp("2021-05-01")
    with pytest.raises(DataUnsuitable, match=r"all groups begin early, split by split.kind: group or time alone"):
        cut(table_in(frame), task_of(frame), tmp_path, **KINDS["group+time"])
    with pytest.raises(DataUnsuitable, match=r"make split.embargo shorter than 900d"):
        cut(table_in(frame), task_of(frame), tmp_path, kind="time", embargo="900d", data={"time": "joined"})


def test_a_column_says_the_part(tmp_path):
    frame = visits(1_000, 8)
    task = task_of(frame.drop(columns="part"))
    split, seal = cut_and_seal(table_in(frame, 3), task, tmp_path, **KINDS["column"], further=("part",))
    counted = frame["part"].value_counts()
    assert {part.value: one.rows for part, one in split.parts.items()} == counted.to_dict()
    assert set(seal.open().further.column("part").to_pylist()) == {"validation"}
    assert "part" not in split.key
    assert split.folds == 1
    assert cut(table_in(frame), task, tmp_path, **KINDS["column"], folds=4).folds == 4
    repeated = pd.concat([frame, frame[frame["part"] == "training"].head(5).assign(part="validation")])
    again = cut(table_in(repeated), task, tmp_path, **KINDS["column"])
    assert again.keys_shared == 5
    assert [(one.check, one.count) for one in again.findings if one.check == "split.overlap"] == [("split.overlap", 5)]


def test_a_column_that_holds_something_else(tmp_path):
    frame = visits(1_000, 8)
    frame["part"] = frame["part"].replace("training", "train").where(frame.index >= 3, None)
    trained = int((frame["part"] == "train").sum())
    message = rf"'train' in {trained} rows, did you mean 'training'\?; nothing in 3 rows"
    with pytest.raises(DataUnsuitable, match=message) as caught:
        cut(table_in(frame, 3), task_of(frame), tmp_path, **KINDS["column"])
    assert [one.check for one in caught.value.findings] == ["split.column"]
    with pytest.raises(DataUnsuitable, match="1 in "):
        cut(table_in(frame.assign(part=1)), task_of(frame), tmp_path, **KINDS["column"])
    with pytest.raises(DataUnsuitable, match="testing part is empty: no row with a target has testing in part"):
        cut(table_in(frame.assign(part="training")), task_of(frame), tmp_path, **KINDS["column"])


@pytest.mark.parametrize("kind", KINDS)
def test_no_validation_row_is_looked_at_closely(kind):
    frame = visits(2_000, 8).drop(columns=[] if kind == "column" else ["part"])
    sections = dict(KINDS[kind])
    config = sweep_config(
        "target", split={k: v for k, v in sections.items() if k != "data"}, **sections.get("data", {})
    )
    table, task = table_in(frame), task_of(frame)
    rule = split_rule(table, config, task.kind)
    assignment = plan_assignment(table, rule, task)
    arrow, columns = arrow_of(frame)
    names = tuple(name for name in frame.columns if name != "target")
    request = ProfileRequest("target", names, rule.key)
    profile = summarize(block_statistics(placed(arrow, -1, 0), request), columns, request)
    usable = usable_rows(assignment, profile, rule)
    dealt = deal(Wanted.of(table, task, rule), assignment)
    sealed = set(dealt.parts[Part.VALIDATION].rows.tolist())
    sampled = hash_rows(profile.sample, frame.columns)
    assert [int(row) in sealed for row in sampled[usable]].count(True) == 0
    assert usable.mean() == pytest.approx(0.8, abs=0.08)
