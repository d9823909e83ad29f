"""Who touches a file: openings and reads by any process of this machine, counted by the kernel (inotify)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_ACCESS: Final = 0x1
_OPEN: Final = 0x20
_HEADER: Final = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class FileWatch:
    """Counts what happens to one file in its folder, from now on."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._events = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if _libc.inotify_add_watch(self._events, os.fsencode(path.parent), _ACCESS | _OPEN) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path.parent))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._events)

    def count(self) -> Counter[str]:
        """How often the file was opened and read since the last call, by `open` and `access`; reads may be merged."""
        found: Counter[str] = Counter()
        while True:
            try:
                content = os.read(self._events, 65_536)
            except BlockingIOError:
                return found
            while content:
                _, mask, _, length = _HEADER.unpack_from(content)
                name = content[_HEADER.size : _HEADER.size + length].rstrip(b"\0")
                content = content[_HEADER.size + length :]
                if os.fsdecode(name) == self._name:
                    found["open"] += bool(mask & _OPEN)
                    found["access"] += bool(mask & _ACCESS)
