"""The journal of a run in epochs: one suite for a folder, a store that cannot append, and a real S3 server."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from unittest import mock

import pytest

from raysweep import run_place
from raysweep.config import S3Config, load_config
from raysweep.errors import NotFound, RaysweepError, RequestInvalid, RunTakenOver, StorageFailed
from raysweep.runtime.run_folder import make_run_folder
from raysweep.storage.epochs import claim, file_key, is_far, last_epoch, owner_key, segment_key, this_driver
from raysweep.storage.journal import Journal
from raysweep.storage.local import LocalStore
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import RunJournal, begin_epoch, read_run_journal
from raysweep.storage.segments import Pace
from raysweep.storage.store import Store, TransientStorageFailure

QUICK = Pace(gather_seconds=0.02, first_wait_seconds=0.02, longest_wait_seconds=0.05)
RUN = "one-run"


def begin(store: Store, folder: Path, epoch: int = 1, pace: Pace = QUICK, **more):
    return begin_epoch(store, this_driver(RUN, epoch), folder, pace=pace, **more)


def trials(records):
    return [record["trial"] for record in records if "trial" in record]


def wait_until(is_so, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def append_for_long(journal: RunJournal) -> None:
    for _ in range(200):
        journal.append({"trial": 99})
        time.sleep(0.05)


class FarStore(LocalStore):
    """A folder that seems to be far away, counts what is put, and fails as long as it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.is_away = False
        self.loses_answers = False
        self.puts: list[tuple[str, float]] = []

    def child(self, prefix: str) -> FarStore:
        return FarStore(Path(super().address(prefix)))

    def address(self, key: str = "") -> str:
        return f"far:/{super().address(key)}"

    def put_if_absent(self, key, source, *, writer=None) -> bool:
        self._answer()
        taken = super().put_if_absent(key, source, writer=writer)
        self.puts.append((key, time.monotonic()))
        if self.loses_answers:
            self.loses_answers = False
            raise TransientStorageFailure("the answer was lost")
        return taken

    def exists(self, key: str) -> bool:
        self._answer()
        return super().exists(key)

    def _answer(self) -> None:
        if self.is_away:
            raise TransientStorageFailure("the server does not answer")


class RunJournalContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "work"

    def test_a_place_without_a_journal_has_no_records(self, store: Store):
        assert read_run_journal(store) == []
        assert last_epoch(store) == 0

    def test_records_come_back_in_order_over_epochs(self, store: Store, folder: Path):
        journal, earlier = begin(store, folder)
        assert earlier == []
        for number in range(5):
            journal.append({"trial": number})
        journal.flush()
        assert trials(read_run_journal(store)) == [0, 1, 2, 3, 4]
        journal.append({"trial": 5})
        journal.close()
        journal, earlier = begin(store, folder, 2)
        assert trials(earlier) == [0, 1, 2, 3, 4, 5]
        assert {"event": "resumed", "epoch": 2, "read": {"1": 6}}.items() <= earlier[-1].items()
        journal.append({"trial": 6})
        journal.close()
        with begin(store, folder, 3)[0]:
            pass
        records = read_run_journal(store)
        assert trials(records) == [0, 1, 2, 3, 4, 5, 6]
        assert records[-1]["read"] == {"1": 6, "2": 2}
        assert last_epoch(store) == 3

    def test_the_older_of_two_writers_is_fenced_off(self, store: Store, folder: Path, tmp_path: Path):
        old, _ = begin(store, folder)
        old.append({"trial": 0})
        old.flush()
        new, earlier = begin(store, tmp_path / "elsewhere/work", 2)
        assert trials(earlier) == [0]
        new.append({"trial": 1})
        with pytest.raises(RunTakenOver, match=r"taken over by process \d+ on \S+ at 20.*has stopped") as stopped:
            append_for_long(old)
        assert stopped.value.exit_code == 6
        with pytest.raises(RunTakenOver):
            old.check_ours()
        with pytest.raises(RunTakenOver):
            old.append({"trial": 98})
        new.append({"trial": 2})
        new.close()
        assert trials(read_run_journal(store)) == [0, 1, 2]

    def test_what_an_old_writer_adds_after_it_was_read_does_not_count(self, store: Store, folder: Path):
        journal, _ = begin(store, folder)
        for number in range(3):
            journal.append({"trial": number})
        journal.close()
        with begin(store, folder, 2)[0] as new:
            new.append({"trial": 3})
        late = b'{"trial":99}\n{"tr'
        if is_far(store):
            store.put(segment_key(1, 2), late)
        else:
            store.put(file_key(1), store.get(file_key(1)) + late)
        assert trials(read_run_journal(store)) == [0, 1, 2, 3]

    def test_an_epoch_without_records_cuts_nothing_off(self, store: Store, folder: Path):
        journal, _ = begin(store, folder)
        journal.append({"trial": 0})
        journal.close()
        store.put(owner_key(2), b"{}")
        assert trials(read_run_journal(store)) == [0]
        with begin(store, folder, 3)[0] as journal:
            journal.append({"trial": 1})
        assert trials(read_run_journal(store)) == [0, 1]

    def test_two_that_want_the_same_epoch(self, store: Store, folder: Path, tmp_path: Path):
        with begin(store, folder)[0], pytest.raises(RequestInvalid, match=r"began a moment ago \(process"):
            begin(store, tmp_path / "b")
        with begin(store, folder, 2)[0], pytest.raises(RunTakenOver, match="taken over"):
            begin(store, tmp_path / "b", 2)

    def test_a_copied_history_is_the_beginning_of_a_new_run(self, store: Store, folder: Path):
        with begin(store.child("old"), folder)[0] as journal:
            journal.append({"trial": 0})
        with begin(store.child("old"), folder, 2)[0] as journal:
            journal.append({"trial": 1})
        old = read_run_journal(store.child("old"))
        journal, earlier = begin(store.child("new"), folder, opening=old)
        assert earlier == old
        journal.append({"trial": 2})
        journal.close()
        found = read_run_journal(store.child("new"))
        assert found[: len(old)] == old
        assert trials(found) == [0, 1, 2]

    def test_a_torn_last_line_is_no_record_and_other_damage_is_named(self, store: Store):
        key = segment_key(1, 1) if is_far(store) else file_key(1)
        store.put(key, b'{"trial":0}\n{"tri')
        assert trials(read_run_journal(store)) == [0]
        store.put(key, b'{"trial":0}\n{oops}\n{"trial":2}\n')
        with pytest.raises(RaysweepError, match=rf"{key}, line 2: this is no record"):
            read_run_journal(store)

    def test_records_that_have_vanished_are_missed(self, store: Store, folder: Path):
        with begin(store, folder)[0] as journal:
            journal.append({"trial": 0})
        with begin(store, folder, 2)[0]:
            pass
        store.delete(segment_key(1, 1) if is_far(store) else file_key(1))
        with pytest.raises(RaysweepError, match=r"held 1 records .* holds 0 now"):
            read_run_journal(store)

    def test_a_later_epoch_that_does_not_begin_as_one_is_damaged(self, store: Store):
        store.put(segment_key(2, 1) if is_far(store) else file_key(2), b'{"trial":0}\n')
        with pytest.raises(RaysweepError, match="line 1: this is no record"):
            read_run_journal(store)


