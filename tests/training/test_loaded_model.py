"""A loaded model: which rows it takes, what it says of those unlike its own, and how long one row takes."""

from __future__ import annotations

import pickle
import sys
import threading
import warnings
from datetime import UTC, datetime
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


@pytest.mark.parametrize("name", list(families()))
def test_one_row_takes_at_most_half_as_long_again(name):
    """A ratio of medians, both measured in turns; a machine that is busy just then gets another chance."""
    kind = TaskKind.BINARY if TaskKind.BINARY in families()[name].tasks else TaskKind.REGRESSION
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worst = min(max(one for one, _ in ratios(name, kind, 60).values()) for _ in range(_tries(name, kind)))
    assert worst <= LIMIT


def _tries(name, kind):
    return 1 if max(one for one, _ in ratios(name, kind, 60).values()) <= LIMIT else 3
