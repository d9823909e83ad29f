"""Binned rows on disk are gone with the process that wrote them, killed or not."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from raysweep.training.bins_folder import bins_folder

HOLDS = """
import time
from raysweep.training.bins_folder import bins_folder
with bins_folder() as folder:
    (folder / "0.npy").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_what_a_killed_process_has_left_is_deleted_by_the_next_and_what_is_in_use_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with bins_folder() as first:
            assert (theirs / "0.npy").exists()
            other.send_signal(signal.SIGKILL)
            other.wait()
            with bins_folder() as second:
                assert not theirs.exists()
                assert first.is_dir()
                assert second.is_dir()
    assert not first.exists()
    assert not second.exists()
