"""Ctrl-C, twice, and a driver that is killed: what is left is whole, or cannot be taken for it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import raysweep
from builders import clean_table
from raysweep.storage.epochs import file_key, owner_key
from raysweep.storage.journal import read_journal
from sweep_builders import quick_space, sweep_keys

RUN = "long"
WAIT_SECONDS = 120
JOURNAL_FILE, OWNER_FILE = file_key(1), owner_key(1)


@dataclass
class Running:
    """A sweep that would take for ever, in a process group of its own as in a terminal."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "runs" / RUN

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_so():
            assert self.process.poll() is None, self.err
            assert time.monotonic() < deadline, self.err
            time.sleep(0.1)

    def wait_for_trials(self, count: int = 2) -> None:
        journal = self.bundle / JOURNAL_FILE
        self.wait_until(lambda: journal.is_file() and journal.read_bytes().count(b'"event":"ended"') >= count)

    def press_ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def long_sweep(folder: Path) -> Iterator[Running]:
    clean_table(400, 2).to_csv(folder / "table.csv", index=False)
    keys = sweep_keys(
        "runs",
        source=folder / "table.csv",
        search={"trials": 1_000_000, "space": quick_space(["xgboost"]), "scheduler": "asha", "concurrency": 1},
        split={"folds": 1},
        export={"top": 1},
    )
    (folder / "sweep.yaml").write_text(yaml.safe_dump(keys))
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "raysweep", "run", "sweep.yaml", "--run", RUN],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            env={**os.environ, "RAYSWEEP_HOME": str(folder / "home")},
        )
        try:
            yield Running(process, folder)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def check_journal_is_shown(run: Running, command) -> None:
    records = read_journal(run.bundle / JOURNAL_FILE)
    ended = {one["candidate"] for one in records if one["event"] == "ended"}
    assert len(ended) >= 2  # one that ran when the search was stopped has ended too, perhaps before its first rung
    ran = command("show", run.bundle)
    assert ran.code == 0
    assert "not finished" in ran.out
    document = json.loads(command("show", run.bundle, "--json").out)
    assert document["finished"] is False
    assert {one["trial"] for one in document["trials"]} >= ended
    whole = {one["candidate"] for one in records if one["event"] == "ended" and one["state"] != "stopped"}
    assert all(one["score"] is not None for one in document["trials"] if one["trial"] in whole)


def test_ctrl_c_finishes_with_what_there_is(tmp_path: Path):
    with long_sweep(tmp_path) as run:
        run.wait_for_trials()
        run.press_ctrl_c()
        assert run.end() in {0, 7}, run.err
        assert "finishing with what there is" in run.err
        assert "interrupted by the user" in run.err
        assert "Traceback" not in run.err
        assert "verdict" in run.out
        assert raysweep.verify(run.bundle).ok
        manifest = json.loads((run.bundle / "manifest.json").read_text())
        assert manifest["search"]["stopped_by"] == "interrupted by the user"
        assert files_below(run.home) == []


def test_ctrl_c_twice_stops_now(tmp_path: Path, command):
    with long_sweep(tmp_path) as run:
        run.wait_for_trials()
        run.press_ctrl_c()
        run.wait_until(lambda: "Ctrl-C again" in run.err)
        run.press_ctrl_c()
        assert run.end() == 130, run.err
        assert f"raysweep: stopped by the user; `raysweep resume {run.bundle}` goes on with the run" in run.err
        assert "Traceback" not in run.err
        assert files_below(run.bundle) == [JOURNAL_FILE, OWNER_FILE]
        assert files_below(run.home) == []
        check_journal_is_shown(run, command)


def test_ctrl_c_before_the_search_stops_at_once(tmp_path: Path):
    with long_sweep(tmp_path) as run:
        run.wait_until(lambda: "logs are in" in run.err)
        run.press_ctrl_c()
        assert run.end() == 130, run.err
        assert "Traceback" not in run.err
        assert not run.bundle.exists()
        assert files_below(run.home) == []


def test_a_killed_driver_leaves_its_journal_and_is_gone_on_with(
    tmp_path: Path, command, monkeypatch: pytest.MonkeyPatch
):
    with long_sweep(tmp_path) as run:
        run.wait_for_trials()
        run.process.kill()
        assert run.end() == -signal.SIGKILL
    monkeypatch.chdir(tmp_path)
    check_nothing_looks_whole(run, command)
    monkeypatch.setenv("RAYSWEEP_HOME", str(run.home))
    again = command("run", "sweep.yaml", "--run", RUN, "--set", "search.trials=3")
    assert again.code == 2
    assert f"`raysweep resume {run.bundle}`" in again.err
    before = read_journal(run.bundle / JOURNAL_FILE)
    proposed = sum(one["event"] == "proposed" for one in before)
    ended = {one["candidate"] for one in before if one["event"] == "ended"}
    ran = command("resume", RUN, "--set", f"search.trials={proposed + 1}", "--json")
    assert ran.code in {0, 7}, ran.err
    document = json.loads(ran.out)
    assert document["run_id"] == RUN
    assert document["search"]["trials"] == proposed + 1
    after = read_journal(run.bundle / file_key(2))
    assert after[0]["event"] == "resumed"
    assert after[0]["read"] == {"1": len(before)}
    assert ended.isdisjoint(one["candidate"] for one in after if one["event"] == "started")
    assert raysweep.verify(run.bundle).ok
    assert files_below(run.home) == []
    assert command("run", "sweep.yaml", "--run", RUN).code == 2


def check_nothing_looks_whole(run: Running, command) -> None:
    assert files_below(run.bundle) == [JOURNAL_FILE, OWNER_FILE]
    check_journal_is_shown(run, command)
    assert command("verify", run.bundle).code == 2
    assert stat.S_IMODE((run.home / "runs" / RUN).stat().st_mode) == 0o700


def test_the_older_of_two_drivers_is_fenced_off_and_says_so(tmp_path: Path, command, monkeypatch: pytest.MonkeyPatch):
    with long_sweep(tmp_path) as run:
        run.wait_for_trials()
        monkeypatch.setenv("RAYSWEEP_HOME", str(run.home))
        monkeypatch.chdir(tmp_path)
        ran = command("resume", RUN, "--set", "search.trials=3", "--json")
        assert ran.code in {0, 7}, ran.err
        assert run.end() == 6, run.err
    assert f"was taken over by process {os.getpid()} on " in run.err
    assert "raysweep show" in run.err
    assert "Traceback" not in run.err
    assert raysweep.verify(run.bundle).ok
    assert json.loads(ran.out)["run_id"] == RUN
    assert files_below(run.home) == []
