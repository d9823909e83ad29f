"""How many rows a search gets, by what the driver, a trial and the object store have room for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.records.room import GIB, Room
from raysweep.records.table import Column, ColumnKind
from raysweep.stages.split.row_budget import LEAST_ROWS, budget_for, size_of

NUMBERS = [Column(f"x{number}", ColumnKind.NUMBER, "double") for number in range(20)]
ROOMY = Room(driver=64 * GIB, trial=16 * GIB, store=32 * GIB)


def test_a_table_that_fits_is_taken_whole():
    assert budget_for("auto", size_of(1_000_000, 0.8, NUMBERS), ROOMY).rows is None


@pytest.mark.parametrize(
    ("room", "named"),
    [
        (replace(ROOMY, trial=GIB), "a trial's share"),
        (replace(ROOMY, store=GIB // 8), "object store"),
        (replace(ROOMY, driver=GIB // 2), "driver"),
    ],
)
def test_what_has_no_room_for_it_is_named(room, named):
    budget = budget_for("auto", size_of(4_000_000, 0.8, NUMBERS), room)

    assert budget.rows is not None
    assert LEAST_ROWS < budget.rows < 3_200_000
    assert named in budget.why
    assert "3,200,000 rows of 20 inputs" in budget.why


def test_twice_the_columns_are_half_the_rows():
    room = replace(ROOMY, trial=GIB)
    few, many = (budget_for("auto", size_of(4_000_000, 0.8, columns), room).rows for columns in (NUMBERS, NUMBERS * 2))

    assert few == pytest.approx(2 * many, rel=0.1)


def test_text_takes_more_than_a_boolean():
    text, flag = (
        size_of(1, 1.0, [Column("a", kind, "")]).row_bytes for kind in (ColumnKind.STRING, ColumnKind.BOOLEAN)
    )

    assert text > 8 > flag


def test_a_little_more_memory_changes_nothing():
    size = size_of(40_000_000, 0.8, NUMBERS)

    assert len({budget_for("auto", size, replace(ROOMY, trial=GIB + more)).rows for more in (0, 1_000, 2**20)}) == 1


def test_what_is_asked_for_is_taken():
    size, tiny = size_of(4_000_000, 0.8, NUMBERS), Room(GIB, GIB // 100, GIB // 100)

    assert budget_for("all", size, tiny).rows is None
    assert budget_for(5_000, size, ROOMY).rows == 5_000
    assert budget_for(3_200_000, size, tiny).rows is None, "there are no more"


def test_too_small_a_sample_says_nothing():
    assert budget_for("auto", size_of(4_000_000, 0.8, NUMBERS), Room(GIB, 1, 1)).rows == LEAST_ROWS
