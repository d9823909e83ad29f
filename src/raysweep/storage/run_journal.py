"""The journal of a run: one epoch for each driver that worked on it, beside the bundle, and which records count.

    journal/owner-000001.json            claims epoch 1
    journal/000001.jsonl                 its records, in a folder: appended one by one
    journal/000001-000001.jsonl, ...     its records, in any other store: numbered segments

A driver that goes on with a run claims the next epoch, reads the earlier ones, and writes first how many records it
read of each: what an old driver that is still alive adds after that does not count.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from raysweep.documents import canonical_json
from raysweep.errors import NotFound, RunTakenOver, StorageFailed
from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.storage.epoch_records import RESUMED, Records, read_epochs
from raysweep.storage.epochs import Owner, check_owned, claim, file_key, is_far, owner_key, segment_key, taken_over
from raysweep.storage.journal import Journal, read_journal
from raysweep.storage.segments import GIVE_UP_SECONDS, Pace, SegmentWriter
from raysweep.storage.store import Store

_GIVE_UP_AFTER_FAILURE_SECONDS: Final = 5.0


def read_run_journal(store: Store) -> Records:
    """All records of a run that count, in order; none for a run that has written none.

    Raises:
        RaysweepError: a line is damaged; the message names its place.
    """
    return [record for records in read_epochs(store).values() for record in records]


class RunJournal:
    """The records of one epoch, by the driver that owns it.

    Args:
        store: the run's place.
        owner: this driver; the epoch has been claimed.
        copy: where a copy of the records is kept on this machine while `store` is far; not used for a folder.
        say: gets a sentence when the store stops answering, and when it answers again.
        pace: how fast records are put into a far store.
    """

    def __init__(
        self,
        store: Store,
        owner: Owner,
        copy: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        pace: Pace | None = None,
    ) -> None:
        self._store, self._owner, self._say = store, owner, say
        self._next_owner = owner_key(owner.epoch + 1)
        self._copy = copy if is_far(store) else None
        self._writer: SegmentWriter | None = None
        self._said_trouble = False
        if self._copy is None:
            self._file = Journal(Path(store.address(file_key(owner.epoch))))
            return
        self._copy.unlink(missing_ok=True)  # of a run that was here before, and was deleted
        self._file = Journal(self._copy)
        self._writer = SegmentWriter(store, lambda number: segment_key(owner.epoch, number), self._check_store, pace)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record: durable when this returns in a folder, within a second in any other store.

        Raises:
            RunTakenOver: another driver owns the run by now; the record does not count.
            StorageFailed: this machine's disk does not take it.
        """
        if self._writer is None:
            self.check_ours()
            self._file.append(record)
            self.check_ours()  # taken over meanwhile: nobody knows whether the other has read it
            return
        self._file.append(record)
        self._writer.add(canonical_json(record) + b"\n")
        self._tell_trouble(self._writer.trouble)

    def check_ours(self) -> None:
        """Return if the run is this driver's.

        Raises:
            RunTakenOver: another driver owns it by now.
            StorageFailed: the store does not answer.
        """
        if self._writer is None:
            if os.path.lexists(self._store.address(self._next_owner)):
                raise taken_over(self._store, self._owner.epoch + 1)
        else:
            self._check_store()

    def flush(self) -> None:
        """Make every record durable before this returns.

        Raises:
            StorageFailed: the store does not take them now; they are kept here, and tried again.
            RunTakenOver: another driver owns the run by now.
        """
        if self._writer is not None:
            self._writer.flush()

    def close(self, seconds: float = GIVE_UP_SECONDS) -> None:
        """Put what is left and end; where all is put, the copy goes.

        Raises:
            StorageFailed: something could not be put; the copy stays, and a resume on this machine finds it.
        """
        try:
            if self._writer is not None:
                self._writer.close(seconds)
        except RunTakenOver:
            raise
        except StorageFailed as error:
            raise StorageFailed(f"{error}. The trials since then are only in {self._copy}") from error
        finally:
            self._file.close()
        if self._copy is not None:
            shutil.rmtree(self._copy.parent, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with suppress(StorageFailed):  # what went wrong first is what the user has to know
            self.close(_GIVE_UP_AFTER_FAILURE_SECONDS)

    def _check_store(self) -> None:
        check_owned(self._store, self._owner)

    def _tell_trouble(self, trouble: str) -> None:
        if trouble and not self._said_trouble:
            self._say(f"the journal cannot be put now, it is kept in {self._copy} and tried again: {trouble}")
        if self._said_trouble and not trouble:
            self._say(f"the journal is in {self._store.address(JOURNAL_FOLDER)} again")
        self._said_trouble = bool(trouble)


def begin_epoch(
    store: Store,
    owner: Owner,
    work_folder: Path,
    *,
    say: Callable[[str], None] = lambda _: None,
    pace: Pace | None = None,
) -> tuple[RunJournal, Records]:
    """Claim an epoch, and open its journal.

    Args:
        store: the run's place.
        owner: this driver, and the epoch that it claims.
        work_folder: the run's private folder on this machine.
        say: as in `RunJournal`.
        pace: as in `RunJournal`.

    Returns:
        The journal, and the records that count so far, in order.

    Raises:
        RequestInvalid, RunTakenOver: somebody else has claimed that epoch.
        RaysweepError: the journal is damaged.
    """
    claim(store, owner)
    found = read_epochs(store, before=owner.epoch)
    unput = _unput(store, found, owner.epoch, work_folder) if is_far(store) else []
    journal = RunJournal(store, owner, copy_path(work_folder, store, owner.epoch), say=say, pace=pace)
    if owner.epoch == 1:
        return journal, []
    read = {str(epoch): len(records) for epoch, records in found.items()}
    who = {"claimed": owner.at, "host": owner.host, "pid": owner.pid}
    first = {"event": RESUMED, "epoch": owner.epoch, **who, "read": read}
    for record in (first, *unput):
        journal.append(record)
    return journal, [*(record for records in found.values() for record in records), first, *unput]


def put_history(store: Store, owner: Owner, records: Iterable[Mapping[str, Any]]) -> None:
    """Claim the first epoch of a new run for the records of another one, all at once.

    Raises:
        RequestInvalid: another run began here meanwhile.
    """
    claim(store, owner)
    key = segment_key(owner.epoch, 1) if is_far(store) else file_key(owner.epoch)
    store.put(key, b"".join(canonical_json(record) + b"\n" for record in records))


def copy_path(work_folder: Path, store: Store, epoch: int) -> Path:
    """Where the records of an epoch are kept on this machine while the store is far; no two stores share a place."""
    place = hashlib.sha256(store.address().encode()).hexdigest()[:12]
    return work_folder / JOURNAL_FOLDER / place / f"{epoch:06d}.jsonl"


def _unput(store: Store, found: Mapping[int, Records], epoch: int, work_folder: Path) -> Records:
    """What the driver before this one recorded on this machine, but could not put before it died."""
    for earlier in range(epoch - 1, 0, -1):
        put = found.get(earlier, [])
        kept: Records = []
        with suppress(NotFound):
            kept = read_journal(copy_path(work_folder, store, earlier))
        if put or kept:
            return kept[len(put) :] if kept[: len(put)] == put else []
    return []
