"""The journal of a run: one epoch for each driver that worked on it, beside the bundle, and which records count.

    journal/owner-000001.json            claims epoch 1
    journal/000001.jsonl                 its records, in a folder: appended one by one
    journal/000001-000001.jsonl, ...     its records, in any other store: numbered segments

A driver that goes on with a run claims the next epoch, reads the earlier ones, and writes first how many records it
read of each: what an old driver that is still alive adds after that does not count. What it begins with is written
whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from raysweep.documents import canonical_json
from raysweep.errors import StorageFailed
from raysweep.records.journal_order import RESUMED
from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.storage.copies import copy_path, find_unput, forget_copies
from raysweep.storage.epoch_records import Records, read_epochs
from raysweep.storage.epochs import Owner, check_owned, claim, file_key, is_far, owner_key, segment_key, taken_over
from raysweep.storage.journal import Journal
from raysweep.storage.kept_states import KeptStates
from raysweep.storage.local import write_whole
from raysweep.storage.retry import hasty
from raysweep.storage.segments import Pace, SegmentWriter
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
        opening: the records that it begins with.
        say: gets a sentence when the store stops answering, and when it answers again.
        pace: how fast records are put into a far store.
    """

    def __init__(
        self,
        store: Store,
        owner: Owner,
        copy: Path,
        opening: Iterable[Mapping[str, Any]] = (),
        *,
        say: Callable[[str], None] = lambda _: None,
        pace: Pace | None = None,
    ) -> None:
        self._store, self._owner, self._say = store, owner, say
        self._copy = copy if is_far(store) else None
        self._writer: SegmentWriter | None = None
        self._said_trouble = self._is_closed = False
        path = self._copy or Path(store.address(file_key(owner.epoch)))
        lines = b"".join(_line(record) for record in opening)
        with write_whole(path) as file:
            file.write(lines)
        self._file = Journal(path)
        if self._copy is None:
            return

        near = hasty(store)  # its writer tries again by itself, and says so

        def name(number: int) -> str:
            return segment_key(owner.epoch, number)

        self._writer = SegmentWriter(near, name, lambda: check_owned(near, owner), pace)
        if lines:
            self._writer.add(lines)

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
        self._writer.add(_line(record))
        self._tell_trouble(self._writer.trouble)

    def check_ours(self) -> None:
        """Return if the run is this driver's.

        Raises:
            RunTakenOver: another driver owns it by now.
            StorageFailed: the store does not answer.
        """
        if self._writer is None:
            if os.path.lexists(self._store.address(owner_key(self._owner.epoch + 1))):
                raise taken_over(self._store, self._owner.epoch + 1)
        else:
            check_owned(self._store, self._owner)

    def kept_states(self) -> KeptStates:
        """The room beside the journal for what long trials have come to."""
        return KeptStates(self._store, self._owner.epoch, self.check_ours, self._say)

    def flush(self) -> None:
        """Make every record durable before this returns.

        Raises:
            StorageFailed: the store does not take them now; they are kept here, and tried again.
            RunTakenOver: another driver owns the run by now.
        """
        if self._writer is not None:
            self._writer.flush()

    def close(self, seconds: float | None = None) -> None:
        """Put what is left and end; where all is put, the copies go. A second time does nothing.

        Raises:
            StorageFailed: something could not be put; the copy stays, and a resume on this machine finds it.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._writer is not None:
                self._writer.close(seconds)
        finally:
            self._file.close()
        if self._copy is not None:
            forget_copies(self._copy, self._owner.epoch)

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
    opening: Iterable[Mapping[str, Any]] = (),
    *,
    say: Callable[[str], None] = lambda _: None,
    pace: Pace | None = None,
) -> tuple[RunJournal, Records]:
    """Claim an epoch, and open its journal.

    Args:
        store: the run's place.
        owner: this driver, and the epoch that it claims.
        work_folder: the run's private folder on this machine.
        opening: the first records of a run that has none yet.
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
    copy = copy_path(work_folder, store, owner)
    unput = find_unput(store, found, copy, owner) if is_far(store) else []
    new = [{**_resumed(owner, found), "unput": len(unput)}, *unput] if owner.epoch > 1 else []
    if not unput and not any(found.values()):
        new += [dict(record) for record in opening]
    journal = RunJournal(store, owner, copy, new, say=say, pace=pace)
    return journal, [*(record for records in found.values() for record in records), *new]


def _resumed(owner: Owner, found: Mapping[int, Records]) -> dict[str, Any]:
    read = {str(epoch): len(records) for epoch, records in found.items()}
    who = {"claimed": owner.at, "host": owner.host, "pid": owner.pid}
    return {"event": RESUMED, "epoch": owner.epoch, **who, "read": read}


def _line(record: Mapping[str, Any]) -> bytes:
    return canonical_json(record) + b"\n"
