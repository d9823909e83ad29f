"""What production brings is tried with every family, and a model that breaks there is told of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raysweep.config import TaskKind
from raysweep.errors import DataUnsuitable
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.records.trial import Candidate
from raysweep.training import behaviour
from raysweep.training.behaviour import probe_behaviour
from raysweep.training.evaluate import TrialRules
from raysweep.training.families import families
from raysweep.training.refit import fit_pipeline
from raysweep.training.trial_data import RowBlock

ROWS = 200
COLUMNS = (
    Column("x", ColumnKind.NUMBER, "double"),
    Column("count", ColumnKind.NUMBER, "int64"),
    Column("text", ColumnKind.STRING, "string"),
    Column("flag", ColumnKind.BOOLEAN, "bool"),
    Column("at", ColumnKind.DATETIME, "timestamp[us]"),
)


def rows():
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "x": rng.normal(size=ROWS),
            "count": rng.integers(0, 9, ROWS),
            "text": pa.array(rng.choice(["a", "b", "c"], ROWS), pa.large_string()),
            "flag": rng.random(ROWS) < 0.5,
            "at": pa.array(rng.integers(0, 10**15, ROWS)).cast(pa.timestamp("us")),
        }
    )


def task_of(kind, columns=COLUMNS):
    classes = {TaskKind.BINARY: (0, 1), TaskKind.MULTICLASS: (0, 1, 2), TaskKind.REGRESSION: ()}[kind]
    metric = METRICS["rmse" if kind is TaskKind.REGRESSION else "log_loss"]
    return LearningTask(kind, "y", metric, columns, classes, (1,) * len(classes))


def fitted(family, kind, **params):
    known, features, task = families()[family], rows(), task_of(kind)
    signal = np.array(features["x"]) + np.random.default_rng(1).normal(size=ROWS)
    codes = np.digitize(signal, [-0.5, 0.5]) if kind is TaskKind.MULTICLASS else signal > 0
    y = signal if kind is TaskKind.REGRESSION else codes.astype(float)
    chosen = Candidate(0, family, {**known.defaults, **params}, "d" * 16, "default", 1, 20 if known.rounds else None)
    rules = TrialRules((1.0,), threads=1)
    return fit_pipeline(chosen, task, RowBlock(features, y, None), rules, rounds=9, seed=0), task


@pytest.mark.parametrize(
    ("family", "kind"), [(name, kind) for name, family in sorted(families().items()) for kind in sorted(family.tasks)]
)
def test_every_family_takes_what_comes(family, kind):
    pipeline, task = fitted(family, kind)
    found = probe_behaviour(pipeline, rows(), task)
    assert [probe for probe in found.probes if probe.failed] == []
    assert [probe.name for probe in found.probes] == [
        "everything missing",
        "unseen category",
        "extreme values",
        "no rows",
        "real rows",
        "reordered columns",
        "latency of a row",
        "latency in a batch",
        "size",
    ]
    assert 0 < found.batch_row_seconds < found.row_seconds
    assert found.size_bytes > 0


class Odd:
    """A model with a flaw: predicts `answer(rows)`."""

    def __init__(self, answer, files=("model",)):
        self.answer = answer
        self.files = files

    def predict(self, features):
        return self.answer(features)

    def save(self, folder):
        if not self.files:
            raise TypeError("no lambda can be written")
        (folder / "model").write_bytes(b"x" * 100)
        return list(self.files)


def x_of(features):
    return np.array(features["x"].fill_null(0.0), dtype=float)


def probes_of(answer, **given):
    found = probe_behaviour(Odd(answer, **given), rows(), task_of(TaskKind.REGRESSION))
    return {probe.name: probe for probe in found.probes}, found


def failing(answer):
    return {name: probe.said for name, probe in probes_of(answer)[0].items() if probe.failed}


def test_a_sound_model_fails_nothing():
    assert failing(x_of) == {}


@pytest.mark.parametrize(("off", "failed"), [(3e-16, False), (1e-6, True)])
def test_the_last_digits_may_depend_on_the_order_of_the_columns(off, failed):
    """Threads that end in another order add up in another order."""
    name = "reordered columns"
    assert (name in failing(lambda one: x_of(one) + off * (one.column_names[0] != "x"))) == failed


def crash_at_gaps(features):
    if features["x"].null_count:
        raise KeyError("gap")
    return x_of(features)


def crash_at_news(features):
    if set(features["text"].drop_null().to_pylist()) - {"a", "b", "c"}:
        raise ValueError("never saw this")
    return x_of(features)


@pytest.mark.parametrize(
    ("answer", "name", "said"),
    [
        (crash_at_gaps, "everything missing", "KeyError: 'gap'"),
        (crash_at_news, "unseen category", "ValueError: never saw this"),
        (lambda one: x_of(one) ** 9, "extreme values", "are NaN or infinite"),
        (lambda one: x_of(one) + 0 // one.num_rows, "no rows", "ZeroDivisionError"),
        (lambda one: np.ones(one.num_rows), "real rows", "predicts the same for every row"),
        (lambda one: x_of(one) + one.column_names.index("x"), "reordered columns", "depend on the order"),
        (lambda one: x_of(one)[:5], "real rows", r"have the shape (5,), not (200,)"),
    ],
)
def test_each_flaw_is_told(answer, name, said):
    assert said in failing(answer)[name]


def test_probabilities_are_between_0_and_1():
    task = task_of(TaskKind.BINARY)
    found = probe_behaviour(Odd(lambda one: np.column_stack([x_of(one), 1 - x_of(one)])), rows(), task)
    assert "below 0 or above 1" in {probe.name: probe for probe in found.probes}["real rows"].said


def test_a_refusal_in_plain_words_is_no_failure():
    def refuse(features):
        if features["text"].null_count:
            raise DataUnsuitable("text has no value")
        return x_of(features)

    probe = probes_of(refuse)[0]["everything missing"]
    assert not probe.failed
    assert probe.said == "refused: text has no value"


def test_equal_rows_may_have_equal_predictions():
    same = pa.concat_tables([rows().slice(0, 1)] * 5)
    found = probe_behaviour(Odd(lambda one: np.ones(one.num_rows)), same, task_of(TaskKind.REGRESSION))
    assert not any(probe.failed for probe in found.probes)


def test_slow_and_large(monkeypatch):
    probes, _ = probes_of(x_of)
    assert not any(probe.slow for probe in probes.values())
    monkeypatch.setattr(behaviour, "SLOW_ROW_SECONDS", 0.0)
    monkeypatch.setattr(behaviour, "SLOW_BATCH_ROW_SECONDS", 0.0)
    monkeypatch.setattr(behaviour, "LARGE_BYTES", 99)
    probes, found = probes_of(x_of)
    assert [name for name, probe in probes.items() if probe.slow] == ["latency of a row", "latency in a batch", "size"]
    assert found.size_bytes == 100


def test_a_model_that_cannot_be_written_or_predicts_nothing():
    probes, found = probes_of(x_of, files=())
    assert found.size_bytes is None
    assert "no lambda" in probes["size"].said

    def never(features):
        raise RuntimeError("broken")

    probes, found = probes_of(never)
    assert probes["real rows"].failed
    assert np.isnan([found.row_seconds, found.batch_row_seconds]).all()
    assert not probes["latency of a row"].slow
