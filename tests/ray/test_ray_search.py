"""The search on real processes: candidates that misbehave, slots that are killed, limits that hold."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import misbehaving
from builders import arrow_of, clean_table
from raysweep.config import SearchConfig, TaskKind
from raysweep.documents import canonical_json, plain_record
from raysweep.errors import SealBroken
from raysweep.events import Said, TrialEnded
from raysweep.records.metric import METRICS
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import TrialState
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.stages.search.ray_slot_set import SlotSet
from raysweep.storage.kept_states import KeptStates
from raysweep.storage.local import LocalStore
from raysweep.training import families as registry
from raysweep.training.canaries import hash_block
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.process_state import begin_anew
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows

FEATURES = ("amount", "age", "visits")
TRIAL_SECONDS = 4.0


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    registry.register(misbehaving.SENSITIVE)
    registry.register(misbehaving.WILD)


def rows_and_task() -> tuple[SearchRows, LearningTask]:
    frame = clean_table(600, 3)
    arrow, columns = arrow_of(frame)
    features = tuple(column for column in columns if column.name in FEATURES)
    table, y = arrow.select([column.name for column in features]), frame["target"].to_numpy(np.float64)
    training, testing = (RowBlock(table.slice(a, n), y[a : a + n], None) for a, n in ((0, 400), (400, 200)))
    task = LearningTask(TaskKind.BINARY, "target", METRICS["roc_auc"], features, (0, 1), (300, 300))
    return SearchRows(training, testing, np.zeros(0, np.int64), 1), task


def search(
    space,
    records=None,
    *,
    interrupted=lambda: False,
    tell=lambda _: None,
    masked=str,
    kept=None,
    metric="roc_auc",
    **config,
):
    """Run a search over three features of a clean table; its journal goes into `records`."""
    import ray

    rows, task = rows_and_task()
    split = Split("random", 0, (), {}, 1, 0, 0, search_data=ray.put(rows))
    request = SearchRequest(
        task=replace(task, metric=METRICS[metric]),
        split=split,
        space=load_space(space, base=Path()),
        tell=tell,
        record=([] if records is None else records).append,
        interrupted=interrupted,
        masked=masked,
        kept=kept,
        keep_after=0.0,
    )
    return run_search(request, SearchConfig(**config))


def test_a_sealed_row_among_the_search_s_ends_the_whole_search(ray_session: None):
    import ray

    rows, task = rows_and_task()
    sealed = rows.testing.take(slice(20, 21))
    planted = replace(rows, canaries=hash_block(sealed))
    told: list[object] = []
    request = SearchRequest(
        task=task,
        split=Split("random", 0, (), {}, 1, 0, 0, search_data=ray.put(planted)),
        space=load_space(misbehaving.SPACE, base=Path()),
        tell=told.append,
        record=[].append,
        interrupted=lambda: False,
    )
    with pytest.raises(SealBroken, match="handed to the search: 1 of 200 testing rows"), ray_errors_translated("x"):
        run_search(request, SearchConfig(trials=4, concurrency=2))
    assert not [event for event in told if isinstance(event, TrialEnded)]


def undisturbed_score(candidate) -> float:
    """The score of a candidate in a process in which nothing else has happened."""
    rows, task = rows_and_task()
    state = np.random.get_state()  # noqa: NPY002 - the global one is the point
    begin_anew(candidate.seed)
    *_, last = evaluate(candidate, PreparedRows(task, rows, 0), TrialRules((1.0,), threads=1))
    np.random.set_state(state)  # noqa: NPY002
    return last.score


def test_candidates_that_misbehave_have_what_they_deserve_and_change_no_other_score(ray_session: None):
    told: list[object] = []
    outcome = search(
        misbehaving.SPACE,
        algorithm="random",
        scheduler="none",
        trials=40,
        trial={"seconds": TRIAL_SECONDS},
        tell=told.append,
        masked=lambda text: text.replace("not to be had", "<A_SECRET>"),
    )
    assert "not to be had" not in repr(told)
    assert len(outcome.trials) == 40
    wild = {trial.candidate.params["deed"]: trial for trial in outcome.trials if trial.candidate.family == "wild"}
    expected = {
        "segfault": (TrialState.FAILED, "its process died", 3),
        "hang": (TrialState.FAILED, "search.trial.seconds", 1),
        "allocate": (TrialState.FAILED, "out of memory", 2),
        "hoard": (TrialState.FAILED, "out of memory", 2),
        "error": (TrialState.FAILED, "ValueError: this candidate is <A_SECRET>", 1),
        "nan": (TrialState.FAILED, "not numbers", 1),
        "stdout": (TrialState.COMPLETE, "ran to its end", 1),
        "exit": (TrialState.FAILED, "SystemExit: 3", 1),
        "interrupt": (TrialState.FAILED, "KeyboardInterrupt", 1),
        "mute": (TrialState.FAILED, "Mute: <exception str() failed>", 1),
        "blank": (TrialState.FAILED, "ValueError: this ends in nothing", 1),
        "surrogate": (TrialState.FAILED, "OSError: no file \\udcff.csv", 1),
        "random": (TrialState.COMPLETE, "ran to its end", 1),
        "bend": (TrialState.COMPLETE, "ran to its end", 1),
        "in_place": (TrialState.COMPLETE, "ran to its end", 1),
    }
    for deed, (state, reason, attempts) in expected.items():
        trial = wild[deed]
        assert trial.state == state, (deed, trial.reason)
        # Where nothing at all is left, a thread of Ray's may want memory first, and the process dies of it.
        assert trial.attempts in ({attempts, 3} if deed == "hoard" else {attempts}), (deed, trial.reason)
        assert reason in trial.reason, deed
    canonical_json(plain_record(outcome.trials))
    sensitive = [trial for trial in outcome.trials if trial.candidate.family == "sensitive"]
    assert len(sensitive) >= 10
    for trial in sensitive:
        assert trial.state is TrialState.COMPLETE, trial.error
        assert trial.score == undisturbed_score(trial.candidate)


def busy_slots(method: str = "SlotActor.begin") -> list[psutil.Process]:
    """Processes that run a candidate now: Ray shows the method in their name."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if method in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_a_slot_that_is_killed_costs_no_trial(ray_session: None):
    records: list[dict] = []
    killed: list[int] = []

    def kill_one() -> bool:
        slots = busy_slots() if len(killed) < 2 and len(records) > 12 * (len(killed) + 1) else []
        if slots:
            slots[0].send_signal(signal.SIGKILL)
            killed.append(slots[0].pid)
        return False

    space = {"version": 1, "families": {"random_forest": {"params": {"min_samples_leaf": {"int": [1, 200]}}}}}
    outcome = search(space, records, algorithm="random", scheduler="none", trials=16, interrupted=kill_one)
    assert len(killed) == 2
    assert {(trial.state, trial.reason) for trial in outcome.trials} == {(TrialState.COMPLETE, "ran to its end")}
    assert sum(trial.attempts - 1 for trial in outcome.trials) == sum(one["event"] == "lost" for one in records) >= 1
    ended = [one["candidate"] for one in records if one["event"] == "ended"]
    assert len(ended) == len(set(ended)) == 16


