"""A driver that is killed while it appends: no record that it was told is durable is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysweep.storage.local import LocalStore
from raysweep.storage.run_journal import read_run_journal

APPEND = """
import sys
from pathlib import Path
from raysweep.storage.epochs import this_driver
from raysweep.storage.local import LocalStore
from raysweep.storage.run_journal import begin_epoch

store = LocalStore(Path(sys.argv[1]))
journal, earlier = begin_epoch(store, this_driver("run", int(sys.argv[2])), Path(sys.argv[1]) / "work")
number = sum("trial" in record for record in earlier)
while True:
    journal.append({"trial": number, "filling": "x" * 500})
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_no_acknowledged_record_is_lost(tmp_path: Path, seed: int):
    store = LocalStore(tmp_path / "run")
    pauses = random.Random(seed)
    last = -1
    for epoch in range(1, 5):
        command = [sys.executable, "-c", APPEND, str(tmp_path / "run"), str(epoch)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pauses.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split("\n")[:-1]
        process.wait()
        process.stdout.close()
        last = int(told[-1]) if told else last
        numbers = [one["trial"] for one in read_run_journal(store) if "trial" in one]
        assert numbers == list(range(len(numbers)))
        assert numbers[-1] >= last
