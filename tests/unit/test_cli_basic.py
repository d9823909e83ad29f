"""The commands that need no Ray: help, check, spaces, and what a command line that is wrong gets."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from check_builders import make_full_check
from raysweep.cli.main import main
from raysweep.cli.published import read_final_check, read_findings
from raysweep.cli.tables import findings_table, leaderboard_table, next_steps, output, verdict_panel
from raysweep.documents import plain_record
from raysweep.errors import BundleRefused
from raysweep.records.aims import Aims
from raysweep.report.leaderboard import leaderboard
from record_builders import HOSTILE, make_final_check, make_trial, make_view

COMMANDS = ("run", "demo", "show", "verify", "spaces", "analyze", "check")
GOOD = {"version": 1, "name": "small", "data": {"source": "a.csv", "target": "y"}}

AUC = Aims.named("roc_auc")
Capture = pytest.CaptureFixture[str]


def raysweep(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(one) for one in arguments])
    return int(left.value.code or 0)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example(command: str, capsys: Capture) -> None:
    assert raysweep(command, "--help") == 0

    shown = capsys.readouterr().out
    assert "Example" in shown
    assert f"  raysweep {command}" in shown


def test_help_lists_the_commands_and_the_exit_codes(capsys: Capture) -> None:
    assert raysweep("--help") == 0

    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in COMMANDS)
    assert "Exit codes" in shown


def test_the_version_is_printed(capsys: Capture) -> None:
    assert raysweep("--version") == 0
    assert capsys.readouterr().out.startswith("raysweep ")


def test_a_sweep_without_a_fault_passes(sweep: Path, capsys: Capture) -> None:
    assert raysweep("check", sweep, "--set", "search.trials=7") == 0
    assert "at most 7 trials" in capsys.readouterr().out


def test_check_gives_the_resolved_sweep_as_json(sweep: Path, capsys: Capture) -> None:
    assert raysweep("check", sweep, "--json") == 0
    assert json.loads(capsys.readouterr().out)["sweep"]["search"]["trials"] == 100


def test_all_problems_are_named_at_once(sweep: Path, capsys: Capture) -> None:
    sweep.write_text(yaml.safe_dump(GOOD | {"serch": {}, "search": {"trials": "many"}, "split": {"seed": -1}}))

    assert raysweep("check", sweep) == 2

    said = capsys.readouterr().err
    assert "did you mean 'search'" in said
    assert "search.trials" in said
    assert "split.seed" in said


def test_problems_are_in_the_json_document_too(sweep: Path, capsys: Capture) -> None:
    assert raysweep("check", sweep, "--json", "--set", "search.trials=0", "--set", "split.seed=-1") == 2

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "RequestInvalid"
    assert len(error["problems"]) == 2


def test_metrics_and_costs_are_checked_too(sweep: Path, capsys: Capture) -> None:
    assert raysweep("check", sweep, "--set", "search.metric=roc_acu") == 2
    assert "did you mean 'roc_auc'" in capsys.readouterr().err
    assert raysweep("check", sweep, "--set", "search.constraints.size_byte=9") == 2
    assert "did you mean 'size_bytes'" in capsys.readouterr().err


def test_a_sweep_without_a_target_is_refused(sweep: Path, capsys: Capture) -> None:
    sweep.write_text(yaml.safe_dump({"version": 1, "data": {"source": "a.csv"}}))

    assert raysweep("check", sweep) == 2
    assert "data.target" in capsys.readouterr().err


def test_a_file_that_is_not_there_gets_a_suggestion(sweep: Path, capsys: Capture) -> None:
    assert raysweep("check", sweep.with_name("swep.yaml")) == 2
    assert "did you mean 'sweep.yaml'" in capsys.readouterr().err


def test_the_shipped_spaces_are_listed(capsys: Capture) -> None:
    assert raysweep("spaces") == 0
    assert "auto" in capsys.readouterr().out
    assert raysweep("spaces", "--json") == 0
    assert {"auto", "linear", "xgboost"} <= {one["name"] for one in json.loads(capsys.readouterr().out)["spaces"]}


def test_a_space_is_printed_as_it_can_be_used(capsys: Capture) -> None:
    assert raysweep("spaces", "linear") == 0
    assert "logistic_regression" in yaml.safe_load(capsys.readouterr().out)["families"]


def test_an_unknown_space_gets_a_suggestion(capsys: Capture) -> None:
    assert raysweep("spaces", "lineer") == 2
    assert "did you mean 'linear'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("run",), ("runn", "a.yaml"), ("check", "a.yaml", "--wrong"), ()])
def test_a_command_line_that_is_wrong_exits_with_2(arguments: tuple[str, ...]) -> None:
    assert raysweep(*arguments) == 2


def test_a_command_line_that_is_wrong_answers_in_json_where_asked(capsys: Capture) -> None:
    assert raysweep("run", "--json") == 2

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["exit_code"] == 2
    assert "SWEEP" in error["message"]


def test_names_in_the_data_are_not_read_as_markup(capsys: Capture) -> None:
    output().print(findings_table(make_view(HOSTILE).check.findings))

    shown = capsys.readouterr().out
    assert all(name in shown for name in HOSTILE)


def test_the_verdict_shows_score_interval_and_part(capsys: Capture) -> None:
    output().print(verdict_panel(make_final_check()))

    shown = capsys.readouterr().out
    assert "roc_auc 0.81 [0.79, 0.83] on validation" in shown
    assert "dummy 0.5 on validation" in shown
    assert "0.82 on testing" in shown


def test_the_verdict_says_what_to_do_next_on_one_screen(capsys: Capture) -> None:
    output().print(verdict_panel(make_full_check()))

    shown = capsys.readouterr().out
    assert "97.5 % bootstrap interval, groups resampled" in shown
    assert "production: inconclusive: the gain's interval holds 0" in shown
    assert "why not: 0.0393 of roc_auc on validation is missing" in shown
    assert "1. too few rows: bring twice as many rows (expected gain 0.013 roc_auc, price: 12,000 rows more)" in shown
    assert "2. space too narrow: widen max_depth to 20" in shown
    assert "label noise" not in shown
    assert "more in report.html" in shown
    assert "evidence, beats the dummy, beats the default, generalises" in shown
    assert shown.index("✗ failed") < shown.index("! warning") < shown.index("✓ passed")
    assert len(shown.splitlines()) <= 24


def test_gates_that_passed_keep_their_reasons_where_nothing_is_missing(capsys: Capture) -> None:
    output().print(verdict_panel(make_full_check(why_not=None, production=None)))

    shown = capsys.readouterr().out
    assert "gain over the dummy 0.3107" in shown
    assert "report.html" not in shown


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_leaderboard_folds_no_name_on_a_narrow_terminal(width: int) -> None:
    trial = make_trial(0, 0.8123456, learning_rate=0.0312, min_child_weight=7.25, encoding="one_hot")
    long = replace(trial, candidate=replace(trial.candidate, family="logistic_regression"))
    console = Console(file=io.StringIO(), width=width)
    console.print(
        leaderboard_table(leaderboard([long], AUC), AUC, "training+testing, cross-validated in 5 folds", width)
    )
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    (line,) = (line for line in lines if "logistic_regression" in line)
    assert "0.812346" in line
    assert ("…" in line) == (width < 110)
    assert any("seconds" in line for line in lines) == (width == 160)
    assert all(len(line) <= width for line in lines)
    assert "Scores are roc_auc on training+testing, cross-validated in 5 folds." in " ".join(lines)


def test_only_a_finished_run_is_to_be_verified() -> None:
    assert "raysweep verify runs/a" in str(next_steps("runs/a", has_model=False))
    assert str(next_steps("runs/a", has_model=False, finished=False)).split() == [
        *["folder", "runs/a", "raysweep", "show", "runs/a", "raysweep", "resume", "runs/a"]
    ]


def test_why_there_is_no_model_is_said() -> None:
    said = str(next_steps("runs/a", has_model=True, without_model="Mine is defined in a notebook"))

    assert "none is published: Mine is defined in a notebook" in said
    assert "load_model" not in said


def test_published_records_are_read_back() -> None:
    check, findings = make_final_check(), make_view().check.findings

    assert read_final_check(plain_record(check)) == check
    assert read_findings(plain_record(findings)) == list(findings)
    with pytest.raises(BundleRefused, match=r"final_check\.json"):
        read_final_check({"metric": "roc_auc"})