def test_a_long_trial_that_loses_its_process_goes_on_from_its_last_rung(ray_session: None, tmp_path: Path):
    store, records, told = LocalStore(tmp_path), list[dict](), list[object]()
    killed: list[int] = []

    def kill_once() -> bool:
        kept = [one for one in records if one["event"] == "kept"]
        if kept and not killed:
            assert store.exists(kept[0]["key"])
            for slot in busy_slots("SlotActor"):
                slot.send_signal(signal.SIGKILL)
                killed.append(slot.pid)
        return False

    family = {
        "params": {"max_depth": {"int": [6, 9]}},
        "fixed": {"subsample": 0.7, "colsample_bytree": 0.7, "learning_rate": 0.0015},
        "effort": {"rounds": 3_000},
    }
    space = {"version": 1, "families": {"xgboost": family}}
    asked = {"algorithm": "random", "deterministic": True, "trials": 2, "concurrency": 1, "metric": "log_loss"}
    kept = KeptStates(store, 1, lambda: None, told.append)
    outcome = search(space, records, interrupted=kill_once, tell=told.append, kept=kept, **asked)
    plain = search(space, **asked)
    assert len(killed) == 1
    assert [tuple(rung.score for rung in one.rungs) for one in outcome.trials] == [
        tuple(rung.score for rung in one.rungs) for one in plain.trials
    ]
    (again,) = [one for one in outcome.trials if one.attempts == 2]
    said = [one.message for one in told if isinstance(one, Said)]
    assert any(one.startswith(f"trial {again.candidate.number} goes on from rung ") for one in said)
    assert 0 < again.lost_seconds < again.slot_seconds
    assert again.lost_seconds < again.rungs[-1].seconds
    assert store.list("journal/kept/") == []


def test_the_search_ends_in_time_though_a_trial_hangs(ray_session: None):
    space = {"version": 1, "families": {"wild": {"params": {"deed": {"choice": ["hang"]}}}}}
    started = time.monotonic()
    outcome = search(space, algorithm="random", trials=10, stop={"seconds": 6})
    assert outcome.stopped_by == "search.stop.seconds: 6 s are over"
    assert 6 <= outcome.seconds <= 9
    assert time.monotonic() - started < 12
    assert {trial.state for trial in outcome.trials} <= {TrialState.STOPPED, TrialState.COMPLETE}


