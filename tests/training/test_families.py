"""Every family on every task: it learns, scores the same in any order, and is read back as it was written."""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from builders import arrow_of, clean_table
from raysweep.config import TaskKind
from raysweep.errors import BundleRefused
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import families
from raysweep.training.learner import FitSetting, Matrix
from raysweep.training.metrics import score
from raysweep.training.pipeline import PREPROCESS_FILE, load_pipeline
from raysweep.training.refit import fit_pipeline
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows
from raysweep.training.trusted import TRUSTED_TYPES, load_trusted

RULES = TrialRules((1 / 9, 1 / 3, 1.0), threads=1)
RULES_OF_ONE_RUNG, RULES_OF_TWO_RUNGS = TrialRules((1.0,), threads=1), TrialRules((1 / 3, 1.0), threads=1)
ROWS, TRAINING = 120, 80
PAIRS = [(name, task) for name, family in families().items() for task in TaskKind if task in family.tasks]
ENCODED = [(name, encoding) for name, family in families().items() for encoding in family.encodings]


@pytest.fixture(autouse=True)
def quiet():
    """As in a trial's process: learners warn about small tables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def rows_for(kind, rows=ROWS, *, weighted=True, seed=1):
    """The clean table with gaps of every kind, columns without a value, and a category that training has not seen."""
    frame = clean_table(rows, seed=seed, task=kind.value)
    frame["nothing"] = np.nan
    frame["silent"] = pd.Series([None] * rows, dtype="string")
    frame["city"] = frame["city"].astype(object)
    frame.loc[rows - 10 :, "city"] = "Ōsaka"
    frame.loc[::7, "joined"] = pd.NaT
    frame["member"] = frame["member"].astype(object).where(frame.index % 9 != 0, None)
    arrow, columns = arrow_of(frame)
    features = tuple(column for column in columns if column.name != "target")
    target = frame["target"].to_numpy()
    classes = () if kind is TaskKind.REGRESSION else tuple(np.unique(target).tolist())
    y = np.searchsorted(classes, target).astype(float) if classes else target.astype(float)
    task = LearningTask(kind, "target", metric_for(None, kind), features, classes, (1,) * len(classes))
    weight = np.random.default_rng(0).uniform(0.5, 2, rows) if weighted else None
    block = RowBlock(arrow.select([column.name for column in features]), y, weight)
    return task, block


def prepared_rows(kind, folds=1, **options):
    task, block = rows_for(kind, **options)
    cut = block.rows * TRAINING // ROWS
    fold_of_row = np.arange(block.rows) % folds if folds > 1 else np.zeros(0, dtype=np.int64)
    rows = SearchRows(block.take(slice(0, cut)), block.take(slice(cut, block.rows)), fold_of_row, folds)
    return PreparedRows(task, rows, seed=0)


def candidate_of(name, number=0, **params):
    defaults = dict(families()[name].defaults) | params
    if defaults["encoding"] != "native":
        defaults.pop("max_cat_to_onehot", None)
    rounds = 9 if families()[name].rounds else None
    return Candidate(number, name, defaults, f"{name}{sorted(params)}", "default", seed=11, rounds=rounds)


def scores_of(candidate, prepared):
    return [
        (report.rung, report.score, dict(report.metrics))
        for report in evaluate(candidate, prepared, RULES_OF_TWO_RUNGS)
    ]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_every_family_learns_every_task(name, kind):
    reports = list(evaluate(candidate_of(name), prepared_rows(kind), RULES))
    assert [report.rung for report in reports] == list(range(1, len(reports) + 1))
    assert [report.is_last for report in reports] == [False] * (len(reports) - 1) + [True]
    assert len(reports) == (3 if families()[name].rounds else 1)
    for report in reports:
        assert np.isfinite(list(report.metrics.values())).all()
        assert report.score == report.metrics[metric_for(None, kind).name]
        assert report.seconds >= 0
    if families()[name].rounds:
        assert 1 <= reports[-1].rounds <= 9
    better = {TaskKind.BINARY: 0.6, TaskKind.MULTICLASS: 8.0, TaskKind.REGRESSION: 1.9}[kind]
    assert metric_for(None, kind).is_better(reports[-1].score, better)


@pytest.mark.parametrize("name", ["xgboost", "hist_gradient_boosting"])
def test_the_best_rung_so_far_is_the_score_of_what_grows(name):
    prepared = prepared_rows(TaskKind.MULTICLASS)
    candidate = replace(candidate_of(name, learning_rate=1.0), rounds=90)
    reports = list(evaluate(candidate, prepared, RULES))
    for before, after in pairwise(reports):
        assert not prepared.task.metric.is_better(before.score, after.score)
    assert reports[-1].rounds < 90


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_score_depends_on_the_candidate_alone(name, kind):
    prepared = prepared_rows(kind)
    candidate = candidate_of(name)
    first = scores_of(candidate, prepared)
    for other, encoding in (("xgboost", "native"), (name, "target")):
        list(evaluate(candidate_of(other, 1, encoding=encoding), prepared, RULES_OF_ONE_RUNG))
    if name == "xgboost":
        list(evaluate(candidate_of(name, 2, max_bin=16, max_depth=2), prepared, RULES_OF_ONE_RUNG))
    assert scores_of(candidate, prepared) == first
    assert scores_of(candidate, prepared_rows(kind)) == first


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_fit_at_once_has_the_score_of_the_search(name, kind):
    """The search grows a learner rung by rung; what is published is fitted in one go."""
    prepared = prepared_rows(kind)
    columns = {"hist_gradient_boosting": "max_features", "random_forest": "max_features", "xgboost": "subsample"}
    candidate = candidate_of(name, **({columns[name]: 0.5} if name in columns else {}))
    *_, last = evaluate(candidate, prepared, RULES_OF_TWO_RUNGS)
    testing = prepared.rows.testing
    pipeline = fit_pipeline(candidate, prepared.task, prepared.rows.training, RULES, rounds=last.rounds, seed=0)
    assert score(prepared.task.metric.name, testing.y, pipeline.predict(testing.features), testing.weight) == last.score


@pytest.mark.parametrize(("name", "encoding"), ENCODED)
def test_every_encoding(name, encoding):
    for kind in TaskKind:
        if kind in families()[name].tasks:
            (report,) = evaluate(candidate_of(name, encoding=encoding), prepared_rows(kind), RULES_OF_ONE_RUNG)
            assert np.isfinite(report.score)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_pipeline_is_read_back_as_it_was_written(name, kind, tmp_path):
    task, block = rows_for(kind)
    for encoding in (one for family, one in ENCODED if family == name):
        folder = tmp_path / encoding
        folder.mkdir()
        candidate = candidate_of(name, encoding=encoding)
        pipeline = fit_pipeline(candidate, task, block.take(slice(0, TRAINING)), RULES, rounds=7, seed=0)
        files = pipeline.save(folder)
        assert sorted(files) == sorted(path.name for path in folder.iterdir())
        assert {path.suffix for path in folder.iterdir()} <= {".ubj", ".skops"}
        for path in folder.glob("*.skops"):
            assert not [entry for entry in zipfile.ZipFile(path).namelist() if entry.endswith((".pkl", ".pickle"))]
        setting = FitSetting(kind, len(task.classes), 0, 1, 7, task.metric.name)
        loaded = load_pipeline(folder, name, setting)
        expected = pipeline.predict(block.features)
        assert loaded.predict(block.features).tobytes() == expected.tobytes()
        assert loaded.predict(block.features.slice(3, 1)) == pytest.approx(expected[3:4], rel=1e-12)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_folds(name, kind):
    reports = list(evaluate(candidate_of(name), prepared_rows(kind, folds=3), RULES_OF_FOLDS))
    assert [report.effort for report in reports] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert [report.is_last for report in reports] == [False, False, True]
    assert np.isfinite([report.score for report in reports]).all()


RULES_OF_FOLDS = TrialRules((1 / 3, 2 / 3, 1.0), threads=1)


@pytest.mark.parametrize("name", [name for name, kind in PAIRS if kind is TaskKind.MULTICLASS])
@pytest.mark.parametrize("encoding", ["ordinal", "target"])
def test_a_class_that_one_fold_lacks(name, encoding):
    prepared = prepared_rows(TaskKind.MULTICLASS, folds=3)
    training = prepared.rows.training
    rare = np.where(training.y == 2, 0.0, training.y)
    rare[0] = 2.0  # in fold 0 alone: that fit has never seen it
    testing = prepared.rows.testing
    prepared.rows = SearchRows(
        RowBlock(training.features, rare, training.weight),
        RowBlock(testing.features, np.where(testing.y == 2, 1.0, testing.y), testing.weight),
        prepared.rows.fold_of_row,
        3,
    )
    reports = list(evaluate(candidate_of(name, encoding=encoding), prepared, RULES_OF_FOLDS))
    assert len(reports) == 3
    assert np.isfinite(reports[-1].score)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_few_rows(name, kind):
    (report,) = evaluate(candidate_of(name), prepared_rows(kind, rows=18, seed=3), RULES_OF_ONE_RUNG)
    assert report.is_last
    assert np.isfinite(report.score)


def test_more_neighbours_than_rows():
    reports = list(evaluate(candidate_of("k_neighbors", n_neighbors=500), prepared_rows(TaskKind.BINARY), RULES))
    assert np.isfinite(reports[-1].score)


@pytest.mark.parametrize("name", [name for name in families() if name not in {"k_neighbors", "ridge"}])
def test_row_weights_are_used(name):
    with_weights, without = prepared_rows(TaskKind.BINARY), prepared_rows(TaskKind.BINARY, weighted=False)
    candidate = candidate_of(name)
    fits = [fit_pipeline(candidate, p.task, p.rows.training, RULES, rounds=9, seed=0) for p in (with_weights, without)]
    first, second = (fit.predict(with_weights.rows.testing.features) for fit in fits)
    assert (first != second).any()


def test_a_smaller_effort_is_fewer_rows_where_nothing_grows(monkeypatch):
    monkeypatch.setattr("raysweep.training.sklearn_family.MIN_ROWS", 20)
    reports = list(evaluate(candidate_of("logistic_regression"), prepared_rows(TaskKind.BINARY), RULES))
    assert len(reports) == 3
    assert len({report.score for report in reports}) > 1
    assert [report.rounds for report in reports] == [None] * 3
    assert [report.is_whole for report in reports] == [False, False, True]


@pytest.mark.parametrize("name", ["xgboost", "random_forest"])
def test_fewer_rounds_are_a_model_that_could_ship(name):
    reports = list(evaluate(candidate_of(name), prepared_rows(TaskKind.BINARY), RULES))
    assert [report.is_whole for report in reports] == [True] * 3


def test_a_forest_is_scored_with_all_its_trees():
    reports = list(evaluate(candidate_of("random_forest"), prepared_rows(TaskKind.BINARY), RULES))
    assert [report.rounds for report in reports] == [1, 3, 9]


@pytest.mark.parametrize("name", ["xgboost", "hist_gradient_boosting"])
def test_boosting_stops_by_itself_and_folds_agree_on_its_rounds(name):
    prepared = prepared_rows(TaskKind.BINARY, folds=3, rows=240)
    candidate = replace(candidate_of(name, learning_rate=0.5), rounds=1_000)
    reports = list(evaluate(candidate, prepared, RULES))
    assert reports[-1].rounds < 200
    assert [report.is_whole for report in reports] == [False, False, True]


def test_types_that_are_not_trusted_are_refused(tmp_path):
    skops.io.dump(FunctionTransformer(func=input), tmp_path / PREPROCESS_FILE)
    with pytest.raises(BundleRefused, match=r"does not trust: builtins\.input") as caught:
        load_pipeline(tmp_path, "ridge", FitSetting(TaskKind.REGRESSION, 0, 0, 1, 1, "rmse"))
    assert caught.value.problems == ("builtins.input",)
    skops.io.dump({"a": 1}, tmp_path / PREPROCESS_FILE)
    with pytest.raises(BundleRefused, match="holds a dict"):
        load_pipeline(tmp_path, "ridge", FitSetting(TaskKind.REGRESSION, 0, 0, 1, 1, "rmse"))
    (tmp_path / "broken.skops").write_bytes(b"PK not a zip")
    with pytest.raises(BundleRefused, match="cannot be read"):
        load_trusted(tmp_path / "broken.skops")
    with pytest.raises(BundleRefused, match="no installed package"):
        load_pipeline(tmp_path, "lightgbm", FitSetting(TaskKind.REGRESSION, 0, 0, 1, 1, "rmse"))


def test_every_trusted_type_is_needed_and_no_other(tmp_path):
    needed = set()
    for name, kind in PAIRS:
        task, block = rows_for(kind, rows=60)
        narrow = replace(task, features=task.features[:3])
        neighbours = [(narrow, {"p": p}) for p in (1, 2, 3)] if name == "k_neighbors" else []
        wide = [(task, {"encoding": encoding}) for family, encoding in ENCODED if family == name]
        for asked, params in wide + neighbours:
            rows = replace(block, features=block.features.select([column.name for column in asked.features]))
            fit_pipeline(candidate_of(name, **params), asked, rows, RULES, rounds=2, seed=0).save(tmp_path)
            for path in tmp_path.glob("*.skops"):
                load_trusted(path)
                needed |= set(skops.io.get_untrusted_types(file=path))
                path.unlink()
    assert set(TRUSTED_TYPES) == needed


def test_predictions_need_no_more_than_the_columns(tmp_path):
    task, block = rows_for(TaskKind.BINARY)
    pipeline = fit_pipeline(candidate_of("xgboost"), task, block, RULES, rounds=3, seed=0)
    extra = block.features.append_column("more", pa.array(range(block.rows)))
    reordered = extra.select(list(reversed(extra.column_names)))
    assert pipeline.predict(reordered).tobytes() == pipeline.predict(block.features).tobytes()


@pytest.mark.parametrize("name", [name for name, family in families().items() if TaskKind.REGRESSION in family.tasks])
def test_several_threads_predict_the_same_again_and_again(name):
    """Threads that end in another order must not add up in another order."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2_000, 6)).astype(np.float32)
    matrix = Matrix(values, values[:, 0] + rng.normal(size=2_000), None, (), {})
    learner = families()[name].load_learner()(
        families()[name].defaults, FitSetting(TaskKind.REGRESSION, 0, 1, 2, 60, "rmse")
    )
    learner.grow(matrix, 1.0)
    assert len({learner.predict(matrix).tobytes() for _ in range(20)}) == 1
