"""The commands around a sweep, as a shell and a terminal see them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from builders import clean_table
from raysweep.cli.main import main
from sweep_builders import quick_space, sweep_keys

RUN = "named-run"
TRIALS = 3
DEADLINE_SECONDS = 150


@dataclass(frozen=True)
class Swept:
    folder: Path
    process: subprocess.CompletedProcess[str]

    @property
    def bundle(self) -> Path:
        return self.folder / "runs" / RUN


def write_sweep(folder: Path) -> Path:
    clean_table(400, 6).to_csv(folder / "table.csv", index=False)
    keys = sweep_keys(
        "runs",
        source="table.csv",
        search={"trials": 50, "space": quick_space(["xgboost"]), "concurrency": 1},
        split={"folds": 1},
    )
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(keys))
    return path


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, raysweep_home: Path, ray_session: None) -> Swept:
    """In this process: the terminal below has one of its own."""
    folder, out, err = tmp_path_factory.mktemp("cli"), io.StringIO(), io.StringIO()
    arguments = ["run", str(write_sweep(folder)), "--set", f"search.trials={TRIALS}", "--run", RUN, "--json"]
    arguments += ["--events", "jsonl"]
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(arguments)
    done = subprocess.CompletedProcess(arguments, int(left.value.code or 0), out.getvalue(), err.getvalue())
    return Swept(folder, done)


def test_run_prints_one_json_document(swept: Swept):
    document = json.loads(swept.process.stdout)
    assert swept.process.returncode == (0 if document["verdict"].startswith("adequate") else 7)
    assert document["run_id"] == RUN
    assert document["search"]["trials"] == TRIALS
    assert Path(document["bundle_url"]).name == RUN


def test_run_writes_events_as_lines(swept: Swept):
    events = [json.loads(line) for line in swept.process.stderr.splitlines()]
    kinds = [one["event"] for one in events]
    assert [one["stage"] for one in events if one["event"] == "StageFinished"] == [
        "source", "profile", "validate", "split", "search", "confirm", "export",
    ]  # fmt: skip
    assert kinds.count("TrialEnded") == TRIALS
    assert {"DataChecked", "SearchPlanned", "TrialStarted", "RungReached"} <= set(kinds)


def test_the_override_is_in_the_bundle(swept: Swept):
    resolved = yaml.safe_load((swept.bundle / "config/sweep.yaml").read_text())
    assert resolved["search"]["trials"] == TRIALS
    assert resolved["search"]["space"] == "space.yaml"


def test_the_published_sweep_file_can_be_run_again(swept: Swept, command):
    ran = command("check", swept.bundle / "config/sweep.yaml")
    assert ran.code == 0, ran.err


def test_show_prints_what_there_is(swept: Swept, command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(swept.folder)
    ran = command("show", RUN)
    assert ran.code == 0
    assert "roc_auc on testing" in ran.out
    assert json.loads(swept.process.stdout)["verdict"] in ran.out
    assert f"{TRIALS} trials" in ran.out
    document = json.loads(command("show", RUN, "--json").out)
    assert document["finished"] is True
    assert len(document["trials"]) == TRIALS


def test_verify_passes(swept: Swept, command):
    ran = command("verify", swept.bundle)
    assert ran.code == 0
    assert json.loads(command("verify", swept.bundle, "--json").out)["ok"] is True


def test_a_run_id_is_used_once(swept: Swept, command, monkeypatch: pytest.MonkeyPatch, ray_session: None):
    monkeypatch.chdir(swept.folder)
    before = (swept.bundle / "manifest.json").read_bytes()
    ran = command("run", "sweep.yaml", "--run", RUN)
    assert ran.code == 2
    assert "published already" in ran.err
    assert (swept.bundle / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("run_id", ["../up", "a/b", "x" * 200, "ümlaut"])
def test_a_run_id_that_is_no_folder_name_is_refused(run_id: str, swept: Swept, command, ray_session: None):
    ran = command("run", swept.folder / "sweep.yaml", "--run", run_id, "--set", f"export.to={swept.folder}/other")
    assert ran.code == 2
    assert not (swept.folder / "other").exists()


def test_an_unknown_run_is_refused_with_a_suggestion(swept: Swept, command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(swept.folder)
    ran = command("show", "named-rum")
    assert ran.code == 2
    assert RUN in ran.err


def test_analyze_takes_a_bare_file(swept: Swept, command, ray_session: None):
    ran = command("analyze", swept.folder / "table.csv")
    assert ran.code == 0, ran.err
    assert "400 rows, 9 columns" in ran.out
    assert "skipped" in ran.out
    targeted = command("analyze", swept.folder / "table.csv", "--target", "target", "--json")
    assert targeted.code == 0
    document = json.loads(targeted.out)
    assert document["rows"] == 400
    assert document["folder"] == "analysis/table"
    assert "share of target" in Path("analysis/table/analysis.html").read_text(encoding="utf-8")


def test_analyze_refuses_unsuitable_data_with_3(tmp_path: Path, command, ray_session: None):
    clean_table(200, 0).assign(target=1).to_csv(tmp_path / "constant.csv", index=False)
    ran = command("analyze", tmp_path / "constant.csv", "--target", "target")
    assert ran.code == 3
    assert "unsuitable" in ran.out
    absent = command("analyze", tmp_path / "constant.csv", "--target", "targte")
    assert absent.code == 3
    assert "target" in absent.out


def run_in_terminal(arguments: list[str], folder: Path) -> tuple[int, str]:
    """The exit code and everything that a terminal of 100 columns was sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "raysweep", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        close_fds=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(theirs)
    sent, deadline = bytearray(), time.monotonic() + DEADLINE_SECONDS
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.5)
            try:
                chunk = os.read(ours, 65_536) if ready else b""
            except OSError:  # the other side is closed
                break
            sent += chunk
        return process.wait(20), sent.decode("utf-8", errors="replace")
    finally:
        if process.poll() is None:
            process.kill()
        os.close(ours)


def test_a_terminal_shows_the_search_and_the_verdict(tmp_path: Path):
    write_sweep(tmp_path)
    code, sent = run_in_terminal(["run", "sweep.yaml", "--set", "search.trials=12"], tmp_path)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)
    assert code in {0, 7}, plain
    assert "Traceback" not in plain
    assert "on testing" in plain
    assert re.search(r"\b[1-9]\d* of 12 done", plain)
    assert "cores busy" in plain
    assert "adequate" in plain or "inconclusive" in plain
    assert all(stage in plain for stage in ("source", "profile", "validate", "split", "search", "confirm", "export"))
