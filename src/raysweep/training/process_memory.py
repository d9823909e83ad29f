"""How much memory a process takes and may take. Linux only; elsewhere nothing is measured and nothing limited."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_IS_LINUX: Final = sys.platform == "linux"
_STATUS: Final = Path("/proc/self/status")
_CLEAR_REFS: Final = Path("/proc/self/clear_refs")
_FORGET_PEAK: Final = "5"  # proc(5): resets the peak of the resident set
_CGROUP: Final = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """What this machine, or this container, still has to give; None where that is not known."""
    if not _IS_LINUX:
        return None
    free = _fields(Path("/proc/meminfo")).get("MemAvailable")
    room = _container_room()
    known = [amount for amount in (free, room) if amount is not None]
    return min(known, default=None)


class MemoryWatch:
    """The memory of this process from a moment on."""

    def __init__(self) -> None:
        if _IS_LINUX:
            with suppress(OSError):
                _CLEAR_REFS.write_text(_FORGET_PEAK)
        self._before = _fields(_STATUS).get("VmRSS", 0)

    def peak_bytes(self) -> int:
        """How much more the process had at its peak than at the beginning."""
        return max(0, _fields(_STATUS).get("VmHWM", 0) - self._before)


class LeakWatch:
    """Memory that this process holds without a reason: it grows from trial to trial though nothing more is kept.

    Args:
        enough: growth that is worth a look, in bytes; looking closely takes as long as a small fit.
    """

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._kept: int | None = None
        self._least = 0

    def leaked_bytes(self, kept: int) -> int:
        """How much has been added since as much was kept on purpose for the first time; 0 where it is not enough.

        Args:
            kept: how many things are kept on purpose; where that has changed, the memory starts to count anew.
        """
        held = _fields(_STATUS).get("RssAnon", 0)
        if kept != self._kept:
            self._kept, self._least = kept, held
        if held - self._least > self._enough:
            give_back()
            held = _fields(_STATUS).get("RssAnon", 0)
        self._least = min(self._least, held)
        leaked = held - self._least
        return leaked if leaked > self._enough else 0


def give_back() -> None:
    """Collect cycles, and give the machine what the allocator keeps for later."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library has none
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def limit_growth(allowed: int | None) -> None:
    """Let the process ask for so many bytes more than it has; beyond, an allocation fails. None: no limit."""
    if not _IS_LINUX:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = resource.RLIM_INFINITY if allowed is None else _fields(_STATUS).get("VmData", 0) + allowed
    if hard != resource.RLIM_INFINITY:
        wanted = hard if wanted == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _container_room() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text().strip()
    except OSError:
        return None
    if limit == "max":
        return None
    reclaimable = _fields(_CGROUP / "memory.stat", unit=1).get("inactive_file", 0)
    return max(0, int(limit) - int(used) + reclaimable)


def _fields(path: Path, unit: int = 1024) -> dict[str, int]:
    """The numbers of a file such as /proc/meminfo, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, *rest = line.replace(":", " ").split()
        if rest and rest[0].isdigit():
            found[name] = int(rest[0]) * unit
    return found
