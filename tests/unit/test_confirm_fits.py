"""What the winner is compared with: a default that was stopped early is run to its end first."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import misbehaving
from builders import arrow_of, clean_table
from raysweep.config import TaskKind, load_config
from raysweep.errors import SealBroken
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate, Trial, TrialState
from raysweep.runtime.ray_carry import carry
from raysweep.stages.confirm.fits import (
    BOTH,
    TRAINING,
    Fit,
    FitRules,
    carry_out,
    default_of,
    plan_curve,
    plan_fits,
    rounds_for,
)
from raysweep.stages.confirm.ray_fits import _fit
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
        fit = Fit(pruned_default(task, rows), TRAINING, to_its_end=to_its_end)
        fitted = carry_out(fit, rows, FitRules(task, TrialRules((1.0,), threads=1), 0))
    assert fitted.learner.learner.rounds == trees
    assert fitted.rows == 200


def test_more_rows_carry_more_rounds(search):
    task, rows = search
    trial = pruned_default(task, rows)
    assert rounds_for(trial, 200, rows) == 4
    assert rounds_for(trial, 300, rows) == 6
    with warnings.catch_warnings():
        fitted = carry_out(Fit(trial, BOTH), rows, FitRules(task, RULES, 0))
    assert (fitted.rows, fitted.learner.learner.rounds) == (300, 6)


def test_a_sealed_row_is_refused_before_anything_is_fitted(search):
    task, rows = search
    planted = replace(rows, canaries=hash_block(rows.testing)[40:41])
    with pytest.raises(SealBroken, match="handed to the search: 1 of 100 testing rows"):
        _fit(Fit(pruned_default(task, rows), TRAINING), planted, FitRules(task, RULES, 0), carry(()))


def test_defaults_that_failed_or_take_too_long_are_not_tried_again(search):
    task, rows = search
    default = replace(pruned_default(task, rows), slot_seconds=5.0)
    winner = replace(default, candidate=replace(default.candidate, number=7, origin="tpe"))
    assert default_of(winner, (default, winner), None) is default
    assert default_of(winner, (default, winner), 5.0) is default, "it may have been begun twice"
    stopped = replace(default, state=TrialState.STOPPED)
    assert default_of(winner, (stopped, winner), 6.0) is stopped
    assert default_of(winner, (stopped, winner), 5.0) is None
    assert default_of(winner, (replace(default, state=TrialState.FAILED), winner), None) is None
    assert default_of(winner, (replace(default, rungs=()), winner), None) is None


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
        fitted = carry_out(Fit(trial, TRAINING), rows, FitRules(task, RULES, 0))
    np.random.set_state(state)  # noqa: NPY002
    predicted = fitted.learner.predict(rows.testing.features)
    assert score("roc_auc", rows.testing.y, predicted, None) == trial.score


def sweep(**confirm):
    sections = {"confirm": confirm, "export": {"top": 2}}
    return load_config({"version": 1, "data": {"source": "memory:", "target": "target"}, **sections})


def ranked_trials(task, rows):
    """A pruned default, and two whole trials of its family, the best first in the ranking."""
    default = pruned_default(task, rows)
    others = [
        replace(default, candidate=replace(default.candidate, number=number, origin="tpe", seed=number))
        for number in (1, 2, 3)
    ]
    whole = [replace(one, rungs=(replace(one.rungs[-1], is_whole=True, effort=1.0),)) for one in others]
    partial = replace(others[0], candidate=replace(others[0].candidate, number=9), rungs=default.rungs)
    partial = replace(partial, rungs=(replace(partial.rungs[-1], is_whole=False),))
    return default, [whole[0], partial, *whole[1:]]


def test_the_plan_fits_the_finalists_what_they_are_compared_with_and_other_seeds(search):
    task, rows = search
    default, ranking = ranked_trials(task, rows)
    plan = plan_fits(ranking, [default, *ranking], sweep(finalists=3))
    assert [trial.candidate.number for trial in plan.finalists] == [1, 2, 3], "whole scores only"
    names = ["trained 1", "trained 2", "trained 3", "shipped 1", "shipped 2", "shipped 3"]
    assert list(plan.fits) == [*names, "default random_forest", "seed 1", "seed 2"]
    assert plan.fits["shipped 1"].on == plan.fits["default random_forest"].on == BOTH
    assert plan.fits["default random_forest"].to_its_end
    seeds = {fit.trial.candidate.seed for fit in (plan.fits["trained 1"], plan.fits["seed 1"], plan.fits["seed 2"])}
    assert len(seeds) == 3


def test_without_a_refit_the_fit_on_training_rows_is_the_one_that_ships(search):
    task, rows = search
    default, ranking = ranked_trials(task, rows)
    plan = plan_fits(ranking, [default, *ranking], sweep(refit="training"))
    assert "shipped 1" not in plan.fits
    assert plan.fits["default random_forest"].on == TRAINING
    assert plan.best == 2, "as many as are exported"


def test_a_learning_curve_is_fitted_on_shares_of_the_training_rows(search):
    task, rows = search
    _, ranking = ranked_trials(task, rows)
    with warnings.catch_warnings():
        sizes = {
            share: carry_out(fit, rows, FitRules(task, RULES, 0)).rows for share, fit in plan_curve(ranking[0]).items()
        }
    assert sizes == {0.25: 50, 0.5: 100}
