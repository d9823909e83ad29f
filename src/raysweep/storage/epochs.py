"""Whose run it is: each driver claims the next epoch of the run's journal, and thereby fences off the one before."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from raysweep.documents import canonical_json
from raysweep.errors import NotFound, RequestInvalid, RunTakenOver
from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.storage.store import Store

_OWNER: Final = re.compile(rf"^{JOURNAL_FOLDER}owner-(\d{{6,}})\.json$")


@dataclass(frozen=True, slots=True)
class Owner:
    """The driver that an epoch belongs to.

    Attributes:
        at: when it claimed the epoch, in UTC.
        nonce: tells two claims of one epoch apart, where a store lets the later one replace the earlier.
    """

    run_id: str
    epoch: int
    host: str
    pid: int
    at: str
    nonce: str = ""

    @property
    def claimed(self) -> float:
        """`at` in seconds since the epoch of clocks; 0 where it cannot be read."""
        try:
            return datetime.fromisoformat(self.at).timestamp()
        except ValueError:
            return 0.0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} at {self.at}"


def this_driver(run_id: str, epoch: int) -> Owner:
    """This process as the owner of an epoch."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Owner(run_id, epoch, os.uname().nodename, os.getpid(), now, secrets.token_hex(8))


def owner_key(epoch: int) -> str:
    """Where the claim of an epoch stands; the first epoch is 1."""
    return f"{JOURNAL_FOLDER}owner-{epoch:06d}.json"


def file_key(epoch: int) -> str:
    """Where the records of an epoch stand in a folder."""
    return f"{JOURNAL_FOLDER}{epoch:06d}.jsonl"


def segment_key(epoch: int, number: int) -> str:
    """Where the segment `number`, from 1, of an epoch's records stands in a store that is no folder."""
    return f"{JOURNAL_FOLDER}{epoch:06d}-{number:06d}.jsonl"


def is_far(store: Store) -> bool:
    """Whether the store is no folder, so that nothing can be appended to what it holds."""
    return "://" in store.address()


def last_epoch(store: Store) -> int:
    """The number of the newest epoch that was claimed; 0 for none."""
    found = (_OWNER.match(one.key) for one in store.list(f"{JOURNAL_FOLDER}owner-"))
    return max((int(match.group(1)) for match in found if match), default=0)


def claim(store: Store, owner: Owner) -> None:
    """Take the epoch `owner.epoch`.

    Some S3-compatible servers ignore the condition of a put: what stands there is looked at before and after.

    Raises:
        RequestInvalid: it is the first one, and another run began here meanwhile.
        RunTakenOver: another driver went on with the run meanwhile.
    """
    key, content = owner_key(owner.epoch), canonical_json(asdict(owner))
    if not store.exists(key) and store.put_if_absent(key, content) and store.get(key) == content:
        return
    if owner.epoch > 1:
        raise taken_over(store, owner.epoch)
    raise RequestInvalid(
        f"{store.address()} belongs to another run, which began a moment ago ({_named(store, 1)}): choose another run "
        f"id (--run). `raysweep show {store.address()}` shows its trials"
    )


def check_owned(store: Store, owner: Owner) -> None:
    """Return if the run is this owner's.

    Raises:
        RunTakenOver: the next epoch has been claimed, or this one by somebody who came later.
    """
    if store.exists(owner_key(owner.epoch + 1)):
        raise taken_over(store, owner.epoch + 1)
    if read_owner(store, owner.epoch) not in {owner, None}:
        raise taken_over(store, owner.epoch)


def taken_over(store: Store, epoch: int) -> RunTakenOver:
    """The error for the driver that `epoch` has been claimed away from."""
    return RunTakenOver(
        f"{store.address()} was taken over by {_named(store, epoch)}, which goes on with all trials recorded so far; "
        "this driver has stopped and publishes nothing. Nothing has to be done: "
        f"`raysweep show {store.address()}` shows how far the other is. To have one driver only, start one only"
    )


def read_owner(store: Store, epoch: int) -> Owner | None:
    """The driver that has claimed this epoch; None where none has, or it cannot be read."""
    try:
        return Owner(**json.loads(store.get(owner_key(epoch))))
    except (NotFound, ValueError, TypeError):
        return None


def _named(store: Store, epoch: int) -> str:
    return str(read_owner(store, epoch) or "a driver that cannot be named")
