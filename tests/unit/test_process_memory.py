"""Memory that a process holds without a reason; each in one of its own, since other tests give memory back."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux only")

BEGIN = """
import numpy as np
from raysweep.training.process_memory import LeakWatch
MIB = 1024**2
watch, left = LeakWatch(48 * MIB), []
block = lambda: np.ones(64 * MIB, dtype=np.uint8)
def leaked(kept=1):
    print(round(watch.leaked_bytes(kept) / MIB / 64))
leaked()
"""


def blocks_leaked(code: str) -> list[int]:
    """How many blocks of memory were found to be leaked, look by look; the first one is the beginning."""
    ran = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=True)
    return [int(line) for line in ran.stdout.split()]


def test_what_stays_without_a_reason_has_leaked_and_adds_up():
    code = "left.append(block()); leaked(); left.append(block()); leaked(); left.clear(); leaked()"
    assert blocks_leaked(code) == [0, 1, 2, 0]


def test_what_is_kept_on_purpose_has_not():
    assert blocks_leaked("left.append(block()); leaked(kept=2); leaked(kept=2)") == [0, 0, 0]


def test_what_only_waits_to_be_collected_has_not():
    assert blocks_leaked("circle = [block()]; circle.append(circle); del circle; leaked()") == [0, 0]
