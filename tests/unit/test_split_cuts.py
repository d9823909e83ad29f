"""Cuts that the sweep file gives: of the same kind as the times, and with rows on every side."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from builders import sweep_config
from raysweep.config import IN_MEMORY, load_config
from raysweep.errors import RequestInvalid
from raysweep.records.table import Part
from raysweep.stages.source.ray_source import open_table
from raysweep.stages.split.dealing import Dealt, Wanted, deal, empty_part
from raysweep.stages.split.planning import check_cuts, plan_assignment, split_rule
from split_builders import task_of, visits

FRAME = visits(300, 3)
YEARS = FRAME.assign(joined=FRAME["joined"].dt.year)
FIRST, LAST = (one.isoformat() for one in (FRAME["joined"].min(), FRAME["joined"].max()))


def dealt(frame: pd.DataFrame, kind: str = "time", **split: Any) -> Dealt:
    table = open_table(load_config({"version": 1, "data": {"source": IN_MEMORY}}), frame)
    task = task_of(frame)
    group = {"group": "person"} if kind == "group+time" else {}
    rule = split_rule(table, sweep_config("target", time="joined", **group, split={"kind": kind, **split}), task.kind)
    found = deal(Wanted.of(table, task, rule), plan_assignment(table, rule, task))
    check_cuts(found, rule, table)
    return found


@pytest.mark.parametrize("kind", ["time", "group+time"])
def test_cuts_within_the_times_are_taken(kind: str) -> None:
    parts = dealt(FRAME, kind, cuts=["2021-08-01", "2022-06-01"]).parts
    early = FRAME if kind == "time" else FRAME.assign(joined=FRAME.groupby("person")["joined"].transform("min"))
    assert parts[Part.VALIDATION].block.rows == int((early["joined"] >= "2022-06-01").sum())
    assert dealt(YEARS.assign(joined=YEARS["joined"] + YEARS.index % 2), cuts=[2022, 2023]).parts


@pytest.mark.parametrize("kind", ["time", "group+time"])
def test_years_are_no_cuts_of_dates(kind: str) -> None:
    said = r"split.cuts are 2021 and 2022, but data.time 'joined' holds dates: write dates such as 2026-01-31"
    with pytest.raises(RequestInvalid, match=said):
        dealt(FRAME, kind, cuts=[2021, 2022])
    with pytest.raises(RequestInvalid, match=r"split.cuts are 2021-01-01 and 2022-01-01, but .* holds numbers"):
        dealt(YEARS, kind, cuts=["2021-01-01", "2022-01-01"])


@pytest.mark.parametrize("kind", ["time", "group+time"])
@pytest.mark.parametrize(
    ("cuts", "empty"),
    [
        (["2030-01-01", "2031-01-01"], "testing and the validation"),
        (["1990-01-01", "1991-01-01"], "training and the testing"),
        (["2021-06-01", "2021-06-01T00:00:01"], "testing"),
    ],
)
def test_cuts_that_miss_the_times_are_at_fault_and_not_the_table(kind: str, cuts: list[str], empty: str) -> None:
    frame = FRAME.assign(joined=FRAME["joined"] + pd.Timedelta(hours=5))
    with pytest.raises(RequestInvalid) as caught:
        dealt(frame, kind, cuts=cuts)
    assert f"split.cuts put no row into the {empty} part: the times go from 2021-" in str(caught.value)
    assert "T05:00:00, the cuts are " in str(caught.value)


def test_an_embargo_that_leaves_nothing_is_named_too() -> None:
    with pytest.raises(RequestInvalid, match=r"split.cuts, with split.embargo: 400w, put no row into the training"):
        dealt(FRAME, cuts=["2021-08-01", "2022-06-01"], embargo="400w")


def test_numbers_are_told_as_they_are_written() -> None:
    with pytest.raises(RequestInvalid, match=r"the times go from 2021 to 2022, the cuts are 2030 and 2031"):
        dealt(YEARS[YEARS["joined"] < 2023], cuts=[2030, 2031])


def test_without_any_time_the_advice_is_about_the_cuts() -> None:
    table = open_table(load_config({"version": 1, "data": {"source": IN_MEMORY}}), FRAME)
    config = sweep_config("target", time="joined", split={"kind": "time", "cuts": ["2021-08-01", "2022-06-01"]})
    rule = split_rule(table, config, task_of(FRAME).kind)
    assert "Move split.cuts" in str(empty_part(Part.TESTING, rule))
