"""What the winner is compared with: a default that was stopped early is run to its end first."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import misbehaving
from builders import arrow_of, clean_table
from raysweep.config import TaskKind
from raysweep.errors import SealBroken
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate, Trial, TrialState
from raysweep.runtime.ray_carry import carry
from raysweep.stages.confirm.ray_confirm import BOTH, TRAINING, _carry_out, _default_of, _Fit, _rounds_for, _Setting
from raysweep.training import families as registry
from raysweep.training.canaries import hash_block
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import families
from raysweep.training.metrics import score
from raysweep.training.process_state import begin_anew
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows

RULES = TrialRules((0.1, 1.0), threads=1)


@pytest.fixture
def search():
    arrow, columns = arrow_of(clean_table(300, seed=0))
    features = tuple(column for column in columns if column.name != "target")
    y = np.asarray(arrow.column("target").to_pylist()).astype(float)
    task = LearningTask(TaskKind.BINARY, "target", metric_for(None, TaskKind.BINARY), features, (False, True), (1, 1))
    block = RowBlock(arrow.select([column.name for column in features]), y, None)
    rows = SearchRows(block.take(slice(0, 200)), block.take(slice(200, 300)), np.zeros(0, dtype=np.int64), 1)
    return task, rows


def pruned_default(task, rows):
    candidate = Candidate(0, "random_forest", families()["random_forest"].defaults, "d", "default", seed=1, rounds=40)
    first = next(evaluate(candidate, PreparedRows(task, rows, 0), RULES))
    assert first.rounds == 4
    return Trial(candidate, TrialState.PRUNED, (first,))


@pytest.mark.parametrize(("to_its_end", "trees"), [(False, 4), (True, 40)])
def test_a_pruned_default_is_compared_at_its_full_effort(search, to_its_end, trees):
    task, rows = search
    with warnings.catch_warnings():
        fit = _Fit(pruned_default(task, rows), TRAINING, to_its_end=to_its_end)
        fitted = _carry_out(fit, rows, _Setting(task, TrialRules((1.0,), threads=1), 0, carry(())))
    assert fitted.learner.learner.rounds == trees
    assert fitted.rows == 200


def test_more_rows_carry_more_rounds(search):
    task, rows = search
    trial = pruned_default(task, rows)
    assert _rounds_for(trial, 200, rows) == 4
    assert _rounds_for(trial, 300, rows) == 6
    with warnings.catch_warnings():
        fitted = _carry_out(_Fit(trial, BOTH), rows, _Setting(task, RULES, 0, carry(())))
    assert (fitted.rows, fitted.learner.learner.rounds) == (300, 6)


def test_a_sealed_row_is_refused_before_anything_is_fitted(search):
    task, rows = search
    planted = replace(rows, canaries=hash_block(rows.testing)[40:41])
    with pytest.raises(SealBroken, match="handed to the search: 1 of 100 testing rows"):
        _carry_out(_Fit(pruned_default(task, rows), TRAINING), planted, _Setting(task, RULES, 0, carry(())))


def test_defaults_that_failed_or_take_too_long_are_not_tried_again(search):
    task, rows = search
    default = replace(pruned_default(task, rows), slot_seconds=5.0)
    winner = replace(default, candidate=replace(default.candidate, number=7, origin="tpe"))
    assert _default_of(winner, (default, winner), None) is default
    assert _default_of(winner, (default, winner), 5.0) is default, "it may have been begun twice"
    stopped = replace(default, state=TrialState.STOPPED)
    assert _default_of(winner, (stopped, winner), 6.0) is stopped
    assert _default_of(winner, (stopped, winner), 5.0) is None
    assert _default_of(winner, (replace(default, state=TrialState.FAILED), winner), None) is None
    assert _default_of(winner, (replace(default, rungs=()), winner), None) is None


def test_what_ships_draws_the_numbers_that_the_search_drew(search, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    registry.register(misbehaving.SENSITIVE)
    task, rows = search
    features = tuple(column for column in task.features if column.name in {"amount", "age", "visits"})
    task = replace(task, features=features)
    candidate = Candidate(0, "sensitive", dict(misbehaving.SENSITIVE.defaults), "d", "tpe", seed=5)
    state = np.random.get_state()  # noqa: NPY002 - the global one is the point
    with warnings.catch_warnings():
        begin_anew(candidate.seed)
        trial = Trial(candidate, TrialState.COMPLETE, tuple(evaluate(candidate, PreparedRows(task, rows, 0), RULES)))
        np.random.rand(3)  # noqa: NPY002
        fitted = _carry_out(_Fit(trial, TRAINING), rows, _Setting(task, RULES, 0, carry(())))
    np.random.set_state(state)  # noqa: NPY002
    predicted = fitted.learner.predict(rows.testing.features)
    assert score("roc_auc", rows.testing.y, predicted, None) == trial.score
