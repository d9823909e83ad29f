"""Reading a run's journal: the records of each epoch that count."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from raysweep.errors import RaysweepError
from raysweep.records.journal_order import RESUMED
from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.storage.epochs import file_key
from raysweep.storage.journal import damaged, parse_lines
from raysweep.storage.store import Store

Records = list[dict[str, Any]]

_READERS: Final = 16
_KEY: Final = re.compile(rf"^{JOURNAL_FOLDER}(\d{{6,}})(?:-(\d{{6,}}))?\.jsonl$")


def holds_records(keys: Iterable[str]) -> bool:
    """Whether there are records of a run among these keys."""
    return any(_KEY.match(key) for key in keys)


def read_epochs(store: Store, *, before: int | None = None) -> dict[int, Records]:
    """The records that count, by epoch.

    The newest epoch that has any says in its first record how many count of each earlier one.

    Args:
        store: the run's place.
        before: leave out this epoch and later ones.

    Raises:
        RaysweepError: a line is damaged, or records that were read once are missing.
    """
    keys = _keys_by_epoch(store)
    found: dict[int, Records] = {}
    counts: Mapping[str, int] | None = None
    for epoch in sorted(keys, reverse=True):
        if before is not None and epoch >= before:
            continue
        found[epoch] = _read_epoch(store, keys[epoch], None if counts is None else counts.get(str(epoch), 0))
        if found[epoch] and counts is None:
            counts = _counts(found[epoch][0], store.address(keys[epoch][0]), epoch)
    for name, count in (counts or {}).items():
        if count and int(name) not in found:
            raise _missing(store.address(file_key(int(name))), count, 0)
    return dict(sorted(found.items()))


def _keys_by_epoch(store: Store) -> dict[int, list[str]]:
    """The keys of each epoch's records, in the order of their segments."""
    found: dict[int, dict[int, str]] = defaultdict(dict)
    for one in store.list(JOURNAL_FOLDER):
        if match := _KEY.match(one.key):
            found[int(match.group(1))][int(match.group(2) or 1)] = one.key
    for epoch, segments in found.items():
        absent = sorted(set(range(1, max(segments) + 1)) - set(segments))
        if absent:
            raise RaysweepError(
                f"{store.address(JOURNAL_FOLDER)}: segment {absent[0]} of epoch {epoch} is missing, but later ones are "
                "there: it was deleted. Restore it from a copy, or delete the later ones to go on from what is left"
            )
    return {epoch: [segments[number] for number in sorted(segments)] for epoch, segments in found.items()}


def _read_epoch(store: Store, keys: list[str], count: int | None) -> Records:
    """The records under these keys; the first `count` where that is said, else all but a torn last line."""
    if count == 0:
        return []
    records: Records = []
    with ThreadPoolExecutor(_READERS) as pool:
        contents = list(pool.map(store.get, keys))
    for key, content in zip(keys, contents, strict=True):
        *lines, rest = content.split(b"\n")
        wanted = lines if count is None else lines[: count - len(records)]
        records += parse_lines(wanted, store.address(key))
        if count is not None and len(records) == count:
            return records
        if rest and key != keys[-1]:
            raise damaged(store.address(key), len(lines) + 1)
    if count is not None:
        raise _missing(store.address(keys[-1]), count, len(records))
    return records


def _counts(first: Mapping[str, Any], place: str, epoch: int) -> Mapping[str, int]:
    """How many records count of each earlier epoch, by the first record of this one."""
    if epoch == 1:
        return {}
    read = first.get("read")
    if first.get("event") != RESUMED or not isinstance(read, Mapping):
        raise damaged(place, 1)
    return {str(name): int(count) for name, count in read.items()}


def _missing(place: str, count: int, found: int) -> RaysweepError:
    return RaysweepError(
        f"{place} held {count} records when the run was gone on with, but holds {found} now: it was cut or deleted. "
        "Restore it from a copy"
    )
