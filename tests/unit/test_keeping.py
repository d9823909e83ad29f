"""Trials that go on from a kept state: it is fetched beside the search, and told where it is gone."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace

import pytest

from raysweep.errors import StorageFailed
from raysweep.stages.search import keeping as keeping_module
from raysweep.stages.search.keeping import Keeping
from raysweep.stages.search.slot_events import Reached
from raysweep.stages.search.trial_log import Kept, Loss
from raysweep.storage.kept_states import KeptStates
from raysweep.storage.local import LocalStore
from raysweep.training.kept_state import KeptState, LearnerState
from steered_search import Search, report_of

STATE = KeptState(1, 40.0, 38.0, (LearnerState(b"grown", 10, 10, (), finished=False),)).pack()
KEY = "journal/kept/000001/000000-1-1.state"


class Slow(LocalStore):
    """A folder that gives nothing before it is let."""

    def __init__(self, path):
        super().__init__(path)
        self.let, self.away = threading.Event(), False

    def get(self, key):
        assert self.let.wait(10)
        if self.away:
            raise StorageFailed("no answer")
        return super().get(key)


class Going:
    """A search whose first trials were kept at their first rung and have lost their processes.

    `state`: what lies in the store.
    """

    def __init__(self, path, state=STATE, lost=1):
        self.store, self.said = Slow(path), []
        if state is not None:
            self.store.put(KEY, state)
        self.search = Search(trials=3)
        kept = Kept(1, KEY, hashlib.sha256(STATE if state is None else state).hexdigest())
        attempts = [self.search.take() for _ in range(lost)]
        for attempt in attempts:
            number = attempt.candidate.number
            report = replace(report_of(attempt.candidate, 1), score=0.5)  # none of them is stopped
            assert self.search.steering.reached(number, report, "node")
            self.search.steering.kept(number, kept)
        for attempt in attempts:
            self.search.steering.lost(attempt.candidate.number, Loss("its node is gone", counts=False))
        states = KeptStates(self.store, 1, lambda: None, self.said.append)
        self.keeping = Keeping(states, self.search.steering, self.said.append)

    def next(self):
        """The next attempt, once there is one."""
        until = time.monotonic() + 10
        while (attempt := self.keeping.next()) is None and time.monotonic() < until:
            time.sleep(0.002)
        assert attempt is not None
        return attempt

    def events(self, name):
        return [one for one in self.search.records if one["event"] == name]


@pytest.fixture
def going(tmp_path):
    return Going(tmp_path)


def test_a_state_is_fetched_while_the_search_does_other_things(going):
    assert going.keeping.next() is None
    going.store.let.set()
    attempt = going.next()
    assert (attempt.candidate.number, attempt.number) == (0, 2)
    assert going.keeping.start_of(attempt) == STATE
    assert going.said == ["trial 0 goes on from rung 1"]
    assert going.events("anew") == []


def test_others_overtake_a_state_that_takes_long(going, monkeypatch):
    monkeypatch.setattr(keeping_module, "_OVERTAKEN_AFTER_SECONDS", 0.05)
    assert going.keeping.next() is None
    other = going.next()
    assert other.candidate.number == 1
    assert going.keeping.start_of(other) is None
    going.store.let.set()
    assert {going.next().candidate.number for _ in range(2)} == {0, 2}


def test_two_states_are_fetched_at_a_time(tmp_path):
    going = Going(tmp_path, lost=3)
    assert going.keeping.next() is None
    assert sum(one.name == "raysweep-fetch" for one in threading.enumerate()) == 2
    going.store.let.set()
    assert {going.next().candidate.number for _ in range(3)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("state", "away", "why"),
    [
        (None, False, "its state is gone"),
        (b"\0" * 7 + b"\2{}", False, "its state cannot be read (a kept state of version None"),
        (STATE, True, "its state cannot be read (no answer)"),
    ],
)
def test_a_state_that_cannot_be_had_is_lost_work(tmp_path, monkeypatch, state, away, why):
    clock = [1_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    going = Going(tmp_path, state)
    going.store.away = away
    going.store.let.set()
    attempt = going.next()
    assert going.keeping.start_of(attempt) is None
    assert going.said[0].startswith(f"trial 0 begins anew: {why}")
    assert going.events("anew") == [{"event": "anew", "at": 1_000.0, "candidate": 0}]
    going.search.steering.begin(attempt)
    going.search.steering.lost(0, Loss("its node is gone", counts=False))
    assert going.search.steering.next().start is None, "it is not looked for again"
    assert Search(trials=3, earlier=going.search.records).steering.next().start is None


def test_what_could_not_be_kept_is_said_once(going):
    attempt = going.search.steering.next()
    for rung in (1, 2):
        report = report_of(attempt.candidate, rung)
        going.keeping.reached(Reached(attempt, report, "node", unkept="its state is 300 bytes"))
    assert going.said == ["trial 0 would begin anew if its process was lost: its state is 300 bytes"]


def test_without_a_place_an_attempt_begins_anew(tmp_path):
    going = Going(tmp_path)
    keeping = Keeping(None, going.search.steering, going.said.append)
    attempt = keeping.next()
    assert attempt.candidate.number == 0
    assert keeping.start_of(attempt) is None
