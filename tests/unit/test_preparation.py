"""Preparation inside a fitted model: learned on the rows of the fit alone, and read back as it was written."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pyarrow as pa
import pytest

from builders import arrow_of, clean_table, profile_of, sweep_config, table_of
from raysweep.config import TaskKind
from raysweep.errors import BundleRefused, RequestInvalid
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.stages.validate.features import requested_features, requested_inputs
from raysweep.stages.validate.learning_task import learning_task, prepared_task, read_target
from raysweep.training.evaluate import TrialRules
from raysweep.training.families import families
from raysweep.training.learner import FitSetting
from raysweep.training.pipeline import load_pipeline
from raysweep.training.preparation import PREPARE_FILE, FittedPreparation
from raysweep.training.refit import fit_pipeline
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows, encode

ROWS = 200
PREPARE = (
    {"rule": "clip", "columns": ["amount", "age"], "low_quantile": 0.05, "high_quantile": 0.9},
    {"rule": "group_rare", "columns": ["city"], "below": 0.1},
    {"rule": "date_parts", "columns": ["joined"], "parts": ["year", "days"]},
    {"rule": "drop", "columns": ["member"]},
)
RULES = TrialRules((1.0,), threads=1)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def task_of(frame, **data):
    config = sweep_config(prepare=PREPARE, **data)
    table = table_of(frame)
    reading = read_target(profile_of(frame).column("target"), config.data)
    return prepared_task(learning_task(reading, requested_features(table, config), config), table, config)


def rows_of(frame, task, start, stop):
    arrow, _ = arrow_of(frame)
    block = RowBlock(arrow.select([column.name for column in task.inputs]), frame["target"].to_numpy(float), None)
    return block.take(slice(start, stop))


def candidate(family="random_forest", encoding="ordinal"):
    params = {**families()[family].defaults, "encoding": encoding}
    return Candidate(0, family, params, "digest", "default", seed=1, rounds=9)


def names(columns):
    return [column.name for column in columns]


def test_a_task_knows_its_inputs_and_its_features():
    task = task_of(clean_table(ROWS, 1), features={"exclude": ["visits", "joined.year", "plan"]})
    assert names(task.inputs) == ["amount", "age", "balance", "city", "joined"]
    assert names(task.features) == ["amount", "age", "balance", "city", "joined.days"]
    assert [rule.rule for rule in task.rules] == ["clip", "group_rare", "date_parts"]
    assert {column.name: column.type for column in task.inputs}["age"] == "int64"
    assert {column.name: column.type for column in task.features}["age"] == "double"


def test_rules_are_narrowed_to_what_is_learned_from():
    task = task_of(clean_table(ROWS, 1), features={"include": ["age", "visits"]})
    assert names(task.inputs) == names(task.features) == ["age", "visits"]
    assert [(rule.rule, rule.columns) for rule in task.rules] == [("clip", ("age",))]


def test_without_rules_inputs_are_features():
    columns = arrow_of(clean_table(9, 1))[1]
    task = LearningTask(TaskKind.BINARY, "target", metric_for(None, TaskKind.BINARY), columns)
    assert task.inputs == task.features == columns
    assert task.rules == ()


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"exclude": ["joined"]}, ["amount", "age", "visits", "balance", "city", "plan"]),
        ({"include": ["joined", "city"]}, ["city", "joined.year", "joined.days"]),
        ({"include": ["joined.days"]}, ["joined.days"]),
        ({"include": ["joined"], "exclude": ["joined.days"]}, ["joined.year"]),
    ],
)
def test_a_column_stands_for_what_is_made_of_it(features, expected):
    config = sweep_config(prepare=PREPARE, features=features)
    table = table_of(clean_table(9, 1))
    assert names(requested_features(table, config)) == expected
    assert set(names(requested_inputs(table, config))) == {name.partition(".")[0] for name in expected}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"features": {"include": ["joined.yaer"]}}, "data.features.include: .*did you mean 'joined.year'"),
        ({"features": {"include": ["member"]}}, "include holds 'member', which data.prepare drops"),
        ({"split": {"key": ["joined.year"]}}, "split.key: there is no column 'joined.year'"),
        ({"prepare": [{"rule": "drop", "columns": ["plam"]}]}, r"data.prepare\[0\]: .*'plam', did you mean 'plan'"),
    ],
)
def test_requests_that_do_not_fit_the_prepared_columns_are_refused(data, said):
    with pytest.raises(RequestInvalid, match=said):
        requested_features(table_of(clean_table(9, 1)), sweep_config(**{"prepare": PREPARE, **data}))


def test_rows_that_are_scored_on_do_not_change_what_was_learned():
    frame = clean_table(ROWS, 1)
    changed = frame.copy()
    changed.loc[120:, "amount"] = 1e6
    changed.loc[120:, "city"] = "Zürich"
    task = task_of(frame)
    fits = [
        encode(task, rows_of(one, task, 0, 120), rows_of(one, task, 120, ROWS), "ordinal", scaled=False, seed=0)
        for one in (frame, changed)
    ]
    assert fits[0].preparation == fits[1].preparation
    assert fits[0].fit.values.tobytes() == fits[1].fit.values.tobytes()
    assert fits[0].scored.values.tobytes() != fits[1].scored.values.tobytes()
    both, _ = FittedPreparation.fit(task.rules, rows_of(changed, task, 0, ROWS).features)
    assert both != fits[1].preparation


def test_each_fold_learns_its_rules_on_its_own_rows():
    frame = clean_table(ROWS, 1)
    task = task_of(frame)
    fold_of_row = np.arange(ROWS) % 2
    rows = SearchRows(rows_of(frame, task, 0, 120), rows_of(frame, task, 120, ROWS), fold_of_row, 2)
    prepared = PreparedRows(task, rows, seed=0)
    for cut in (0, 1):
        encoded = prepared.encoded(cut, candidate())
        own = rows_of(frame, task, 0, ROWS).take(np.flatnonzero(fold_of_row != cut))
        low, high = np.quantile(own.features.column("amount").to_numpy(), [0.05, 0.9])
        amounts = [position for position, name in enumerate(names(task.features)) if name == "amount"]
        assert (encoded.fit.values[:, amounts].min(), encoded.fit.values[:, amounts].max()) == pytest.approx(
            (low, high), rel=1e-6
        )
        assert encoded.scored.values[:, amounts].max() <= np.float32(high)


@pytest.mark.parametrize("family", ["xgboost", "logistic_regression"])
def test_what_was_written_predicts_the_same(tmp_path, family):
    frame = clean_table(ROWS, 1)
    task = task_of(frame)
    block = rows_of(frame, task, 0, ROWS)
    pipeline = fit_pipeline(candidate(family), task, block, RULES, rounds=9, seed=0)
    files = pipeline.save(tmp_path)
    assert files[0] == PREPARE_FILE
    document = json.loads((tmp_path / PREPARE_FILE).read_text())
    assert [rule["rule"] for rule in document["rules"]] == ["clip", "group_rare", "date_parts"]
    loaded = load_pipeline(tmp_path, family, FitSetting(task.kind, 2, 0, 1, 9, "roc_auc"))
    assert loaded.preparation == pipeline.preparation
    assert loaded.preparation.digest == pipeline.preparation.digest
    assert loaded.predict(block.features).tobytes() == pipeline.predict(block.features).tobytes()


def test_a_new_category_is_a_rare_one_where_those_are_grouped():
    frame = clean_table(ROWS, 1)
    frame.loc[0, "city"] = "Zürich"
    task = task_of(frame)
    pipeline = fit_pipeline(candidate(), task, rows_of(frame, task, 0, ROWS), RULES, rounds=9, seed=0)
    new = rows_of(frame.assign(city="Ōsaka", plan="gold"), task, 0, 9).features
    assert pipeline.unseen(new) == {"plan": 9}
    rare = rows_of(frame.assign(city="Zürich", plan="gold"), task, 0, 9).features
    assert pipeline.predict(new).tobytes() == pipeline.predict(rare).tobytes()


@pytest.mark.parametrize("content", ["", "{}", '{"schema_version": 2, "rules": [], "states": []}', '{"rules": 3'])
def test_a_broken_file_is_refused(tmp_path, content):
    (tmp_path / PREPARE_FILE).write_text(content)
    with pytest.raises(BundleRefused, match=f"{PREPARE_FILE} cannot be read"):
        FittedPreparation.load(tmp_path)


def test_no_file_means_no_rules(tmp_path):
    empty = FittedPreparation.load(tmp_path)
    assert empty == FittedPreparation()
    assert empty.digest is None
    assert empty.save(tmp_path) == []
    table = pa.table({"a": [1]})
    assert empty.apply(table) is table
