"""trials.parquet: what each trial and rung took, and cost."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raysweep.config import PriceConfig
from raysweep.records.trial import Candidate, RungReport, SlotSize, Trial, TrialState
from raysweep.stages.export.trials_table import write_trials


def candidate(number: int) -> Candidate:
    return Candidate(number, "ridge", {"alpha": 1.0}, "d", "tpe", seed=1)


def report(rung: int, *, last: bool = False) -> RungReport:
    return RungReport(rung, rung / 2, 0.5, {"r2": 0.5}, rung * 1.0, 0.5, is_last=last, memory_bytes=7)


TRIALS = (
    Trial(
        candidate(0),
        TrialState.COMPLETE,
        (report(1), report(2, last=True)),
        attempts=2,
        slot=SlotSize(2, 0.5),
        core_seconds=10.0,
        gpu_seconds=2.5,
    ),
    Trial(candidate(1), TrialState.FAILED, core_seconds=6.0, gpu_seconds=1.5),
)


def rows(folder: Path, price: PriceConfig | None) -> list[dict]:
    write_trials(folder / "trials.parquet", TRIALS, metric="r2", part="testing", price=price)
    return pq.read_table(folder / "trials.parquet").to_pylist()


def test_the_last_rows_add_up_to_what_all_trials_took(tmp_path: Path):
    first, last, failed = rows(tmp_path, PriceConfig(cpu=1.8, gpu=7.2))
    assert [row["core_seconds"] for row in (first, last, failed)] == [2.0, 10.0, 6.0]
    assert [row["gpu_seconds"] for row in (first, last, failed)] == [0.5, 2.5, 1.5]
    assert last["cost"] == pytest.approx(10 * 1.8 / 3600 + 2.5 * 7.2 / 3600)
    assert (last["attempt"], failed["attempt"]) == (2, 1)
    assert (first["memory_bytes"], failed["memory_bytes"]) == (7, None)


def test_without_a_price_there_is_no_cost(tmp_path: Path):
    assert {row["cost"] for row in rows(tmp_path, None)} == {None}
