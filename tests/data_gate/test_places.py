"""The example rows that a finding names are rows with its fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import clean_table
from planted_faults import FAULTS, ROWS, Plant, check_frame, null_where, only

SHOWN = 5


@dataclass(frozen=True)
class Placed:
    """A fault, and the rows of the frame that have it; `named` is how many of them a finding can name."""

    check: str
    plant: Plant
    has: Callable[[pd.DataFrame], pd.Series]
    task: str = "binary"
    named: int = SHOWN
    data: dict[str, Any] = field(default_factory=dict)


def known(name: str, check: str, has: Callable[[pd.DataFrame], pd.Series], named: int = SHOWN) -> Placed:
    return Placed(check, FAULTS[name].plant, has, FAULTS[name].task, named, FAULTS[name].data)


def share(frame: pd.DataFrame, rng: np.random.Generator, part: float) -> np.ndarray:
    return rng.random(len(frame)) < part


def same_in_float32(column: pd.Series) -> pd.Series:
    return column.groupby(column.astype("float32")).transform("nunique") > 1


PLACED = {
    "copies of rows": known("copies of rows", "rows.duplicates", lambda f: f.duplicated(keep=False)),
    "labels at odds": known(
        "one row says yes, its twin no",
        "rows.conflicting_labels",
        lambda f: f.duplicated(f.columns.difference(["target"]), keep=False),
    ),
    "nulls": known("many nulls", "col.missing", lambda f: f["amount"].isna()),
    "texts for nulls": known("texts for nulls", "col.missing", lambda f: f["city"] == " N/A "),
    "texts beside nulls": Placed(
        "col.missing",
        lambda f, rng: f.assign(plan=f["plan"].mask(share(f, rng, 0.4)).mask(f.index < 2, "None")),
        lambda f: f["plan"].isna() | (f["plan"] == "None"),
    ),
    "infinite": known("some infinite", "col.infinite", lambda f: np.isinf(f["amount"])),
    "beyond float32": known("beyond float32", "col.overflow", lambda f: f["amount"] > 1e38, named=1),
    "-999": known("-999 for missing", "col.sentinel", lambda f: f["age"] == -999),
    "far outliers": known("far outliers", "col.outliers", lambda f: (f["amount"] - 100).abs() > 150),
    "far outliers among nulls": Placed(
        "col.outliers",
        lambda f, rng: null_where(FAULTS["far outliers"].plant(f, rng), "amount", share(f, rng, 0.2)),
        lambda f: (f["amount"] - 100).abs() > 150,
    ),
    "ids that float32 rounds": Placed(
        "col.float32_collapse",
        lambda f, rng: f.assign(x=np.where(share(f, rng, 0.8), f["age"], 20_000_000 + rng.integers(0, 500, len(f)))),
        lambda f: same_in_float32(f["x"]),
    ),
    "words among numbers": Placed(
        "col.mixed_types",
        lambda f, rng: f.assign(x=rng.choice(["10", "20", "30", "unknown"], len(f))),
        lambda f: f["x"] == "unknown",
    ),
    "numbers among words": Placed(
        "col.mixed_types",
        lambda f, rng: f.assign(x=rng.choice(["few", "some", "many", " 10"], len(f))),
        lambda f: f["x"] == " 10",
    ),
    "spellings": known("spellings", "col.variants", lambda f: f["city"] == "bonn "),
    "target null": known("target null", "target.missing", lambda f: f["target"].isna()),
    "rare class": known("rare class", "target.rare_class", lambda f: f["target"] == "high"),
    "class of two rows": known("class of two rows", "target.rare_class", lambda f: f["target"] == "high", named=2),
    "rare whole numbers beside nulls": Placed(
        "target.rare_class",
        lambda f, _: null_where(f.assign(target=np.where(f.index % 50 == 0, 2, f["target"])), "target", f.index < 99),
        lambda f: f["target"] == 2,
    ),
    "a target with a long tail": Placed(
        "target.outliers",
        lambda f, _: f.assign(target=f["target"].mask(f.index % 1_000 == 7, 10_000.0)),
        lambda f: f["target"] == 10_000,
        task="regression",
    ),
    "a long tail beside nulls": Placed(
        "target.outliers",
        lambda f, _: f.assign(target=f["target"].mask(f.index % 1_000 == 7, 10_000.0).mask(f.index % 9 == 0)),
        lambda f: f["target"] == 10_000,
        task="regression",
        named=4,
    ),
    "null with the target": Placed(
        "leak.missing_together",
        lambda f, _: null_where(null_where(f, "target", f.index < 150), "amount", (f.index > 60) & (f.index < 188)),
        lambda f: f["amount"].isna() & f["target"].isna(),
    ),
    "no group": Placed(
        "schema.group",
        lambda f, rng: f.assign(site=pd.Series([f"s{n % 50}" for n in range(len(f))]).mask(share(f, rng, 0.1))),
        lambda f: f["site"].isna(),
        data={"group": "site"},
    ),
    "no time": Placed(
        "schema.time",
        lambda f, rng: null_where(f, "joined", share(f, rng, 0.1)),
        lambda f: f["joined"].isna(),
        data={"time": "joined"},
    ),
}


@pytest.mark.parametrize("name", PLACED)
def test_the_rows_named_have_the_fault(name):
    fault = PLACED[name]
    frame = fault.plant(clean_table(ROWS, seed=11, task=fault.task), np.random.default_rng(12)).reset_index(drop=True)
    faulty = fault.has(frame).to_numpy()
    places = only(check_frame(frame, **fault.data), fault.check).places
    rows = [int(place.removeprefix("row ").replace(",", "")) - 1 for place in places]
    assert 0 < faulty.mean() < 0.6, "a row named at random could pass"
    assert len(set(rows)) == fault.named
    assert faulty[rows].all()


def test_the_farthest_rows_come_first_as_their_values_do():
    frame = clean_table(ROWS, 1, "regression")
    frame.loc[[40, 7, 900], "target"] = [-7_000.0, 9_000.0, 8_000.0]
    finding = only(check_frame(frame), "target.outliers")
    assert finding.examples[:3] == ("9000", "8000", "-7000")
    assert finding.places[:3] == ("row 8", "row 901", "row 41")
