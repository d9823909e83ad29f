"""What no bundle holds, and a listing of files does not show: links, pipes, devices, names of unfinished files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.storage.store import S3_SCHEME, TEMPORARY_PREFIX, Store


def strange_entries(store: Store) -> Iterator[tuple[str, str]]:
    """The path of each such entry of a bundle in a folder, and what it is; the journal is not looked at."""
    address = store.address()
    if address.startswith(S3_SCHEME):
        return
    root = Path(address)
    yield from _below(root, root)


def _below(folder: Path, root: Path) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda one: one.name)
    for entry in found:
        path = Path(entry.path)
        name = path.relative_to(root).as_posix()
        if f"{name}/" == JOURNAL_FOLDER:
            continue
        problem = _problem(entry)
        if problem:
            yield name, problem
        elif entry.is_dir(follow_symlinks=False):
            yield from _below(path, root)


def _problem(entry: os.DirEntry[str]) -> str:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return "is a symbolic link: a bundle holds none"
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return "is neither a file nor a folder: a bundle holds nothing else"
    if entry.name.startswith(TEMPORARY_PREFIX):
        return "is a file that was never finished: it was added later"
    return ""
