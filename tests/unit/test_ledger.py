"""The ledger of openings: what counts as a use of validation rows, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raysweep.config import S3Config, load_config
from raysweep.stages.confirm.ledger import Opening, overlap, record_opening, sweep_digest
from raysweep.storage.open_store import open_store
from raysweep.storage.store import LEDGER_FOLDER

SKETCH = 1_024


def hashes(rows, seed=0):
    return np.unique(np.random.default_rng(seed).integers(0, 2**64, size=rows, dtype=np.uint64))


def opening(run_id, rows, *, sweep=None, opened="2026-01-01T00:00:00"):
    known = np.sort(rows)
    name = run_id if sweep is None else sweep
    return Opening(run_id, opened, "digest", len(known), known[:SKETCH], f"{name:0>64}", ("params",))


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path), S3Config())


def use(store, *args, **kwargs):
    opened, broken = record_opening(store, opening(*args, **kwargs))
    assert broken == ()
    return opened


def test_each_further_sweep_is_a_use_and_widens_the_interval(store):
    rows = hashes(5_000)
    uses = [use(store, f"run-{number}", rows, opened=f"2026-01-0{number}") for number in range(1, 7)]
    assert [one.use for one in uses] == [1, 2, 3, 4, 5, 6]
    assert [round(one.level, 6) for one in uses] == [0.95, 0.975, 0.983333, 0.9875, 0.99, 0.991667]
    assert uses[2].earlier == ("run-1", "run-2")
    assert not any(one.is_repeat for one in uses)


def test_the_same_sweep_again_is_no_new_use(store):
    rows = hashes(5_000)
    assert use(store, "first", rows, sweep="a", opened="2026-01-01").use == 1
    assert use(store, "other", rows, sweep="b", opened="2026-01-02").use == 2
    again = use(store, "second", rows, sweep="a", opened="2026-01-03")
    assert (again.use, again.is_repeat, again.earlier) == (1, True, ())
    assert use(store, "third", rows, sweep="c", opened="2026-01-04").use == 3  # a and b, each once


def test_an_interrupted_check_that_begins_again_is_the_same_use(store):
    rows = hashes(5_000)
    use(store, "run", rows, opened="2026-01-01")
    again = use(store, "run", rows, opened="2026-01-02")
    assert (again.use, again.is_repeat) == (1, True)
    assert len(store.list(LEDGER_FOLDER)) == 1


def test_an_opening_of_long_ago_counts_though_its_request_was_later(store):
    """Fits take their time: who has written first has looked first, whatever the clocks of two machines say."""
    rows = hashes(3_000)
    use(store, "quick", rows, opened="2026-01-01T10:40:00")
    assert use(store, "slow", rows, opened="2026-01-01T10:00:00").use == 2


def test_going_on_from_a_published_run_with_other_finalists_is_a_further_use(store):
    rows = hashes(3_000)
    first = opening("first", rows, sweep="a", opened="2026-01-01")
    same = replace(first, run_id="same", opened="2026-01-02", goes_on=True)
    other = replace(first, run_id="other", opened="2026-01-03", goes_on=True, finalists=("better",))
    assert record_opening(store, first)[0].use == 1
    assert record_opening(store, same)[0].use == 1
    assert record_opening(store, other)[0].use == 2
    again = replace(first, run_id="again", opened="2026-01-04", finalists=("by chance",))
    assert record_opening(store, again)[0].use == 1, "asked the same anew, knowing nothing"


def test_one_added_row_does_not_evade_it_and_other_rows_are_no_use(store):
    rows = hashes(50_000)
    use(store, "run", rows, opened="2026-01-01")
    assert use(store, "one-more", np.append(rows, np.uint64(3)), opened="2026-01-02").use == 2
    assert use(store, "others", hashes(50_000, seed=1), opened="2026-01-03").use == 1


def test_rows_that_overlap_count_by_their_share(store):
    """Another seed of the split: a fifth of the rows was opened before; three of them are more than half a use."""
    rows = hashes(100_000)
    mine = rows[::5]
    for number in range(1, 4):
        theirs = np.random.default_rng(number).choice(rows, 20_000, replace=False)
        use(store, f"seed-{number}", theirs, opened=f"2026-01-0{number}")
    assert use(store, "mine", mine, opened="2026-01-09").use == 2


@pytest.mark.parametrize("rows", [200, 1_024, 30_000])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_sketch_tells_the_overlap(rows, share):
    known = np.random.default_rng(5).permutation(hashes(rows * 3))
    mine, common = known[:rows], int(share * rows)
    theirs = np.concatenate([known[:common], known[rows : 2 * rows - common]])
    found = overlap(opening("a", mine), opening("b", theirs))
    assert found == pytest.approx(share, abs=0.0 if rows <= SKETCH else 0.05)


def test_of_two_at_once_both_see_the_other(store):
    rows = hashes(3_000)
    first, second = opening("a", rows), opening("b", rows)
    for one in (first, second):
        store.put_if_absent(one.key, b"{}")  # both had written before either read
    for one in (first, second):
        store.delete(one.key)
        record_opening(store, one)
    assert record_opening(store, first)[0].use == 2
    assert record_opening(store, second)[0].use == 2


@pytest.mark.parametrize("content", [b"not json", b"{}", b'{"schema_version": 2}', b"[]"])
def test_an_object_that_cannot_be_read_counts_and_is_said(store, content):
    store.put(f"{LEDGER_FOLDER}strange.json", content)
    opened, broken = record_opening(store, opening("run", hashes(100)))
    assert opened.use == 2
    assert len(broken) == 1
    assert "strange.json" in broken[0]


def test_what_is_asked_makes_the_sweep_and_not_where_it_runs():
    base = load_config({"version": 1, "data": {"source": "a.csv", "target": "y"}})
    cluster = base.model_copy(update={"name": "other", "cluster": base.cluster.model_copy(update={"address": "auto"})})
    moved = cluster.model_copy(update={"export": base.export.model_copy(update={"to": "elsewhere"})})
    assert sweep_digest(moved) == sweep_digest(base)
    more = base.model_copy(update={"search": base.search.model_copy(update={"trials": 7})})
    assert sweep_digest(more) != sweep_digest(base)


def test_the_written_object_is_what_is_read(store):
    one = opening("run", hashes(3_000))
    record_opening(store, one)
    again = replace(one, run_id="other", sweep="z" * 64, opened="2026-02-01")
    assert record_opening(store, again)[0].earlier == ("run",)
