"""A loaded model: which rows it takes, what it says of those unlike its own, and how long one row takes."""

from __future__ import annotations

import pickle
import sys
import threading
import warnings
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import raysweep
from fitted_models import FITTED, fitted_model, source_frame
from raysweep.bundle.deviations import ColumnDeviation, Deviations, InputDeviation
from raysweep.bundle.inputs import features_of
from raysweep.config import TaskKind
from raysweep.errors import RequestInvalid
from raysweep.training.families import families

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from latency import LIMIT, ratios

KIND = TaskKind.BINARY


@pytest.fixture
def model():
    return fitted_model("hist_gradient_boosting", KIND)


@pytest.fixture(scope="module")
def frame():
    return source_frame(KIND).drop(columns="target")


def as_rows(frame):
    return frame.astype(object).to_dict("records")


def test_few_rows_are_read_as_many_are(model, frame):
    """One by one, in each form that a row may have: the same table as all at once."""
    whole = features_of(frame, model.signature)
    assert features_of(pa.Table.from_pandas(frame, preserve_index=False), model.signature) == whole
    assert features_of(as_rows(frame), model.signature) == whole
    for place in range(0, len(frame), 7):
        row = frame.iloc[[place]]
        for form in (row, pa.Table.from_pandas(row, preserve_index=False), as_rows(row)[0], as_rows(row)):
            assert features_of(form, model.signature) == whole.slice(place, 1), (place, type(form))


ODD = {
    "amount": [5, "7.5", np.float32(0.1), None, float("nan"), True, pd.NA, 2**60],
    "member": [True, None, np.False_, float("nan"), 1, "true"],
    "city": ["Bonn", None, float("nan"), pd.NA, "", 5, b"Bonn"],
    "joined": [
        datetime(2020, 1, 2),  # noqa: DTZ001
        datetime(2020, 1, 2, tzinfo=UTC),
        pd.Timestamp("2020-01-02 03:04:05.123456789"),
        pd.Timestamp("2020-01-02", tz="Europe/Berlin"),
        pd.NaT,
        None,
        np.datetime64("2020-01-02"),
        "2020-01-02",
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ODD.items() for value in values], ids=repr
)
def test_a_value_means_the_same_among_few_and_among_many(name, value, model, frame):
    few = pd.concat([frame.iloc[[0]]] * 2, ignore_index=True).astype({name: object})
    few[name] = pd.Series([value, value], dtype=object)
    many = pd.concat([few] * 40, ignore_index=True)

    def outcome(data):
        try:
            return features_of(data, model.signature).column(name).slice(0, 1).to_pylist()
        except RequestInvalid as error:
            return str(error).partition(":")[0]

    assert outcome(few) == outcome(many)


def test_what_is_missing_is_named_and_what_is_more_is_ignored(model, frame):
    row = as_rows(frame)[0]
    mixed = {"more": 1, **dict(reversed(row.items()))}
    np.testing.assert_array_equal(model.predict_proba(mixed), model.predict_proba(row))
    for data in (frame.drop(columns="city"), {name: value for name, value in row.items() if name != "city"}):
        with pytest.raises(RequestInvalid, match="the data lack 1 of the model's 8 columns: 'city'"):
            model.predict(data)
    with pytest.raises(RequestInvalid, match="lack 1 of the model's 8 columns: 'age'"):
        model.predict([row, {name: value for name, value in row.items() if name != "age"}])
    with pytest.raises(RequestInvalid, match="a ndarray cannot be predicted: hand in a pandas DataFrame"):
        model.predict(np.zeros((2, 8)))
    assert model.predict([]).shape == (0,) or pytest.fail("no rows, no predictions")


