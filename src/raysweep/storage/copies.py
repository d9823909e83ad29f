"""Copies on this machine of records on their way to a far store: what could not be put before a driver died."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from raysweep.errors import NotFound
from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.storage.epoch_records import Records
from raysweep.storage.epochs import Owner, read_owner
from raysweep.storage.journal import read_journal
from raysweep.storage.store import Store


def copy_path(work_folder: Path, store: Store, owner: Owner) -> Path:
    """Where an owner's records are kept; no two stores, nor two claims of one epoch, share a place."""
    place = hashlib.sha256(store.address().encode()).hexdigest()[:12]
    return work_folder / JOURNAL_FOLDER / place / f"{owner.epoch:06d}-{owner.nonce}.jsonl"


def find_unput(store: Store, found: Mapping[int, Records], copy: Path, owner: Owner) -> Records:
    """What the driver before this one recorded on this machine, but could not put before it died.

    Args:
        store: the run's place.
        found: what stands there, by epoch.
        copy: where this owner's own copy goes. Drivers on one run at a time work in folders beside each other.
        owner: this driver.
    """
    for epoch in range(owner.epoch - 1, 0, -1):
        put, earlier = found.get(epoch, []), read_owner(store, epoch)
        kept = [] if earlier is None else _read_first(_beside(copy, copy_path(Path(), store, earlier).name))
        if put or kept:
            return kept[len(put) :] if kept[: len(put)] == put else []
    return []


def forget_copies(copy: Path, epoch: int) -> None:
    """Delete the copies of this epoch and of those before it, once all that is in them is in the store."""
    for path in _beside(copy, "*.jsonl"):
        if path.name[:6] <= f"{epoch:06d}":
            path.unlink(missing_ok=True)
        with suppress(OSError):  # another driver's copy is in it
            path.parent.rmdir()


def _beside(copy: Path, name: str) -> list[Path]:
    """The copies of that name for the same store in all folders of runs."""
    place, journal, run = copy.parents[:3]
    return sorted(run.parent.glob(f"*/{journal.name}/{place.name}/{name}"))


def _read_first(paths: Iterable[Path]) -> Records:
    for path in paths:
        with suppress(NotFound):
            return read_journal(path)
    return []