class TestInAFolder(RunJournalContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(str(tmp_path / "runs"), S3Config()).child(RUN)


class FarContract(RunJournalContract):
    def test_records_are_in_the_store_within_a_second(self, store: Store, folder: Path):
        with begin(store, folder, pace=Pace())[0] as journal:
            journal.append({"trial": 0})
            wait_until(lambda: trials(read_run_journal(store)) == [0])
        assert Pace().gather_seconds <= 0.5

    def test_many_records_are_few_segments(self, store: Store, folder: Path):
        with begin(store, folder, pace=Pace())[0] as journal:
            for number in range(500):
                journal.append({"trial": number})
        assert trials(read_run_journal(store)) == list(range(500))
        assert len(store.list("journal/000001-")) < 50
        assert list(folder.rglob("*.jsonl")) == []

    def test_what_was_not_put_is_found_on_this_machine(self, store: Store, folder: Path):
        """As after a kill: the store has the first records, the working folder all of them."""
        slow = Pace(gather_seconds=3_600)
        journal, _ = begin(store, folder, pace=slow)
        for number in range(3):
            journal.append({"trial": number})
        journal.flush()
        for number in range(3, 6):
            journal.append({"trial": number})
        assert trials(read_run_journal(store)) == [0, 1, 2]
        again, earlier = begin(store, folder, 2)
        assert trials(earlier) == [0, 1, 2, 3, 4, 5]
        again.append({"trial": 6})
        again.flush()
        assert trials(read_run_journal(store)) == [0, 1, 2, 3, 4, 5, 6]
        assert [one["read"] for one in read_run_journal(store) if one.get("event") == "resumed"] == [{"1": 3}]
        again.close()
        assert list(folder.rglob("*.jsonl")) == []
        with pytest.raises(RunTakenOver):
            journal.close()

    def test_what_was_not_put_is_not_added_behind_what_came_after(self, store: Store, folder: Path, tmp_path: Path):
        journal, _ = begin(store, folder, pace=Pace(gather_seconds=3_600))
        journal.append({"trial": 0})
        with begin(store, tmp_path / "elsewhere/work", 2)[0] as other:
            other.append({"trial": 1})
        with begin(store, folder, 3)[0]:
            pass
        assert trials(read_run_journal(store)) == [1]
        with pytest.raises(RunTakenOver):
            journal.close()

    def test_a_driver_that_dies_while_it_takes_over_what_was_not_put(self, store: Store, folder: Path, monkeypatch):
        first, _ = begin(store, folder, pace=Pace(gather_seconds=3_600))
        for number in range(4):
            first.append({"trial": number})
        append, taken = Journal.append, []

        def append_two(journal: Journal, record: dict[str, object]) -> None:
            taken.append(record)
            if len(taken) > 2:
                raise KeyboardInterrupt
            append(journal, record)

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", append_two)
            patch.setattr(Path, "replace", mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                begin(store, folder, 2)
        third, earlier = begin(store, folder, 3)
        assert trials(earlier) == [0, 1, 2, 3]
        third.close()
        with begin(store, folder, 4)[0]:
            pass
        assert trials(read_run_journal(store)) == [0, 1, 2, 3]
        with pytest.raises(RunTakenOver):
            first.close()

    def test_what_was_not_put_is_found_in_the_folder_of_another_driver(self, store: Store, tmp_path: Path):
        """The driver before had a folder of another name, since one was alive then."""
        other, folder = tmp_path / f"runs/{RUN}~1", tmp_path / f"runs/{RUN}"
        first, _ = begin(store, other, pace=Pace(gather_seconds=3_600))
        first.append({"trial": 0})
        again, earlier = begin(store, folder, 2)
        assert trials(earlier) == [0]
        again.close()
        assert list((tmp_path / "runs").rglob("*.jsonl")) == []

    def test_a_copy_of_a_run_that_was_deleted_is_not_taken_for_another_one(self, store: Store, folder: Path):
        first, _ = begin(store, folder, pace=Pace(gather_seconds=3_600))
        first.append({"trial": 0})
        store.delete(owner_key(1))
        begin(store, folder / "elsewhere/work")[0].close()
        assert trials(begin(store, folder, 2)[1]) == []

    def test_what_a_driver_that_was_fenced_off_could_not_put_is_not_lost(self, store: Store, folder: Path):
        first, _ = begin(store, folder, pace=Pace(gather_seconds=3_600))
        first.append({"trial": 0})
        claim(store, this_driver(RUN, 2))
        with pytest.raises(RunTakenOver):
            first.close()
        assert trials(begin(store, folder, 3)[1]) == [0]

    def test_a_torn_line_in_the_middle_is_damage(self, store: Store):
        store.put(segment_key(1, 1), b'{"trial":0}\n{"tri')
        store.put(segment_key(1, 2), b'{"trial":1}\n')
        with pytest.raises(RaysweepError, match=r"000001-000001.jsonl, line 2"):
            read_run_journal(store)

    def test_a_deleted_segment_is_missed(self, store: Store):
        store.put(segment_key(1, 1), b'{"trial":0}\n')
        store.put(segment_key(1, 3), b'{"trial":2}\n')
        with pytest.raises(RaysweepError, match="segment 2 of epoch 1 is missing"):
            read_run_journal(store)


class ForgetfulStore(FarStore):
    """As some S3-compatible servers: it takes a conditional put whatever the condition."""

    def put_if_absent(self, key, source, **_) -> bool:
        self.put(key, source)
        return True


class TestAtAServerThatKnowsNoConditions:
    @pytest.fixture
    def store(self, tmp_path: Path) -> ForgetfulStore:
        return ForgetfulStore(tmp_path / "far")

    def test_who_comes_second_sees_it(self, store: ForgetfulStore, tmp_path: Path):
        with begin(store, tmp_path / "a")[0], pytest.raises(RequestInvalid, match="began a moment ago"):
            begin(store, tmp_path / "b")

    def test_of_two_that_saw_nothing_one_goes_on(self, store: ForgetfulStore, tmp_path: Path, monkeypatch):
        first, _ = begin(store, tmp_path / "a")
        first.append({"trial": 0})
        first.flush()
        with monkeypatch.context() as patch:
            patch.setattr(store, "exists", lambda _: False)
            second, _ = begin(store, tmp_path / "b")
        with pytest.raises(RunTakenOver, match="taken over"):
            first.check_ours()
        with pytest.raises(RunTakenOver):
            append_for_long(first)
        second.check_ours()

    def test_who_is_overtaken_while_it_claims_sees_it(self, store: ForgetfulStore, tmp_path: Path, monkeypatch):
        put = store.put

        def put_twice(key, source):
            put(key, source)
            put(key, b"the other's")

        monkeypatch.setattr(store, "put", put_twice)
        with pytest.raises(RequestInvalid, match="began a moment ago"):
            begin(store, tmp_path / "a")


class TestInAFarStore(FarContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FarStore:
        return FarStore(tmp_path / "far")

    @pytest.fixture
    def said(self) -> list[str]:
        return []

    def test_a_store_that_goes_away_and_comes_back(self, store: FarStore, folder: Path, said: list[str]):
        journal, _ = begin(store, folder, say=said.append)
        journal.append({"trial": 0})
        journal.flush()
        store.is_away = True
        for number in range(1, 20):
            journal.append({"trial": number})
            time.sleep(0.01)
        assert trials(read_run_journal(store)) == [0]
        wait_until(lambda: journal.append({"trial": -1}) or said)
        assert "kept in" in said[0]
        assert "does not answer" in said[0]
        store.is_away = False
        journal.flush()
        journal.append({"trial": 20})
        journal.close()
        assert [one for one in trials(read_run_journal(store)) if one >= 0] == list(range(21))
        assert len(said) == 2
        assert list(folder.rglob("*.jsonl")) == []

    def test_a_store_that_stays_away_is_said_at_the_end_and_nothing_is_lost(self, store: FarStore, folder: Path):
        journal, _ = begin(store, folder)
        journal.append({"trial": 0})
        journal.flush()
        store.is_away = True
        journal.append({"trial": 1})
        with pytest.raises(StorageFailed, match="does not answer"):
            journal.close(0.3)
        journal.close()
        store.is_away = False
        assert trials(begin(store, folder, 2)[1]) == [0, 1]

    def test_an_answer_that_is_lost_is_no_record_twice(self, store: FarStore, folder: Path):
        journal, _ = begin(store, folder)
        store.loses_answers = True
        journal.append({"trial": 0})
        journal.flush()
        journal.append({"trial": 1})
        journal.close()
        assert trials(read_run_journal(store)) == [0, 1]

    def test_a_batch_is_put_while_others_are_added(self, store: FarStore, folder: Path):
        with begin(store, folder)[0] as journal:
            for number in range(200):
                journal.append({"trial": number})
                time.sleep(0.001)
        assert trials(read_run_journal(store)) == list(range(200))
        gaps = [at for key, at in store.puts if key.startswith("journal/000001-")]
        assert len(gaps) > 2

    def test_the_thread_ends_with_the_journal(self, store: FarStore, folder: Path):
        before = set(threading.enumerate())
        with begin(store, folder)[0]:
            (thread,) = set(threading.enumerate()) - before
        wait_until(lambda: not thread.is_alive())

    def test_what_went_wrong_first_is_what_is_raised(self, store: FarStore, folder: Path, monkeypatch):
        monkeypatch.setattr("raysweep.storage.run_journal._GIVE_UP_AFTER_FAILURE_SECONDS", 0.1)

        def work() -> None:
            with begin(store, folder)[0] as journal:
                store.is_away = True
                journal.append({"trial": 0})
                raise NotFound("first")

        with pytest.raises(NotFound, match="first"):
            work()


@pytest.mark.s3
class TestOnS3(FarContract):
    @pytest.fixture
    def store(self, s3_bucket: str, s3_config: S3Config) -> Store:
        return open_store(f"s3://{s3_bucket}/runs", s3_config).child(RUN)

    def test_what_is_asked_is_there_before_anything_is_tried(
        self, s3_bucket: str, s3_config: S3Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path))
        export = {"to": f"s3://{s3_bucket}/runs", "s3": {"endpoint_url": s3_config.endpoint_url}}
        config = load_config({"version": 1, "data": {"source": "memory:", "target": "late"}, "export": export})
        journal, _ = run_place.begin(run_place.reserve(config, RUN, None), config, make_run_folder(RUN), lambda _: None)
        assert run_place.plan_resume(f"s3://{s3_bucket}/runs/{RUN}", [], None, s3_config).config == config
        journal.close()
