"""Splits of tables for tests: on any number of blocks, of every kind."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from builders import arrow_of, clean_table, sweep_config, table_of
from raysweep.config import TaskKind
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask, Part, Split, Table
from raysweep.stages.source.ray_scan import DatasetScan
from raysweep.stages.split.dealing import Wanted, deal
from raysweep.stages.split.planning import plan_assignment, split_rule
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.thresholds import DEFAULTS
from raysweep.training.sealed_rows import Seal
from raysweep.training.trial_data import SearchRows


def table_in(frame: pd.DataFrame, blocks: int = 1, order: int | None = None) -> Table:
    """The frame as a Ray Dataset of so many blocks, its rows in an order drawn by this seed."""
    import ray

    arrow, _ = arrow_of(frame)
    if order is not None:
        arrow = arrow.take(np.random.default_rng(order).permutation(arrow.num_rows))
    cuts = np.linspace(0, arrow.num_rows, blocks + 1).astype(int).tolist()
    return table_of(frame, DatasetScan(ray.data.from_arrow([arrow.slice(a, b - a) for a, b in pairwise(cuts)])))


def task_of(frame: pd.DataFrame, kind: TaskKind = TaskKind.BINARY, weight: str | None = None) -> LearningTask:
    """Learning `target` from all other columns."""
    _, columns = arrow_of(frame)
    features = tuple(column for column in columns if column.name not in {"target", weight})
    known = frame["target"].dropna()
    classes = () if kind is TaskKind.REGRESSION else tuple(sorted(known.unique().tolist()))
    counts = tuple(int((known == one).sum()) for one in classes)
    return LearningTask(kind, "target", metric_for(None, kind), features, classes, counts, weight)


def cut_and_seal(
    table: Table, task: LearningTask, folder: Path, *, further: tuple[str, ...] = (), **config: Any
) -> tuple[Split, Seal]:
    """Cut the table as the keys of `split` say, and those of `data` in `data`."""
    data = config.pop("data", {})
    sweep = sweep_config(task.target, split=config, weight=task.weight, **data)
    return cut_table(table, sweep, task, folder, DEFAULTS, further=further)


def cut_sampled(table: Table, task: LearningTask, folder: Path, rows: int, **config: Any) -> tuple[Split, Seal]:
    """The same, and the search gets a sample of about so many rows."""
    data = config.pop("data", {})
    sweep = sweep_config(task.target, split=config, search={"rows": rows}, **data)
    return cut_table(table, sweep, task, folder, DEFAULTS)


def cut(table: Table, task: LearningTask, folder: Path, **config: Any) -> Split:
    """The same without the seal."""
    return cut_and_seal(table, task, folder, **config)[0]


def search_rows(split: Split) -> SearchRows:
    """What the search gets."""
    import ray

    rows: SearchRows = ray.get(split.search_data)
    return rows


KINDS: dict[str, dict[str, Any]] = {
    "random": {"kind": "random"},
    "stratified": {"kind": "stratified"},
    "group": {"data": {"group": "person"}},
    "time": {"kind": "time", "data": {"time": "joined"}, "embargo": "20d"},
    "group+time": {"kind": "group+time", "data": {"group": "person", "time": "joined"}, "embargo": "5d"},
    "column": {"kind": "column", "column": "part"},
}


def visits(rows: int, seed: int) -> pd.DataFrame:
    """A clean table of people who come several times in a month, and a column that deals them out."""
    rng = np.random.default_rng(seed)
    people = rows // 4
    person = rng.integers(0, people, rows)
    begins = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 700, people), unit="D")
    joined = begins[person] + pd.to_timedelta(rng.integers(0, 30, rows), unit="D")
    part = np.array(["training", "testing", "validation"])[rng.choice(3, rows, p=[0.5, 0.3, 0.2])]
    return clean_table(rows, seed).assign(person=[f"p{seed}-{one}" for one in person], joined=joined, part=part)


def places_of(frame: pd.DataFrame, **config: Any) -> dict[int, Part]:
    """Which part each row is in, by the hash of the whole row."""
    table, data = table_in(frame, 3), config.pop("data", {})
    task = task_of(frame)
    rule = split_rule(table, sweep_config("target", split=config, **data), task.kind)
    dealt = deal(Wanted.of(table, task, rule), plan_assignment(table, rule, task))
    return {int(row): part for part, rows in dealt.parts.items() for row in rows.rows}
