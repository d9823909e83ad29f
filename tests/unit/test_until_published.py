"""`raysweep run --until-published`, carried out again where the run is published, or is another one. No Ray starts."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from raysweep.cli import run as run_command
from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.main import main
from raysweep.config import S3Config, load_config
from raysweep.errors import Interrupted, RayUnavailable
from raysweep.events import Stage, StageStarted
from raysweep.history import sweep_record
from raysweep.storage.epochs import this_driver
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import begin_epoch

RUN = "nightly"
MANIFEST = Path(__file__).parents[1] / "compat" / "v2" / "bundle" / "manifest.json"


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sweep.yaml"
    path.write_text(
        yaml.safe_dump({"version": 1, "data": {"source": "a.csv", "target": "y"}, "export": {"to": "runs/"}})
    )
    return path


@pytest.fixture
def started(monkeypatch):
    """The runs that came as far as a sweep; each ends as if Ray were lost."""
    runs = []

    def carry_out_sweep(sweep, overrides, run_id, *, as_events, goes_on_elsewhere):
        runs.append(run_id)
        raise RayUnavailable("the cluster is gone")

    monkeypatch.setattr(run_command, "carry_out_sweep", carry_out_sweep)
    return runs


def publish(sweep, outcome, *, has_journal=True):
    store = open_store("runs/", S3Config()).child(RUN)
    if has_journal:
        journal, _ = begin_epoch(store, this_driver(RUN, 1), sweep.parent / "work")
        with journal:
            journal.append(sweep_record(RUN, load_config(sweep)))
    manifest = json.loads(MANIFEST.read_bytes()) | {"run_id": RUN, "outcome": outcome}
    store.put("manifest.json", json.dumps(manifest).encode())


def raysweep(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(one) for one in arguments])
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("done", 0), ("data unsuitable", 3), ("no trial finished", 4)],
)
@pytest.mark.parametrize("has_journal", [True, False])
def test_a_published_run_answers_at_once_with_what_came_of_it(sweep, started, capsys, outcome, code, has_journal):
    publish(sweep, outcome, has_journal=has_journal)
    assert raysweep("run", sweep, "--run", RUN, "--until-published", "--json") == code
    assert json.loads(capsys.readouterr().out)["manifest"]["outcome"] == outcome
    assert started == []


def test_without_it_a_published_run_is_refused_as_before(sweep, started):
    publish(sweep, "done")
    assert raysweep("run", sweep, "--run", RUN) == RayUnavailable.exit_code  # it goes on to the sweep, which refuses
    assert started == [RUN]


def test_another_sweep_under_the_id_of_a_published_run_is_refused(sweep, started, capsys):
    publish(sweep, "done")
    assert raysweep("run", sweep, "--run", RUN, "--until-published", "--set", "split.seed=7") == 2
    assert "split.seed was 0, is 7" in capsys.readouterr().err
    assert started == []


def test_a_run_that_is_not_published_is_carried_out_and_its_failure_stays_one(sweep, started):
    assert raysweep("run", sweep, "--run", RUN, "--until-published") == RayUnavailable.exit_code
    assert started == [RUN]


def test_an_inadequate_model_that_is_published_is_no_failure_to_be_tried_again(sweep, monkeypatch):
    answer = run_command.Answer({}, lambda: None, 7)
    monkeypatch.setattr(run_command, "carry_out_sweep", lambda *_, **__: None)
    monkeypatch.setattr(run_command, "sweep_answer", lambda _: answer)
    assert raysweep("run", sweep, "--run", RUN, "--until-published") == 0
    assert raysweep("run", sweep, "--run", RUN) == 7


def test_it_wants_the_name_of_the_run(sweep, started, capsys):
    assert raysweep("run", sweep, "--until-published") == 2
    assert "--run" in capsys.readouterr().err
    assert started == []


def signalled(number, *, only_ctrl_c_finishes):
    """Whether a search that gets the signal is asked to finish with what there is; Interrupted where it is to stop."""
    with catching_interrupts(lambda _: None, only_ctrl_c_finishes=only_ctrl_c_finishes) as interrupts:
        interrupts(StageStarted(Stage.SEARCH))
        os.kill(os.getpid(), number)
        return interrupts.asked()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_node_that_is_taken_away_does_not_cut_the_search_short(number):
    assert signalled(number, only_ctrl_c_finishes=False)
    with pytest.raises(Interrupted):
        signalled(number, only_ctrl_c_finishes=True)


def test_the_user_can_still_ask_it_to_finish():
    assert signalled(signal.SIGINT, only_ctrl_c_finishes=True)
