"""What `verify` says of a model that predicts the golden rows otherwise, whatever the unit of its target."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysweep.bundle import load
from raysweep.bundle.verify import _check_golden
from raysweep.storage.local import LocalStore

NUMBERS = np.random.default_rng(4).normal(size=100)


class Predicting:
    def __init__(self, numbers):
        self._numbers = numbers

    def raw_predictions(self, features):
        return self._numbers[: features.num_rows]


@pytest.fixture
def checked(tmp_path, monkeypatch):
    def check(wanted, found, row=None):
        columns = {"features": pa.array([{"a": 1.0}] * len(wanted)), "prediction": [[one] for one in wanted]}
        columns |= {} if row is None else {"row": row}
        pq.write_table(pa.table(columns), tmp_path / "golden.parquet")
        monkeypatch.setattr(load, "open_model", lambda _: Predicting(found))
        return _check_golden(LocalStore(tmp_path))

    return check


@pytest.mark.parametrize("row", [None, ["training row"] * 100, [["no", "text"]] * 100], ids=["old", "said", "nonsense"])
@pytest.mark.parametrize(("size", "offset"), [(1e-7, 0.0), (1.0, 1e7), (1e6, 0.0)])
def test_a_difference_is_found_on_the_scale_of_the_predictions(size, offset, row, checked):
    wanted = NUMBERS * size + offset
    assert checked(wanted, wanted, row).said == "100 golden rows: identical"
    assert checked(wanted, wanted + 2e-7 * wanted.std(), row).said.startswith("100 golden rows: alike to 2e-07")
    far = checked(wanted, wanted + 0.01 * wanted.std(), row)
    assert not far.ok
    assert "the model predicts otherwise than when it was published (by up to 0.01" in far.problem


def test_an_extreme_row_is_held_to_its_own_size(checked):
    wanted = np.append(NUMBERS, 1e30)
    row = ["training row"] * 100 + ["extreme: 1e+308 in every number"]
    assert checked(wanted, wanted * (1 + 1e-15), row).ok
    assert not checked(wanted, np.append(NUMBERS + 1e-3, 1e30), row).ok


@pytest.mark.parametrize("found", [NUMBERS[:99], np.full(100, np.nan), np.column_stack([NUMBERS, NUMBERS])])
def test_what_has_no_number_for_a_row_is_no_model_of_it(found, checked):
    assert "predicts otherwise" in checked(NUMBERS, found).problem
