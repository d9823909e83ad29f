"""A schema of the user's own over real blocks: the same findings however the rows are cut and stored."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from builders import arrow_of, clean_table, table_of
from raysweep.config import SweepConfig, load_config
from raysweep.rows.canonical import placed
from raysweep.stages.source import ray_scan, ray_source
from raysweep.stages.source.ray_source import open_table
from raysweep.stages.validate.ray_user_schema import findings_of_schema
from raysweep.stages.validate.user_schema import read_user_schema

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]

RULES = """
strict: true
columns:
  amount: {dtype: float64, ge: 60}
  age: {dtype: int64, in_range: {min_value: 18, max_value: 70}}
  city: {dtype: str, isin: [Aachen, Bonn], str_length: {max_value: 5}}
  plan: {dtype: str}
  member: {dtype: str}
  joined: {dtype: "datetime64[ns]", gt: 2020-02-01}
  gone: {dtype: str}
"""


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    (tmp_path / "rules.yaml").write_text(RULES)
    source = str(tmp_path / "table.parquet")
    keys = {"version": 1, "data": {"source": source, "target": "target"}}
    return load_config({**keys, "checks": {"schema": str(tmp_path / "rules.yaml")}})


def findings(table, config):
    return findings_of_schema(read_user_schema(config), table, config.checks)


def in_blocks(frame, blocks: int):
    """The frame as a table in memory, in so many blocks that stand in any order."""
    import ray

    arrow = placed(arrow_of(frame)[0], -1, 0)
    cuts = np.linspace(0, arrow.num_rows, blocks + 1).astype(int).tolist()
    cut = [arrow.slice(start, end - start) for start, end in pairwise(cuts)]
    order = np.random.default_rng(blocks).permutation(blocks)
    return table_of(frame, ray_scan.DatasetScan(ray.data.from_arrow([cut[number] for number in order])))


def test_the_same_findings_for_any_blocks(config: SweepConfig):
    frame = clean_table(1_000, seed=2)
    one, seven, many = (findings(in_blocks(frame, blocks), config) for blocks in (1, 7, 64))
    assert one == seven == many
    told = [(finding.check, finding.column, finding.count) for finding in one]
    assert told == [
        ("schema.missing_column", "gone", None),
        ("schema.mismatch", None, 3),
        ("schema.rule", "amount", int((frame["amount"] < 60).sum())),
        ("schema.rule", "age", int((frame["age"] > 70).sum())),
        ("schema.rule", "city", int((~frame["city"].isin(["Aachen", "Bonn"])).sum())),
        ("schema.rule", "city", int((frame["city"].str.len() > 5).sum())),
        ("schema.rule", "plan", int(frame["plan"].isna().sum())),
        ("schema.mismatch", "member", 1_000),
        ("schema.rule", "joined", int((frame["joined"] <= "2020-02-01").sum())),
    ]
    first = np.flatnonzero(frame["amount"] < 60)[:5] + 1
    assert one[2].places == tuple(f"row {number}" for number in first)


def test_files_that_are_read_anew_by_many_tasks(config: SweepConfig, monkeypatch: pytest.MonkeyPatch):
    frame = clean_table(1_000, seed=2)
    path = config.data.sources[0]
    frame.to_parquet(path, row_group_size=100)
    held = findings(open_table(config), config)
    monkeypatch.setattr(ray_source, "_HELD_PARQUET_BYTES", 0)
    monkeypatch.setattr(ray_scan, "_TASK_BYTES", 1)
    table = open_table(config)
    asked = []
    scan = table.scan
    watched = replace(table, scan=lambda count, names: (asked.append(names), scan(count, names))[1])
    assert findings(watched, config) == held
    assert asked == [["amount", "age", "city", "plan", "member", "joined"]]
    assert held[2].places[0].startswith(path)
    in_memory = findings(in_blocks(frame, 7), config)
    assert [replace(one, places=()) for one in held] == [replace(one, places=()) for one in in_memory]


def test_a_table_without_rows_breaks_no_rule(config: SweepConfig):
    found = findings(in_blocks(clean_table(10, seed=2).head(0), 1), config)
    assert [finding.check for finding in found] == ["schema.missing_column", "schema.mismatch"]
