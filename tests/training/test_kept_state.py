"""A trial that goes on from a kept state ends as one that nothing has disturbed, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raysweep.config import TaskKind
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.records.trial import Candidate
from raysweep.stages.search.rungs import efforts_for
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import families
from raysweep.training.kept_state import Course, KeptState
from raysweep.training.process_state import begin_anew
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows

ROUNDS = 108
DRAWING = {"subsample": 0.6, "colsample_bytree": 0.7, "colsample_bylevel": 0.8}
METRIC = {TaskKind.BINARY: "roc_auc", TaskKind.MULTICLASS: "log_loss", TaskKind.REGRESSION: "rmse"}


def rows(kind: TaskKind, folds: int) -> tuple[LearningTask, SearchRows]:
    """900 rows of three numbers and a text column, of which 300 are testing."""
    rng = np.random.default_rng(7)
    numbers = rng.normal(size=(900, 3))
    words = rng.integers(0, 6, 900)
    signal = numbers[:, 0] * numbers[:, 1] + (words % 3) + rng.normal(size=900)
    y = {
        TaskKind.BINARY: (signal > 1).astype(float),
        TaskKind.MULTICLASS: np.digitize(signal, [0.3, 1.6]).astype(float),
        TaskKind.REGRESSION: signal,
    }[kind]
    table = pa.table({f"x{n}": numbers[:, n] for n in range(3)} | {"word": [f"w{word}" for word in words]})
    columns = tuple(Column(f"x{n}", ColumnKind.NUMBER, "double") for n in range(3))
    columns += (Column("word", ColumnKind.STRING, "string"),)
    classes = tuple(range(len(set(y.tolist())))) if kind is not TaskKind.REGRESSION else ()
    task = LearningTask(kind, "y", METRICS[METRIC[kind]], columns, classes)
    training, testing = (RowBlock(table.slice(a, n), y[a : a + n], None) for a, n in ((0, 600), (600, 300)))
    fold_of_row = np.arange(900) % folds if folds > 1 else np.zeros(0, np.int64)
    return task, SearchRows(training, testing, fold_of_row, folds)


def xgboost(**params: object) -> Candidate:
    known = {**families()["xgboost"].defaults, "learning_rate": 0.05, **params}
    return Candidate(0, "xgboost", known, "digest", "random", seed=11, rounds=ROUNDS)


def reported(report) -> tuple[object, ...]:
    return report.rung, report.score.hex(), report.rounds, report.sample, report.is_last


def follow(candidate: Candidate, task: LearningTask, found: SearchRows, start: bytes | None = None):
    """Every rung of a candidate in rows that nobody has prepared yet, and what was kept at each."""
    course = Course(None if start is None else KeptState.unpack(start))
    rules = TrialRules(efforts_for(found.folds), threads=1)
    begin_anew(candidate.seed)
    seen, kept = [], []
    for report in evaluate(candidate, PreparedRows(task, found, 0), rules, course):
        seen.append(report)
        kept.append(course.keep())
    return seen, kept


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (TaskKind.BINARY, DRAWING),
        (TaskKind.BINARY, {"encoding": "native", "max_cat_to_onehot": 2, "subsample": 0.5}),
        (TaskKind.MULTICLASS, DRAWING),
        (TaskKind.REGRESSION, {"colsample_bylevel": 0.5, "grow_policy": "lossguide", "max_leaves": 9}),
        (TaskKind.REGRESSION, {}),
    ],
    ids=["binary", "native", "multiclass", "regression", "nothing drawn"],
)
def test_going_on_from_any_rung_is_as_if_nothing_had_happened(kind: TaskKind, params: dict, folds: int):
    task, found = rows(kind, folds)
    whole, kept = follow(xgboost(**params), task, found)
    assert len(whole) == len(efforts_for(folds))
    for rung in range(1, len(whole)):
        rest, _ = follow(xgboost(**params), task, found, kept[rung - 1].pack())
        assert [reported(one) for one in rest] == [reported(one) for one in whole[rung:]]
        assert rest[0].seconds > whole[rung - 1].seconds, "the time up to there counts"


def test_a_fit_in_one_go_draws_the_same_rows_and_columns():
    task, found = rows(TaskKind.BINARY, 1)
    candidate = xgboost(**DRAWING)
    *_, last = follow(candidate, task, found)[0]
    *_, alone = evaluate(candidate, PreparedRows(task, found, 0), TrialRules((1.0,), threads=1))
    assert (alone.score.hex(), alone.rounds) == (last.score.hex(), last.rounds)


def test_draws_differ_from_round_to_round():
    task, found = rows(TaskKind.BINARY, 1)
    state = follow(xgboost(subsample=0.3, learning_rate=1e-6), task, found)[1][-1]
    import xgboost as xgb

    booster = xgb.Booster()
    booster.load_model(bytearray(state.learners[0].model))
    covers = {tree.split("cover=")[1].split("\n")[0] for tree in booster.get_dump(with_stats=True)}
    assert len(covers) > 20, "with a learning rate of next to nothing, trees differ by what was drawn alone"


def test_a_family_that_cannot_go_on_keeps_nothing():
    task, found = rows(TaskKind.BINARY, 1)
    forest = Candidate(0, "random_forest", families()["random_forest"].defaults, "digest", "random", 1, rounds=27)
    _, kept = follow(forest, task, found)
    assert kept == [None] * 4


def test_what_was_cut_short_is_refused():
    task, found = rows(TaskKind.BINARY, 1)
    content = follow(xgboost(), task, found)[1][0].pack()
    assert KeptState.unpack(content).pack() == content
    with pytest.raises(ValueError, match="a kept state of"):
        KeptState.unpack(content[:-1])
