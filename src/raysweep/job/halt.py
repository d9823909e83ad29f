"""Stops the driver of a job at once: `python -m raysweep.job.halt PID`, on its node.

Ray passes one signal on to a job, by which a driver finishes with what there is. By SIGQUIT it stops, and clears up
after itself; it is killed only where it does not.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 30.0


def halt(pid: int) -> bool:
    """Let the process stop, and kill it with its whole group where it stays.

    Returns:
        Whether it was raysweep's driver, and is gone.
    """
    if not _is_driver(pid):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGQUIT)
    if not _is_gone_within(pid, PATIENCE_SECONDS):
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), signal.SIGKILL)  # Ray gives each job a group of its own
    return _is_gone_within(pid, PATIENCE_SECONDS)


def _is_driver(pid: int) -> bool:
    """Whether the process still is what it was: its number may belong to another one by now."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"raysweep" in words or b"raysweep.job.driver" in words


def _is_gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _is_driver(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


if __name__ == "__main__":
    sys.exit(0 if halt(int(sys.argv[1])) else 1)
