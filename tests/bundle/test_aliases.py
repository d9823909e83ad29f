"""An alias moves to a bundle that may be used, once at a time, and says who moved it."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import raysweep
from raysweep.bundle.locate import open_run, read_manifest
from raysweep.config import S3Config, load_config
from raysweep.errors import AliasMoved, BundleRefused, NotFound, RequestInvalid
from raysweep.stages.confirm.production import find_champion
from raysweep.stages.export.publish import list_artifacts, publish, seal
from raysweep.storage.open_store import open_store

OLD = Path(__file__).parents[1] / "compat/v1/bundle"
KEPT = ".raysweep/aliases/production.json"


def put(folder: Path, **check) -> Path:
    """A bundle of another name there, with another word of its final check."""
    shutil.copytree(OLD, folder)
    manifest = read_manifest(open_run(folder))
    found = manifest.final_check.model_copy(update=check)
    for name in ("manifest.json", "SHA256SUMS"):
        (folder / name).unlink()
    update = {"final_check": found, "name": folder.name, "artifacts": list_artifacts(folder)}
    seal(manifest.model_copy(update=update), folder)
    return folder


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "runs/one")
    put(tmp_path / "runs/two")
    return tmp_path / "runs"


def test_a_bundle_is_promoted_and_read_by_its_alias(runs):
    done = raysweep.promote("one", "production")
    assert (done.is_new, done.before, done.address) == (True, None, f"{runs}@production")
    for address in ("runs@production", f"{runs}@production", f"{runs}/@production", "@production"):
        assert open_run(address).address() == str(runs / "one")
    assert raysweep.load_model("runs@production").url == str(runs / "one")
    assert raysweep.verify("runs@production").ok


def test_a_sweep_is_compared_with_the_bundle_that_an_alias_is(runs):
    raysweep.promote("two", "production")
    keys = {
        "version": 1,
        "data": {"source": "memory:", "target": "churn"},
        "confirm": {"production": "runs@production"},
    }
    champion = find_champion(load_config(keys))
    assert champion.store.address() == str(runs / "two")


def test_every_move_is_kept_with_its_reason(runs):
    raysweep.promote("one", "production")
    raysweep.promote("two", "production", reason="the new season")
    again = raysweep.promote("two", "production")
    assert not again.is_new
    moves = json.loads((runs / KEPT).read_text())["moves"]
    assert [(move["run_id"], move["forced"], move["reason"]) for move in moves] == [
        ("one", False, None),
        ("two", False, "the new season"),
    ]
    assert all("@" in move["by"] and move["at"].endswith("+00:00") for move in moves)


def test_candidate_and_production_are_two(runs):
    raysweep.promote("one", "production")
    raysweep.promote("two", "candidate")
    assert open_run("runs@production").address().endswith("one")
    assert open_run("runs@candidate").address().endswith("two")


@pytest.mark.parametrize("verdict", ["not adequate", "inconclusive"])
def test_a_verdict_that_does_not_allow_use_wants_force_and_a_reason(runs, verdict):
    bad = put(runs / "bad", verdict=verdict, reasons=("worse than the dummy",))
    with pytest.raises(BundleRefused, match=rf"found the model {verdict}.*--force --reason") as refused:
        raysweep.promote(bad, "production")
    assert refused.value.problems == ("worse than the dummy",)
    with pytest.raises(RequestInvalid, match="--force wants --reason"):
        raysweep.promote(bad, "production", force=True, reason=" ")
    assert not (runs / KEPT).exists()
    done = raysweep.promote(bad, "production", force=True, reason="there is nothing better")
    assert (done.now.forced, done.now.verdict, done.now.reason) == (True, verdict, "there is nothing better")


def test_force_is_recorded_only_where_it_was_needed(runs):
    assert not raysweep.promote("one", "production", force=True, reason="to be sure").now.forced


def test_a_changed_bundle_is_not_promoted(runs):
    (runs / "one/report.html").write_text("other")
    with pytest.raises(BundleRefused, match="cannot be production") as refused:
        raysweep.promote("one", "production")
    assert any("report.html" in problem for problem in refused.value.problems)


def test_an_unknown_alias_and_one_that_is_nowhere(runs):
    with pytest.raises(RequestInvalid, match="no alias 'prodution', did you mean 'production'"):
        raysweep.promote("one", "prodution")
    with pytest.raises(NotFound, match=r"nothing in .*runs is production yet: `raysweep promote BUNDLE"):
        raysweep.load_model("runs@production")


def test_a_secret_is_no_reason(runs, monkeypatch):
    monkeypatch.setenv("SERVICE_PASSWORD", "hunter2-hunter2")
    with pytest.raises(RequestInvalid, match="SERVICE_PASSWORD") as refused:
        raysweep.promote("one", "production", reason="as hunter2-hunter2 says")
    assert "hunter2" not in str(refused.value)


def test_another_bundle_in_the_place_of_the_promoted_one_is_refused(runs):
    raysweep.promote("one", "production")
    shutil.rmtree(runs / "one")
    with pytest.raises(NotFound, match="is no bundle any more"):
        raysweep.load_model("runs@production")
    put(runs / "one", score=0.99)
    with pytest.raises(BundleRefused, match="is not the bundle that became production"):
        raysweep.load_model("runs@production")


def test_an_alias_that_was_broken_is_refused_and_not_overwritten(runs):
    raysweep.promote("one", "production")
    (runs / KEPT).write_text('{"schema_version": 1, "alias": "production", "moves": []}')
    for use in (lambda: raysweep.load_model("runs@production"), lambda: raysweep.promote("two", "production")):
        with pytest.raises(BundleRefused, match=r"production\.json cannot be read"):
            use()
    assert "[]" in (runs / KEPT).read_text()


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def place(request, runs) -> tuple[str, dict]:
    """The address of three bundles, and what it takes to reach it."""
    put(runs / "zero")
    if request.param == "folder":
        return str(runs), {}
    bucket, config = request.getfixturevalue("s3_bucket"), request.getfixturevalue("s3_config")
    for run in ("zero", "one", "two"):
        publish(runs / run, open_store(f"s3://{bucket}/models/{run}", config))
    return f"s3://{bucket}/models", {"s3": config}


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_at_once_one_wins_and_the_other_is_told(place, monkeypatch, is_first):
    """Both have read where the alias is before either moves it."""
    address, reach = place
    if not is_first:
        raysweep.promote(f"{address}/zero", "production", **reach)
    from raysweep.bundle import aliases

    both_have_read = threading.Barrier(2)
    read = aliases.read_alias

    def read_together(*arguments):
        try:
            return read(*arguments)
        finally:
            if threading.current_thread() is not threading.main_thread() and not threading.current_thread().was_told:
                threading.current_thread().was_told = True
                both_have_read.wait(20)

    monkeypatch.setattr(aliases, "read_alias", read_together)

    def promote(run):
        threading.current_thread().was_told = False
        try:
            return raysweep.promote(f"{address}/{run}", "production", **reach)
        except AliasMoved as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(promote, ("one", "two")))
    (lost,) = [one for one in results if isinstance(one, AliasMoved)]
    (won,) = [one for one in results if not isinstance(one, AliasMoved)]
    assert f"it is {won.now.run_id} now" in str(lost)
    assert lost.exit_code == 6
    assert open_run(f"{address}@production", **reach).address() == won.bundle == f"{address}/{won.now.run_id}"
    kept = json.loads(open_store(address, reach.get("s3", S3Config())).get(KEPT))
    assert len(kept["moves"]) == 1 + (not is_first)


def test_the_command_line(runs, capsys):
    from raysweep.cli.main import main

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            main([*arguments])
        return left.value.code, capsys.readouterr()

    code, said = call("promote", "one", "--alias", "production", "--json")
    assert code == 0
    assert json.loads(said.out)["now"]["run_id"] == "one"
    code, said = call("promote", "two", "--alias", "production")
    assert code == 0
    assert "it was one" in said.out
    (runs / "one/report.html").write_text("other")
    code, said = call("promote", "one", "--alias", "production")
    assert code == 8
    assert "report.html" in said.err
    code, said = call("show", "runs@production")
    assert code == 0
