"""Memory that a process holds without a reason."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from raysweep.training.process_memory import LeakWatch

MIB = 1024**2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux only")


def block(size=64):
    return np.ones(size * MIB, dtype=np.uint8)


def test_what_stays_without_a_reason_has_leaked():
    watch, left = LeakWatch(48 * MIB), []
    assert watch.leaked_bytes(kept=1) == 0
    left.append(block())
    assert 48 * MIB < watch.leaked_bytes(kept=1) < 80 * MIB
    left.append(block())
    assert watch.leaked_bytes(kept=1) > 112 * MIB, "it adds up"
    left.clear()
    assert watch.leaked_bytes(kept=1) == 0


def test_what_is_kept_on_purpose_has_not():
    watch, kept = LeakWatch(48 * MIB), []
    watch.leaked_bytes(kept=1)
    kept.append(block())
    assert watch.leaked_bytes(kept=2) == 0
    assert watch.leaked_bytes(kept=2) == 0
    assert len(kept) == 1


def test_what_only_waits_to_be_collected_has_not():
    watch = LeakWatch(48 * MIB)
    watch.leaked_bytes(kept=1)
    circle = [block()]
    circle.append(circle)
    del circle
    assert watch.leaked_bytes(kept=1) == 0
