"""States of long trials beside the journal: kept whole, named once they are there, and no failure of a trial."""

from __future__ import annotations

import threading
import time

import pytest

from raysweep.errors import NotFound, RunTakenOver, StorageFailed
from raysweep.storage.kept_states import KEPT_FOLDER, KeptStates
from raysweep.storage.local import LocalStore


class Faulty(LocalStore):
    """A folder that takes nothing while it is `away`."""

    away = False

    def put(self, key, source):
        if self.away:
            raise StorageFailed("no answer")
        super().put(key, source)


class Place:
    """States in a folder; `fenced`: another driver has taken the run over."""

    def __init__(self, path, epoch=1):
        self.store, self.said, self.fenced = Faulty(path), [], False
        self.states = KeptStates(self.store, epoch, self._check, self.said.append)

    def _check(self):
        if self.fenced:
            raise RunTakenOver("by another driver")

    @property
    def keys(self):
        return [one.key for one in self.store.list(KEPT_FOLDER)]

    def stored(self, count):
        found, until = [], time.monotonic() + 10
        while len(found) < count and time.monotonic() < until:
            found += self.states.take_stored()
            time.sleep(0.002)
        return found


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.states.close()


def wait_until(is_so):
    until = time.monotonic() + 10
    while not is_so() and time.monotonic() < until:
        time.sleep(0.002)
    assert is_so()


def test_a_state_is_named_once_it_is_there(place):
    place.states.put(17, 2, b"grown")
    (one,) = place.stored(1)
    assert (one.candidate, one.rung, one.key) == (17, 2, f"{KEPT_FOLDER}000001/000017-2-1.state")
    assert place.states.get(one.key, one.sha256) == b"grown"
    assert place.states.take_stored() == []


def test_what_is_not_what_was_put_is_not_given(place):
    place.states.put(1, 1, b"grown")
    (one,) = place.stored(1)
    place.store.put(one.key, b"other")
    with pytest.raises(NotFound, match="is not what was put there"):
        place.states.get(one.key, one.sha256)
    place.store.delete(one.key)
    with pytest.raises(NotFound):
        place.states.get(one.key, one.sha256)


def test_the_oldest_go_where_the_store_is_slower_than_they_come(tmp_path):
    put = threading.Event()

    class Slow(LocalStore):
        def put(self, key, source):
            assert put.wait(10)
            super().put(key, source)

    said = []
    states = KeptStates(Slow(tmp_path), 1, lambda: None, said.append, most_bytes=200)
    states.put(0, 1, b"0" * 90)
    wait_until(lambda: not states._waiting)  # its thread holds the first
    for candidate in (1, 2, 3):
        states.put(candidate, 1, b"x" * 90)
    assert list(states._waiting) == [2, 3]
    states.take_stored()
    (sentence,) = said
    assert sentence == (
        "the state of trial 1 is not kept (the store is slower than they come): a long trial that loses its process "
        "begins anew until this is over"
    )
    put.set()
    found = []
    wait_until(lambda: found.extend(states.take_stored()) or len(found) == 3)
    assert {one.candidate for one in found} == {0, 2, 3}
    states.close()


def test_the_last_two_are_kept_and_none_of_a_trial_that_is_over(place):
    for rung in (1, 2, 3):
        place.states.put(5, rung, b"%d" % rung)
        place.stored(1)
    wait_until(lambda: place.keys == [f"{KEPT_FOLDER}000001/000005-{rung}-{rung}.state" for rung in (2, 3)])
    place.states.forget(5)
    wait_until(lambda: place.keys == [])


def test_a_rung_that_is_reached_again_leaves_what_the_journal_names(place):
    place.states.put(5, 2, b"first")
    (first,) = place.stored(1)
    place.states.put(5, 2, b"again")
    (again,) = place.stored(1)
    assert place.states.get(first.key, first.sha256) == b"first"
    assert place.states.get(again.key, again.sha256) == b"again"


def test_a_store_that_is_away_fails_no_trial_and_is_said_once(place):
    place.store.away = True
    for rung in (1, 2):
        place.states.put(5, rung, b"x")
        wait_until(lambda: not place.states._waiting)
    wait_until(lambda: place.states.take_stored() == [] and len(place.said) == 1)
    assert "the state of trial 5 cannot be kept (no answer)" in place.said[0]
    place.store.away = False
    place.states.put(5, 3, b"y")
    assert [one.rung for one in place.stored(1)] == [3]


def test_a_driver_that_was_fenced_off_writes_nothing(place):
    place.fenced = True
    place.states.put(5, 1, b"x")
    wait_until(lambda: not place.states._thread.is_alive())
    assert place.keys == []
    assert place.states.take_stored() == []


def test_the_end_of_a_search_leaves_nothing_of_any_driver(tmp_path):
    before, after = Place(tmp_path), Place(tmp_path, epoch=2)
    before.states.put(1, 1, b"x")
    before.stored(1)
    after.states.put(1, 2, b"y")
    after.stored(1)
    assert len(after.keys) == 2
    with after.states:
        pass
    assert after.keys == []


def test_a_search_that_breaks_off_leaves_what_it_is_gone_on_with(place):
    place.states.put(1, 1, b"x")
    place.stored(1)
    with pytest.raises(StorageFailed), place.states:
        raise StorageFailed("the journal's disk is full")
    assert len(place.keys) == 1


def test_a_driver_that_was_fenced_off_deletes_nothing(place):
    place.states.put(1, 1, b"x")
    place.stored(1)
    place.fenced = True
    place.states.clear()
    assert len(place.keys) == 1
