"""Which tables pass as the one that a sweep was about: the same values in any order, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from builders import sweep_config
from raysweep.bundle.verify import Verification, VerifiedFile
from raysweep.cli import verify as command
from raysweep.config import IN_MEMORY, load_config
from raysweep.records.manifest import DataRecord, InputColumn, Manifest, Signature
from raysweep.records.table import Split
from raysweep.rows.hashing import digest_of, hash_rows
from raysweep.split_proof import check_split
from raysweep.stages.export.split_document import split_record
from raysweep.stages.source.ray_source import open_table
from raysweep.stages.split.dealing import Wanted, deal
from raysweep.stages.split.planning import plan_assignment, split_rule
from raysweep.stages.split.summaries import cuts_of, keys_shared, moment_of, summaries_of
from split_builders import KINDS, task_of, visits

ROWS = 400


@cache
def published(kind: str) -> tuple[Manifest, pd.DataFrame]:
    """The manifest of a sweep over a table, and that table."""
    frame = visits(ROWS, 3)
    table = open_table(load_config({"version": 1, "data": {"source": IN_MEMORY}}), frame)
    given = dict(KINDS[kind])
    task = task_of(frame)
    rule = split_rule(table, sweep_config("target", **given.pop("data", {}), split=given), task.kind)
    assignment = plan_assignment(table, rule, task)
    dealt = deal(Wanted.of(table, task, rule), assignment)
    cuts = tuple(moment_of(cut, table, rule) for cut in cuts_of(assignment))
    parts = summaries_of(dealt, rule, table, task)
    split = Split(
        *(rule.kind, rule.seed, rule.key, parts, 1, keys_shared(dealt), 0),
        search_data=None,
        rule=replace(rule, cuts=cuts),
        left_out=dealt.left_out,
    )
    (block,) = table.scan(lambda blocks: blocks)
    data = DataRecord(
        address=table.address,
        format="pandas",
        rows=ROWS,
        columns=len(table.columns),
        row_digest=digest_of(hash_rows(block, table.names)),
        files=(),
        suitability="suitable",
        warnings=(),
    )
    inputs = tuple(InputColumn(name=one.name, kind=one.kind, type=one.type) for one in task.inputs)
    signature = Signature(inputs=inputs, target="target", task=task.kind, classes=task.classes)
    made: dict[str, Any] = {"raysweep": "1", "run_id": "run", "data": data, "signature": signature}
    return Manifest.model_construct(**made, split=split_record(split, task)), frame


def problems(kind: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> dict[str, str]:
    manifest, frame = published(kind)
    found = check_split(manifest, change(frame))
    return {line.path.partition(" (")[0]: line.problem for line in found if not line.ok}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_in_another_order_pass(kind: str) -> None:
    assert problems(kind, lambda frame: frame.sample(frac=1, random_state=1)[frame.columns[::-1]]) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_inverted_labels_do_not_pass(kind: str) -> None:
    found = problems(kind, lambda frame: frame.assign(target=1 - frame["target"]))
    assert "holds other rows or values than the sweep's (sha256 " in found["table"]
    assert ("though they fall into the same parts" in found["table"]) == (len(found) == 1)
    assert len(found) == 1 or kind == "stratified"


def test_a_single_other_value_beside_the_group_does_not_pass() -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(amount=frame["amount"].where(frame.index != 7, 1.5))

    assert list(problems("group", change)) == ["table"]
    assert list(problems("random", change)) != ["table"], "there it is part of the key"


def test_other_rows_and_columns_are_counted() -> None:
    _, frame = published("group")
    assert problems("group", lambda frame: frame.head(350))["table"] == f"the sweep's had {ROWS:,} rows"
    more = problems("group", lambda frame: frame.assign(new=1))["table"]
    assert more == f"the sweep's had {len(frame.columns):,} columns"
    renamed = problems("group", lambda frame: frame.rename(columns={"amount": "sum"}))["table"]
    assert renamed.endswith("though they fall into the same parts; 'amount' is not there")
    none = problems("group", lambda frame: frame.head(0))
    assert list(none) == ["table", "split: training", "split: testing", "split: validation"]


@pytest.mark.parametrize(
    ("kind", "change", "column", "said"),
    [
        ("time", lambda frame: frame.assign(joined=frame["joined"].astype(str)), "joined", "text, where the sweep's "),
        ("time", lambda frame: frame.assign(joined=frame["joined"].astype("int64")), "joined", "numbers, where the "),
        ("group", lambda frame: frame.assign(target=np.where(frame["target"] == 1, "a", "b")), "target", "text, where"),
        ("column", lambda frame: frame.assign(part=frame["part"].str.len()), "part", "numbers, where the sweep's held"),
        ("random", lambda frame: frame.assign(target=frame["target"] == 1), "target", "true and false, where the "),
    ],
)
def test_a_column_of_another_kind_is_named(kind: str, change: Any, column: str, said: str) -> None:
    found = problems(kind, change)
    assert list(found) == [f"table: column '{column}'"]
    assert said in found[f"table: column '{column}'"]


def test_an_input_of_another_kind_is_named_as_the_likely_reason() -> None:
    found = problems("random", lambda frame: frame.assign(joined=frame["joined"].astype(str)))
    assert "'joined' holds text, not dates" in found["table"]


def test_a_part_without_rows_is_a_line_and_no_error() -> None:
    def early(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.nsmallest(5, "joined")

    by_group = problems("group", lambda frame: frame[frame["person"] == frame["person"].iloc[0]])
    assert sum("has 0 rows" in problem for problem in by_group.values()) == 2
    by_time = problems("time", early)
    assert by_time["split: validation"].startswith("has 0 rows, the manifest says ")
    assert "split: testing" in by_time


def test_reasons_without_a_row_are_not_told() -> None:
    manifest, frame = published("time")
    told = " ".join(line.path for line in check_split(manifest, frame))
    assert "embargo" in told
    assert "after the end of their group's part" not in told
    assert "without a target" not in told


SOUND = (VerifiedFile("model/model.ubj", ok=True), VerifiedFile("manifest.json", ok=True))
OTHER = (VerifiedFile("table (3 rows)", ok=False, problem="the sweep's had 4 rows"),)


@pytest.mark.parametrize(
    ("found", "data", "said"),
    [
        (Verification("runs/a", SOUND), None, "✓ runs/a: all 2 files are as they were published\n"),
        (Verification("runs/a", SOUND, (VerifiedFile("table", ok=True),)), "t.csv", "and t.csv is the table of this"),
        (Verification("runs/a", SOUND, OTHER), "t.csv", "runs/a: all 2 files are as they were published; t.csv is not"),
        (
            Verification("runs/a", SOUND, (VerifiedFile("split: keys", ok=False, problem="3 row keys"),)),
            "t.csv",
            "t.csv has the same rows in several parts",
        ),
        (Verification("runs/a", (*SOUND, *OTHER)), "t.csv", "not as it was published (2 of 3 files are); do not use"),
    ],
)
def test_another_table_does_not_condemn_the_bundle(
    monkeypatch: pytest.MonkeyPatch, found: Verification, data: str | None, said: str
) -> None:
    console = Console(record=True, width=200, file=None, quiet=False)
    monkeypatch.setattr(command, "output", lambda: console)
    command._show(found, data)
    told = console.export_text()
    assert said in told
    assert ("do not use it" in told) == (not found.is_whole)
    document = found.to_document()
    assert (len(document["files"]), len(document["split"])) == (len(found.rows), len(found.split))
    assert document["ok"] == (not document["problems"])
