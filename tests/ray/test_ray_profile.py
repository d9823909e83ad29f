"""The distributed pass gives the same profile for the same rows, however they are cut."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import arrow_of, clean_table, profile_of, request_of, table_of
from raysweep.config import load_config
from raysweep.documents import canonical_json
from raysweep.records.table import ColumnKind
from raysweep.rows.canonical import placed
from raysweep.stages.profile import sample as sample_module
from raysweep.stages.profile.document import profile_document
from raysweep.stages.profile.ray_profile import profile_table
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.source import ray_scan, ray_source
from raysweep.stages.source.ray_source import open_table

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


def dataset_of(arrow, blocks):
    import ray

    arrow = placed(arrow, 0, 0)
    cuts = np.linspace(0, arrow.num_rows, blocks + 1).astype(int).tolist()
    return ray_scan.DatasetScan(ray.data.from_arrow([arrow.slice(a, b - a) for a, b in pairwise(cuts)]))


def opened(path: Path):
    return open_table(load_config({"version": 1, "data": {"source": str(path), "target": "target"}}))


def document_of(table, frame) -> str:
    """profile.json of the table but for its source, which must be all that tells one table from another."""
    document = profile_document(profile_table(table, request_of(frame)), table)
    del document["source"]
    return canonical_json(document).decode()


@pytest.fixture
def read_anew(monkeypatch):
    """Tables are read in many small tasks each time that they are used, as large ones are."""
    monkeypatch.setattr(ray_source, "_HELD_PARQUET_BYTES", 0)
    monkeypatch.setattr(ray_source, "_HELD_TEXT_BYTES", 0)
    monkeypatch.setattr(ray_scan, "_TASK_BYTES", 1)


def awkward_table(rows: int) -> pd.DataFrame:
    frame = clean_table(rows, seed=3)
    rng = np.random.default_rng(3)
    frame["income"] = np.where(
        rng.random(rows) < 0.01, np.inf, rng.pareto(1.0, rows) * 10.0 ** rng.integers(0, 60, rows)
    )
    frame["count"] = pd.Series(rng.integers(-5, 5, rows), dtype="Int64").mask(rng.random(rows) < 0.1)
    frame["answer"] = rng.choice(["yes", " Yes", "?", 'naïve, "so"', "none"], rows)
    frame["seen"] = pd.Timestamp("1999-12-31") + pd.to_timedelta(rng.integers(0, 10**15, rows), unit="us")
    frame["nothing"] = np.nan
    return pd.concat([frame, frame.head(rows // 20)], ignore_index=True)


def test_same_document_for_any_blocks_and_order():
    frame = clean_table(2_000, seed=1)
    table = table_of(frame)
    expected = canonical_json(profile_document(profile_of(frame), table))
    arrow, _ = arrow_of(frame)
    for blocks in (1, 7, 64):
        shuffled = arrow.take(np.random.default_rng(blocks).permutation(arrow.num_rows))
        profile = profile_table(table_of(frame, dataset_of(shuffled, blocks)), request_of(frame))
        assert canonical_json(profile_document(profile, table)) == expected
        assert profile.sample.num_rows == 2_000


def test_no_rows_give_a_profile_of_zeros():
    frame = clean_table(10, seed=1).head(0)
    arrow, _ = arrow_of(frame)
    for blocks in (1, 3):
        profile = profile_table(table_of(frame, dataset_of(arrow, blocks)), request_of(frame))
        assert profile == profile_of(frame)
        assert profile.rows == 0


def test_an_absent_target_is_no_target():
    frame = clean_table(50, seed=1)
    arrow, _ = arrow_of(frame)
    assert profile_table(table_of(frame, dataset_of(arrow, 2)), ProfileRequest("tagret")).target is None


def test_files_of_any_format_cut_and_order_have_the_same_document(read_anew, monkeypatch, tmp_path):
    monkeypatch.setattr(sample_module, "SAMPLE_ROWS", 300)
    frame = awkward_table(1_200)
    whole = frame.sample(frac=1, random_state=1)
    paths = {}
    for groups in (1, 7, 64):
        paths[f"{groups} groups"] = tmp_path / f"{groups}.parquet"
        pq.write_table(
            pa.Table.from_pandas(whole, preserve_index=False),
            paths[f"{groups} groups"],
            row_group_size=-(-len(whole) // groups),
        )
    paths["files"] = tmp_path / "files"
    paths["files"].mkdir()
    other = frame.sample(frac=1, random_state=2).astype({"city": "category", "plan": "category"})
    for number, start in enumerate(range(0, len(other), 500)):
        other.iloc[start : start + 500].to_parquet(paths["files"] / f"{number}.parquet", index=False)
    paths["csv"] = tmp_path / "table.csv"
    frame.to_csv(paths["csv"], index=False)
    documents = {name: document_of(opened(path), frame) for name, path in paths.items()}
    expected = documents["1 groups"]
    assert {name for name, document in documents.items() if document != expected} == set()
    assert json.loads(expected)["rows"] == len(frame)
    assert json.loads(expected)["duplicate_rows"] == 60


def test_many_equal_rows_fill_the_sample_all_the_same(read_anew, monkeypatch, tmp_path):
    monkeypatch.setattr(sample_module, "SAMPLE_ROWS", 100)
    frame = pd.DataFrame({"a": np.arange(5_000) % 3, "target": np.arange(5_000) % 2})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=1_000)
    found, expected = (profile_table(opened(tmp_path), request_of(frame)), profile_of(frame))
    assert found.sample.equals(expected.sample)
    assert found.sample.num_rows == 100
    assert found == expected


def test_a_worker_that_is_killed_changes_nothing(read_anew, tmp_path):
    frame = clean_table(3_000, seed=2)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=500)
    table, flag = opened(tmp_path / "t.parquet"), tmp_path / "killed"
    expected = document_of(table, frame)

    def scan(count, names=None):
        def die_once(blocks):
            for number, block in enumerate(blocks):
                yield block
                if block.column("age")[0].as_py() == frame["age"][0] and number == 0:
                    try:
                        flag.touch(exist_ok=False)
                    except FileExistsError:
                        continue
                    os.kill(os.getpid(), signal.SIGKILL)

        return table.scan(lambda blocks: count(die_once(blocks)), names)

    assert document_of(replace(table, scan=scan), frame) == expected
    assert flag.exists()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"target": [1.5]}),
        pd.DataFrame(np.random.default_rng(0).normal(size=(500, 2_000)), columns=[f"c{n}" for n in range(2_000)]),
    ],
    ids=["one value", "2000 columns"],
)
def test_tables_of_unusual_shape(frame, read_anew, tmp_path):
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=250)
    found = profile_table(opened(tmp_path), request_of(frame))
    assert found == profile_of(frame)
    assert (found.rows, len(found.columns)) == frame.shape


def test_a_table_of_nothing_but_lists(read_anew, tmp_path):
    frame = pd.DataFrame({"lists": [[1, 2], None, [3], [3]]})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2)
    found = profile_table(opened(tmp_path), request_of(frame))
    column = found.column("lists")
    assert (found.rows, found.duplicate_rows, found.target) == (4, 1, None)
    assert (column.kind, column.nulls, column.distinct) == (ColumnKind.NESTED, 1, 2)
    assert column.values == (("[3]", 2), ("[1, 2]", 1))  # noqa: PD011
