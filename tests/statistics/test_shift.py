"""Two parts that differ are told apart, and the feature that no longer tells what it told is named."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import KBinsDiscretizer, TargetEncoder

from raysweep.config import TaskKind
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.training.feature_alone import FeatureAlone
from raysweep.training.shift import broken_features, tell_apart
from raysweep.training.trial_data import RowBlock

COLUMNS = (
    Column("signal", ColumnKind.NUMBER, "double"),
    Column("leak", ColumnKind.NUMBER, "double"),
    Column("plan", ColumnKind.STRING, "string"),
    Column("at", ColumnKind.DATETIME, "timestamp[us]"),
    Column("flag", ColumnKind.BOOLEAN, "bool"),
)


def task_of(kind):
    classes = {TaskKind.BINARY: (0, 1), TaskKind.MULTICLASS: (0, 1, 2), TaskKind.REGRESSION: ()}[kind]
    metric = METRICS[{TaskKind.BINARY: "roc_auc", TaskKind.MULTICLASS: "log_loss"}.get(kind, "rmse")]
    return LearningTask(kind, "y", metric, COLUMNS, classes, (1,) * len(classes))


def block(seed, *, kind=TaskKind.BINARY, rows=1_500, leak=0.3, shift=0.0, plans=("a", "b", "c")):
    """Rows whose leak is the target with that much noise; None for a leak that says nothing."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(shift, 1, rows)
    value = signal + rng.normal(size=rows)
    y = value if kind is TaskKind.REGRESSION else np.digitize(value, [0] if kind is TaskKind.BINARY else [-0.7, 0.7])
    y = y.astype(float)
    leaking = rng.normal(size=rows) if leak is None else y + rng.normal(0, leak, rows)
    features = pa.table(
        {
            "signal": pa.array(np.where(rng.random(rows) < 0.1, np.nan, signal), from_pandas=True),
            "leak": leaking,
            "plan": pa.array(rng.choice([*plans, None], rows), pa.large_string()),
            "at": pa.array(rng.integers(0, 10**15, rows)).cast(pa.timestamp("us")),
            "flag": rng.random(rows) < 0.5,
        }
    )
    return RowBlock(features, y, None)


def test_parts_alike_cannot_be_told_apart():
    held = [tell_apart(task_of(TaskKind.BINARY), block(seed), block(seed + 50), seed).auc for seed in range(5)]
    assert sum(one.low <= 0.5 <= one.high for one in held) >= 4
    assert max(one.value for one in held) < 0.56


def test_a_shifted_feature_is_named_first():
    found = tell_apart(task_of(TaskKind.BINARY), block(0, leak=None), block(1, shift=1.0, leak=None))
    assert found.auc.low > 0.65
    assert found.features[0][0] == "signal"
    assert len(found.features) == 3
    assert found.features[0][1] > 0.65
    assert found.features[2][1] < 0.6


def test_new_categories_tell_parts_apart():
    found = tell_apart(task_of(TaskKind.BINARY), block(2), block(3, plans=("a", "d")))
    assert found.features[0][0] == "plan"
    assert found.auc.low > 0.7


def test_groups_are_not_parted_by_folds():
    """Rows of a group are alike: a model that has seen the others of it would know them again."""
    rng = np.random.default_rng(4)

    def grouped(first):
        one = block(first)
        group = (np.arange(1_500) // 30 + first * 1_000).astype(np.uint64)
        values = pa.array(rng.normal(size=50)[np.arange(1_500) // 30])
        return replace(one, features=one.features.set_column(1, "leak", values), group=group)

    found = tell_apart(task_of(TaskKind.BINARY), grouped(5), grouped(6))
    assert found.auc.low < 0.5 < found.auc.high
    assert found.auc.high - found.auc.low > 0.1


def test_many_rows_are_sampled(monkeypatch):
    monkeypatch.setattr("raysweep.training.shift._MOST_ROWS", 300)
    found = tell_apart(task_of(TaskKind.BINARY), block(7), block(8, shift=3.0))
    assert found.auc.low > 0.9


@pytest.mark.parametrize("kind", list(TaskKind))
def test_a_leak_that_breaks_is_named(kind):
    parts = block(10, kind=kind), block(11, kind=kind), block(12, kind=kind, leak=None)
    found = broken_features(task_of(kind), *parts)
    assert [one.name for one in found] == ["leak"]
    assert found[0].testing > 0.8
    assert found[0].validation < (0.0 if kind is TaskKind.REGRESSION else 0.56)
    assert found[0].p_value < 1e-6


@pytest.mark.parametrize("kind", list(TaskKind))
def test_features_that_hold_are_not_named(kind):
    for seed in range(3):
        parts = (block(20 + 3 * seed + place, kind=kind, rows=500) for place in range(3))
        assert broken_features(task_of(kind), *parts) == ()


def test_too_little_to_say():
    one_class = replace(block(30, rows=40), y=np.zeros(40))
    assert broken_features(task_of(TaskKind.BINARY), block(31), block(32), one_class) == ()
    few = block(33, rows=6, leak=None)
    assert broken_features(task_of(TaskKind.BINARY), block(31), block(32, rows=6), few) == ()


def test_a_feature_alone_is_what_scikit_learns_target_encoder_says():
    """But for the amount of smoothing: with many rows in each bin none is left."""
    one, other = block(40, rows=20_000), block(41, rows=5_000)
    for name in ("signal", "plan"):
        fitted = FeatureAlone.fit(one.features.column(name), one.y[:, np.newaxis])
        ours = fitted.predict(other.features.column(name))[:, 0]
        columns = [np.array(part.features.column(name).to_pylist(), dtype=object) for part in (one, other)]
        if name == "signal":
            values = [column.astype(float) for column in columns]
            binning = KBinsDiscretizer(32, encode="ordinal", quantile_method="averaged_inverted_cdf")
            binning.fit(values[0][np.isfinite(values[0])].reshape(-1, 1))
            columns = [
                np.where(np.isfinite(value), binning.transform(np.nan_to_num(value).reshape(-1, 1))[:, 0], -1).astype(
                    object
                )
                for value in values
            ]
        encoder = TargetEncoder(smooth=10.0, target_type="continuous").fit(columns[0].reshape(-1, 1), one.y)
        theirs = encoder.transform(columns[1].reshape(-1, 1))[:, 0]
        assert np.abs(ours - theirs).mean() < 0.005
        assert roc_auc_score(other.y, ours) == pytest.approx(roc_auc_score(other.y, theirs), abs=0.003)


def test_values_never_seen_get_the_mean_and_gaps_their_own():
    column = pa.chunked_array([pa.array(["a"] * 50 + ["b"] * 50 + [None] * 20, pa.large_string())])
    y = np.array([1.0] * 50 + [0.0] * 70)
    fitted = FeatureAlone.fit(column, y[:, np.newaxis])
    asked = pa.chunked_array([pa.array(["a", "b", None, "new"], pa.large_string())])
    mean = 50 / 120
    expected = [(50 + 10 * mean) / 60, 10 * mean / 60, 10 * mean / 30, mean]
    assert fitted.predict(asked)[:, 0] == pytest.approx(expected)
    empty = pa.chunked_array([pa.nulls(5, pa.float64())])
    assert FeatureAlone.fit(empty, np.ones((5, 1))).predict(empty)[:, 0] == pytest.approx(np.ones(5))