def test_rows_like_those_of_the_fit_are_no_deviation(model, frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(frame.iloc[:FITTED])
        for place in range(20):
            model.predict(frame.iloc[[place]])
    assert model.deviations == Deviations(FITTED + 20)


@pytest.mark.parametrize("rows", [1, 100])
def test_deviations_are_counted_and_warned_of_once(rows, model, frame):
    data = pd.concat([frame.iloc[[0]]] * rows, ignore_index=True)
    odd = data.assign(city="Nowhere", amount=1e9, joined=pd.Timestamp("1999-01-01"), balance=-np.inf)
    with pytest.warns(InputDeviation) as caught:
        model.predict(odd)
    said = sorted(str(one.message) for one in caught)
    assert len(said) == 4
    assert f"the column 'amount' has, in {rows:,} rows, {rows:,} out of the range that it has seen" in said[0]
    assert f"{rows:,} with a category that the model has not seen" in " ".join(said)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict_proba(odd)
        model.predict(data)
    assert model.deviations.rows == 3 * rows
    assert model.deviations.columns == {
        "city": ColumnDeviation(unseen=2 * rows),
        "amount": ColumnDeviation(out_of_range=2 * rows),
        "balance": ColumnDeviation(out_of_range=2 * rows),
        "joined": ColumnDeviation(out_of_range=2 * rows),
    }
    assert raysweep.InputDeviation is InputDeviation


def test_deviations_can_be_counted_without_a_prediction(model, frame):
    odd = pd.concat([frame.iloc[:50].assign(age=200), frame.iloc[:50]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.count_deviations(odd) == Deviations(100, {"age": ColumnDeviation(out_of_range=50)})
    assert model.deviations == Deviations()


def test_a_missing_value_is_no_deviation(model, frame):
    assert model.count_deviations(frame.iloc[[0]].assign(amount=np.nan, city=None)) == Deviations(1)


def test_a_copy_in_another_process_counts_on_its_own(model, frame):
    with pytest.warns(InputDeviation):
        model.predict(frame.iloc[[0]].assign(age=200))
    copied = pickle.loads(pickle.dumps(model))  # noqa: S301 - as Ray hands a model to its workers
    assert copied.deviations == Deviations()
    np.testing.assert_array_equal(copied.predict_proba(frame.iloc[:9]), model.predict_proba(frame.iloc[:9]))


def test_counts_of_several_threads_add_up(model, frame):
    odd = as_rows(frame.iloc[[0]].assign(age=200))[0]

    def predict():
        for _ in range(50):
            model.predict(odd)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=predict) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert model.deviations == Deviations(200, {"age": ColumnDeviation(out_of_range=200)})


TRIES = 8


@pytest.mark.parametrize("name", list(families()))
def test_one_row_takes_at_most_half_as_long_again(name):
    """Ratios of medians, both measured in turns; on a busy machine, in the quietest of some tries."""
    kind = TaskKind.BINARY if TaskKind.BINARY in families()[name].tasks else TaskKind.REGRESSION
    quietest: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(TRIES):
            for row, (found, _) in ratios(name, kind, 60).items():
                quietest[row] = min(found, quietest.get(row, found))
            if max(quietest.values()) <= LIMIT:
                break
    assert max(quietest.values()) <= LIMIT, quietest


DAY = datetime(2020, 1, 2)  # noqa: DTZ001
REFUSED = object()
COLUMN = {"number": "amount", "boolean": "member", "string": "city", "datetime": "joined"}
# For each value, what it is taken for where each kind is wanted.
TAKEN = [
    (7, {"number": 7.0}),
    (1, {"number": 1.0, "boolean": True}),
    (0.0, {"number": 0.0, "boolean": False}),
    (0.5, {"number": 0.5}),
    (np.float32(0.5), {"number": 0.5}),
    (Decimal("2.5"), {"number": 2.5}),
    (20200101, {"number": 20200101.0}),
    (float("inf"), {"number": float("inf")}),
    (True, {"boolean": True}),
    (np.False_, {"boolean": False}),
    ("7.5", {"number": 7.5, "string": "7.5"}),
    ("true", {"boolean": True, "string": "true"}),
    ("Bonn", {"string": "Bonn"}),
    ("2020-01-02", {"datetime": DAY, "string": "2020-01-02"}),
    ("2020-01-02T01:00:00+01:00", {"datetime": DAY, "string": "2020-01-02T01:00:00+01:00"}),
    (DAY, {"datetime": DAY}),
    (DAY.date(), {"datetime": DAY}),
    (pd.Timestamp("2020-01-02T01:00", tz="Europe/Berlin"), {"datetime": DAY}),
    (np.datetime64("2020-01-02", "s"), {"datetime": DAY}),
    (None, dict.fromkeys(COLUMN)),
    (float("nan"), dict.fromkeys(COLUMN)),
    (pd.NaT, dict.fromkeys(COLUMN)),
    (pd.NA, dict.fromkeys(COLUMN)),
    ([1, 2], {}),
    ({"a": 1}, {}),
    (b"Bonn", {}),
    (1 + 2j, {}),
    (object, {}),
    ("\ud800", {}),
]


@pytest.mark.parametrize("rows", [1, 2, 50])
@pytest.mark.parametrize("kind", list(COLUMN))
@pytest.mark.parametrize(("value", "taken"), TAKEN, ids=[repr(value) for value, _ in TAKEN])
def test_a_value_of_another_kind_is_refused_and_named(value, taken, kind, rows, model, frame):
    name = COLUMN[kind]
    row = as_rows(frame)[0]
    many = pd.DataFrame(
        {**{key: [one] * rows for key, one in row.items()}, name: pd.Series([value] * rows, dtype=object)}
    )
    for data in (many, [{**row, name: value}] * rows):
        if kind in taken:
            assert features_of(data, model.signature).column(name).to_pylist() == [taken[kind]] * rows
            continue
        with pytest.raises(RequestInvalid, match=f"the column '{name}' must hold values of kind {kind}") as caught:
            model.predict(data)
        assert any(
            said in str(caught.value) for said in (repr(value)[:20], str(value)[:20], "datetime.datetime(2020, 1, 2")
        )


def test_the_value_that_is_refused_is_named_among_many(model, frame):
    many = pd.concat([frame] * 4, ignore_index=True)
    for name, values, said in (
        ("member", [0, 1] * 500 + [2] + [0] * 199, "it holds 2"),
        ("amount", ["1.5"] * 777 + ["1,5"] * 423, "it holds '1,5'"),
        ("joined", ["2020-01-02"] * 1_100 + ["02.01.2020"] * 100, "it holds '02.01.2020'"),
        ("city", ["Bonn"] * 1_199 + [5], "it holds 5"),
    ):
        with pytest.raises(RequestInvalid, match=f"'{name}' must hold") as caught:
            model.predict(many.assign(**{name: pd.Series(values, dtype=object)}))
        assert said in str(caught.value)


def test_a_row_may_be_a_series_and_rows_a_batch(model, frame):
    wanted = model.predict_proba(frame.iloc[[5]])
    np.testing.assert_array_equal(model.predict_proba(frame.iloc[5]), wanted)
    for count in (1, 50):
        batch = pa.RecordBatch.from_pandas(frame.iloc[:count], preserve_index=False)
        np.testing.assert_array_equal(model.predict_proba(batch), model.predict_proba(frame.iloc[:count]))
    with pytest.raises(RequestInvalid, match=r"of one row: df\.iloc\[\[0\]\]"):
        model.predict(frame.iloc[5].to_numpy())
