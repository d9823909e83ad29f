"""The same rows from any source: the same split, the same score."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raysweep
from builders import clean_table
from raysweep.sweep import Sweep
from sweep_builders import RANDOM_ONE_SLOT, lasting_check, quick_space, read_document, run_quietly, sweep_keys

ROWS = 500


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return clean_table(ROWS, 7)


def as_csv(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    frame.to_csv(folder / "table.csv", index=False)
    return {"source": folder / "table.csv"}


def as_parquet_folder(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    (folder / "table").mkdir()
    mixed = frame.sample(frac=1, random_state=1)
    for number, start in enumerate(range(0, ROWS, 190)):
        mixed.iloc[start : start + 190].to_parquet(folder / f"table/{number}.parquet", index=False)
    return {"source": folder / "table"}


def as_frame(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    return {"data": frame.sample(frac=1, random_state=2)}


def as_arrow(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    return {"data": pa.Table.from_pandas(frame.iloc[::-1], preserve_index=False)}


def as_dataset(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    import ray

    return {"data": ray.data.from_arrow(pa.Table.from_pandas(frame, preserve_index=False)).repartition(5)}


def as_json_lines(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    records = frame.assign(joined=frame["joined"].dt.strftime("%Y-%m-%d")).to_dict("records")
    lines = [json.dumps({name: None if pd.isna(value) else value for name, value in one.items()}) for one in records]
    (folder / "table.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"source": folder / "table.jsonl"}


def as_compressed_csv_files(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    (folder / "parts").mkdir()
    frame.iloc[:333].to_csv(folder / "parts/b.csv.gz", index=False)
    frame.iloc[333:].to_csv(folder / "parts/a.csv.gz", index=False)
    return {"source": folder / "parts/*.csv.gz"}


SWEPT: tuple[Callable[..., dict[str, Any]], ...] = (as_csv, as_parquet_folder, as_frame)
READ = (*SWEPT, as_arrow, as_dataset, as_json_lines, as_compressed_csv_files)


@pytest.fixture(scope="module")
def sweeps(
    frame: pd.DataFrame, ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path
) -> Mapping[str, Sweep]:
    done = {}
    for number, make in enumerate(SWEPT):
        folder = tmp_path_factory.mktemp(make.__name__)
        given = make(frame, folder)
        keys = sweep_keys(
            folder / "runs",
            source=given.get("source", "memory:"),
            search={**RANDOM_ONE_SLOT, "trials": 4, "space": quick_space(["xgboost", "random_forest"], rounds=20)},
        )
        done[make.__name__] = run_quietly(keys, given.get("data"), run_id=f"source-{number}")
    return done


def all_the_same(values: list[Any]) -> bool:
    return all(value == values[0] for value in values)


def test_the_default_parameters_score_the_same_bit_for_bit(sweeps: Mapping[str, Sweep]):
    scores = [
        [(trial.candidate.origin, trial.candidate.digest, trial.score.hex()) for trial in sweep.search.trials]
        for sweep in sweeps.values()
    ]
    assert [origin for origin, _, _ in scores[0]].count("default") == 2
    assert all_the_same(scores)


def test_the_published_split_is_the_same(sweeps: Mapping[str, Sweep]):
    splits = [read_document(Path(sweep.bundle_url), "data/split.json") for sweep in sweeps.values()]
    assert all_the_same(splits)
    assert splits[0]["keys_shared"] == 0


def test_the_published_model_is_the_same(sweeps: Mapping[str, Sweep]):
    checks = [lasting_check((Path(sweep.bundle_url) / "final_check.json").read_bytes()) for sweep in sweeps.values()]
    assert all_the_same(checks)
    golden = [pq.read_table(Path(sweep.bundle_url) / "golden.parquet") for sweep in sweeps.values()]
    assert all(table.column("prediction").equals(golden[0].column("prediction")) for table in golden)


@pytest.mark.parametrize("make", READ)
def test_every_source_holds_the_same_rows(make, frame, sweeps: Mapping[str, Sweep], tmp_path: Path):
    given = make(frame, tmp_path)
    data = str(given["source"]) if "source" in given else given["data"]
    found = raysweep.analyze(data=data, target="target")
    assert found.profile.row_digest == sweeps["as_csv"].examined.profile.row_digest
    assert found.profile.rows == ROWS
    kinds = {column.name: column.kind for column in found.table.columns}
    assert kinds == {column.name: column.kind for column in sweeps["as_csv"].examined.table.columns}
