"""Tables that tests are made of: a clean one to plant faults in, and the profile of a frame without Ray."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from raysweep.config import SweepConfig, load_config
from raysweep.records.table import Column, Profile, Table
from raysweep.rows.canonical import canonical_column, canonical_table, placed
from raysweep.stages.profile.request import ProfileRequest
from raysweep.stages.profile.statistics import block_statistics
from raysweep.stages.profile.summary import summarize
from raysweep.stages.validate.exact import answer_from
from raysweep.stages.validate.gate import Means
from raysweep.stages.validate.measure import Measurement, ProbeRows, carry_out_here

CITIES = ("Aachen", "Bonn", "Cádiz", "Delft", "Évora", "Faro", "Gdańsk", "Halle")


def clean_table(rows: int, seed: int, task: str = "binary") -> pd.DataFrame:
    """Mixed types without a fault, and a `target` that can be learned from several columns together.

    Args:
        rows: how many.
        seed: another seed, other rows.
        task: binary (0 and 1), multiclass (three texts) or regression (floats).
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": rng.normal(100, 20, rows),
            "age": rng.integers(18, 80, rows),
            "visits": rng.poisson(4, rows),
            "balance": np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(3, 1, rows)),
            "city": rng.choice(CITIES, rows),
            "plan": pd.Series(rng.choice(["basic", "plus", "pro"], rows)).mask(rng.random(rows) < 0.05),
            "member": rng.random(rows) < 0.4,
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1_000, rows), unit="D"),
        }
    )
    signal = (frame["amount"] - 100) / 20 + (frame["age"] - 49) / 18 + np.where(frame["member"], 0.8, -0.4)
    signal = signal.to_numpy() + np.where(frame["plan"].to_numpy() == "pro", 0.7, 0.0) + rng.normal(0, 1, rows)
    if task == "regression":
        return frame.assign(target=signal)
    if task == "multiclass":
        return frame.assign(target=np.select([signal < -0.6, signal < 0.8], ["low", "middle"], "high"))
    return frame.assign(target=(signal > 0.2).astype(int))


def arrow_of(frame: pd.DataFrame) -> tuple[pa.Table, tuple[Column, ...]]:
    """The frame in canonical types, and its columns."""
    raw = pa.Table.from_pandas(frame, preserve_index=False)
    columns = tuple(canonical_column(field.name, field.type) for field in raw.schema)
    return canonical_table(raw, columns), columns


def table_of(frame: pd.DataFrame, scan: Any = None) -> Table:
    """A table record for the frame."""
    return Table("memory:test", "arrow", arrow_of(frame)[1], (), scan)


def profile_of(frame: pd.DataFrame, target: str | None = "target") -> Profile:
    """The profile of the frame, taken in one block without Ray."""
    arrow, columns = arrow_of(frame)
    request = request_of(frame, target)
    return summarize(block_statistics(placed(arrow, -1, 0), request), columns, request)


def request_of(frame: pd.DataFrame, target: str | None = "target") -> ProfileRequest:
    """What a sweep over the frame asks of the profile: all columns but the target are features and key."""
    present = target if target in frame.columns else None
    features = tuple(str(name) for name in frame.columns if name != present)
    return ProfileRequest(present, features, features)


def sweep_config(target: str | None = "target", **data: Any) -> SweepConfig:
    """A sweep over a table in memory; sections other than `data` are given as `split={...}` and the like."""
    sections = {name: data.pop(name) for name in ("checks", "split", "search") if name in data}
    return load_config({"version": 1, "data": {"source": "memory:test", "target": target, **data}, **sections})


TODAY = date(2026, 11, 23)


def check_means(profile: Profile, usable: Any = None, *, models: bool = False) -> Means:
    """What the data gate may use: the sample, which holds every row; models, fitted here, only where asked for."""
    return Means(answer_from(profile.sample), carry_out_here if models else fit_nothing, TODAY, usable)


def fit_nothing(_rows: ProbeRows, measurements: Sequence[Measurement]) -> list[Any]:
    """Measurements that were not made."""
    return [RuntimeError("not asked for") for _ in measurements]
