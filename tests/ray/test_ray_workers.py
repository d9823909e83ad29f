"""One fit by several workers: the model of one worker, and what becomes of it where a worker dies or has no room."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np
import pytest

from builders import clean_table
from raysweep.errors import RayUnavailable, SealBroken
from raysweep.records.trial import Candidate, RungReport, Trial, TrialState
from raysweep.runtime.ray_carry import carry
from raysweep.stages.confirm import ray_workers
from raysweep.stages.confirm.fits import BOTH, TRAINING, Fit, FitRules
from raysweep.stages.confirm.ray_block_fits import BlockFits
from raysweep.stages.confirm.ray_workers import Team, WorkerSize
from raysweep.training.evaluate import TrialRules
from raysweep.training.metrics import score
from raysweep.training.pipeline import pipeline_of
from raysweep.training.refit import fit_pipeline
from raysweep.training.xgboost_workers import connection
from split_builders import cut, cut_sampled, search_rows, table_in, task_of

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of processes of Ray's that were killed
]

RULES = TrialRules((1.0,), 1)


def trial_of(rounds: int = 25, **params) -> Trial:
    candidate = Candidate(0, "xgboost", {"max_depth": 4, **params}, "d", "default", 7, 300)
    report = RungReport(1, 1.0, 0.5, {}, 0.0, 0.0, rounds=rounds, is_last=True)
    return Trial(candidate, TrialState.COMPLETE, (report,))


def fitted(split, task, fit, workers):
    import ray

    fits = BlockFits(split, FitRules(task, RULES, 0), carry(()), WorkerSize(workers, 1))
    try:
        return ray.get(fits.fit(fit, print), timeout=100)
    finally:
        fits.end()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    frame = clean_table(4_000, seed=3)
    numbers = frame.select_dtypes("number").columns.difference(["target"])
    frame[numbers] = (frame[numbers].rank(pct=True) * 60).round()
    task = task_of(frame)
    return cut(table_in(frame, 2), task, tmp_path_factory.mktemp("whole"), folds=1), task


def test_two_workers_give_the_model_of_one(whole):
    split, task = whole
    rows = search_rows(split)
    one, two = (fitted(split, task, Fit(trial_of(), TRAINING, in_blocks=True), count) for count in (1, 2))
    memory = fit_pipeline(trial_of().candidate, task, rows.training, RULES, rounds=25, seed=0)
    scores = [
        score("roc_auc", rows.testing.y, pipeline.predict(rows.testing.features), None)
        for pipeline in (pipeline_of(one), pipeline_of(two), memory)
    ]

    assert (one.rows, two.rows) == (rows.training.rows,) * 2
    assert two.fitted_on == "training"
    assert pipeline_of(two).learner.rounds == 25
    assert scores == pytest.approx([scores[2]] * 3, abs=0.01)
    apart = np.abs(pipeline_of(one).predict(rows.testing.features) - pipeline_of(two).predict(rows.testing.features))
    assert apart.max() < 1e-4, "few distinct values: workers agree on the same bins, and sum up in another order"


def test_rounds_grow_with_the_rows_as_without_workers(whole):
    split, task = whole
    rows = search_rows(split)
    model = fitted(split, task, Fit(trial_of(), BOTH, in_blocks=True), 2)

    every = rows.training.rows + rows.testing.rows
    assert model.rows == every
    assert pipeline_of(model).learner.rounds == round(25 * every / rows.training.rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sample_chooses_the_rounds_and_all_rows_are_fitted_on(tmp_path, workers):
    frame = clean_table(4_000, seed=3)
    task = task_of(frame)
    split, _ = cut_sampled(table_in(frame, 2), task, tmp_path, 800, folds=1)
    model = fitted(split, task, Fit(trial_of(encoding="target"), BOTH, in_blocks=True), workers)

    assert model.fitted_on == "all training+testing"
    assert model.rows == sum(split.sample.of.values())
    assert 0 < pipeline_of(model).learner.rounds < 300
    assert model.seen.column_names == [column.name for column in task.inputs]


def test_a_sealed_row_among_the_blocks_is_refused(tmp_path):
    import ray

    from raysweep.training.canaries import hash_block

    frame = clean_table(1_000, seed=3)
    task = task_of(frame)
    split, _ = cut_sampled(table_in(frame, 2), task, tmp_path, 300, folds=1)
    rows = search_rows(split)
    planted = replace(rows, canaries=hash_block(rows.training)[:1])

    with pytest.raises(SealBroken, match="the fit that ships"):
        fitted(replace(split, search_data=ray.put(planted)), task, Fit(trial_of(), BOTH, in_blocks=True), 1)


def begin_with(work):
    """Workers that sum up their numbers over the network, after `work` of attempt and number."""
    attempts = []

    def member(number, place, attempt):
        import xgboost as xgb

        with connection(place, number)():
            work(attempt, number)
            total = xgb.collective.allreduce(np.array([number + 1.0]), xgb.collective.Op.SUM)
        return total, True

    def begin(number, place, start):
        if number == 0:
            attempts.append(place)
        return start(member, number, place, len(attempts))

    return begin, attempts


@pytest.fixture
def team():
    found = Team(WorkerSize(2, 1))
    yield found
    found.end()


def test_a_worker_that_dies_is_tried_again_with_all_others(team):
    import ray

    def work(attempt, number):
        if attempt == 1 and number == 1:
            os._exit(1)

    begin, attempts = begin_with(work)
    said = []
    first, _ = team.together(begin, said.append)

    assert ray.get(first).tolist() == [3.0]
    assert len(attempts) == 2
    assert "the fit is made again" in said[0]
    again, _ = team.together(begin, said.append)
    assert ray.get(again).tolist() == [3.0], "the same workers, in another meeting"


def test_workers_that_always_die_are_given_up(team, monkeypatch):
    monkeypatch.setattr(ray_workers, "_ATTEMPTS", 2)

    def work(_, number):
        if number == 1:
            os._exit(1)

    begin, attempts = begin_with(work)
    with pytest.raises(RayUnavailable, match="lost 2 times with one of its 2 workers"):
        team.together(begin, lambda _: None)

    assert len(attempts) == 2


def test_what_our_own_code_raises_is_raised_at_once(team):
    import ray.exceptions

    def work(_, number):
        if number == 1:
            raise SealBroken("a sealed row")
        time.sleep(60)

    begin, attempts = begin_with(work)
    started = time.monotonic()
    with pytest.raises(ray.exceptions.RayTaskError, match="a sealed row"):
        team.together(begin, lambda _: None)

    assert len(attempts) == 1
    assert time.monotonic() - started < 50, "the other worker was ended"


def test_no_room_for_all_is_said(monkeypatch):
    monkeypatch.setattr(ray_workers, "_ROOM_SECONDS", 1)

    with pytest.raises(RayUnavailable, match=r"search\.trial\.workers is 64"):
        Team(WorkerSize(64, 1)).together(lambda *_: [], lambda _: None)


def test_workers_keep_off_nodes_that_got_no_trials(monkeypatch):
    import ray

    monkeypatch.setattr(ray_workers, "_ROOM_SECONDS", 1)
    here = str(ray.get_runtime_context().get_node_id())
    with pytest.raises(RayUnavailable, match="no room"):
        Team(WorkerSize(2, 1, kept_off=frozenset({here}))).together(lambda *_: [], lambda _: None)