def test_a_driver_that_was_busy_when_a_trial_was_late_hears_of_both(ray_session: None):
    space = {"version": 1, "families": {"sensitive": {"params": {"x": {"float": [0.0, 3.0]}}}}}

    def busy() -> bool:
        time.sleep(0.2)
        return False

    outcome = search(space, trials=4, trial={"seconds": 0.1}, scheduler="asha", interrupted=busy)
    assert len(outcome.trials) == 4
    for trial in outcome.trials:
        assert trial.state.has_ended
        assert (trial.state is TrialState.FAILED) == (not trial.rungs), "a rung that came with the deadline counts"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux only")
def test_a_process_in_which_memory_has_leaked_is_replaced(ray_session: None, monkeypatch: pytest.MonkeyPatch):
    replaced: list[tuple[str, ...]] = []
    replace = SlotSet.replace

    def watched(slots, slot) -> None:
        replaced.append(slot.spoiled)
        replace(slots, slot)

    monkeypatch.setattr(SlotSet, "replace", watched)
    wild = {"fixed": {"deed": "leak"}, "params": {"x": {"float": [0.0, 3.0]}}}
    space = {"version": 1, "families": {"wild": wild}}
    outcome = search(space, algorithm="random", scheduler="none", trials=3, concurrency=1)
    assert [trial.state for trial in outcome.trials] == [TrialState.COMPLETE] * 3
    ((words,),) = replaced  # the second trial finds what the first has left, and the third is spared of it
    assert words.startswith("its memory")


@pytest.mark.parametrize("cpus", [1, 2])
def test_candidates_that_behave_share_a_process(ray_session: None, monkeypatch: pytest.MonkeyPatch, cpus: int):
    replaced: list[object] = []
    monkeypatch.setattr(SlotSet, "replace", lambda _, slot: replaced.append(slot.spoiled))
    space = {
        "version": 1,
        "families": {
            name: {"params": {}, "effort": {"rounds": 9}}
            for name in ("xgboost", "hist_gradient_boosting", "random_forest", "logistic_regression", "k_neighbors")
        },
    }
    outcome = search(space, trials=9, trial={"cpus": cpus})
    assert {trial.state for trial in outcome.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert len({trial.candidate.digest for trial in outcome.trials}) == 5
    assert replaced == []


@pytest.mark.parametrize("deterministic", [False, True])
def test_one_slot_or_several(warm_slots: None, deterministic: bool):
    space = {"version": 1, "families": {"sensitive": {"params": {"x": {"float": [0.0, 3.0]}}}}}
    outcomes = []
    for slots in (1, 2, 1):
        found = search(space, trials=20, concurrency=slots, deterministic=deterministic)
        outcomes.append({one.candidate.digest: (one.score, one.state, len(one.rungs)) for one in found.trials})
    assert outcomes[0] == outcomes[2], "with one slot the whole search repeats"
    if deterministic:
        assert outcomes[0] == outcomes[1]
    for digest in outcomes[0].keys() & outcomes[1].keys():
        (score, _, rungs), (other, _, others) = outcomes[0][digest], outcomes[1][digest]
        assert score == other or rungs != others


def test_schedulers_pruned_what_optuna_and_the_journal_call_pruned(ray_session: None, monkeypatch: pytest.MonkeyPatch):
    from raysweep.stages.search import ray_search

    made = []
    original = ray_search._make_steering
    monkeypatch.setattr(ray_search, "_make_steering", lambda *given: made.append(original(*given)) or made[0])
    records: list[dict] = []
    space = {
        "version": 1,
        "families": {
            "xgboost": {"params": {"learning_rate": {"float": [0.001, 0.5], "log": True}}, "effort": {"rounds": 54}}
        },
    }
    outcome = search(space, records, trials=24, scheduler="asha")
    states = [one["state"].value for one in records if one["event"] == "ended"]
    told = made[0]._proposer.told()
    assert told == {
        "COMPLETE": states.count("complete"),
        **({"PRUNED": states.count("pruned")} if "pruned" in states else {}),
    }
    rungs = {round(milestone): dict(seen) for milestone, seen in made[0]._decider._scheduler._brackets[0]._rungs}
    for one in records:
        if one["event"] == "rung":
            units = round(one["report"]["effort"] * 27)
            assert rungs[units][str(one["candidate"])] == one["report"]["score"]
    assert sum(len(seen) for seen in rungs.values()) == sum(one["event"] == "rung" for one in records)
    assert len(outcome.trials) == 24
