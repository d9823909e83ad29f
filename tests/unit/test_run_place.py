"""Going on with a run: what it was asked, what may change, and whose place it is."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from unittest import mock

import pytest

import raysweep
from raysweep.aftermath import resumable
from raysweep.bundle.locate import SUBMITTED, resume_command
from raysweep.config import S3Config, load_config
from raysweep.errors import DataUnsuitable, NotFound, RayUnavailable, RequestInvalid, RunTakenOver, StorageFailed
from raysweep.history import History, check_same_rows, check_same_split, publishing_record, sweep_record
from raysweep.run_place import Earlier, begin, plan_resume, reserve
from raysweep.runtime.run_folder import make_run_folder
from raysweep.space import load_space
from raysweep.stages.export.publish import Claim, publish
from raysweep.storage.epochs import this_driver
from raysweep.storage.local import LocalStore
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import RunJournal, begin_epoch, read_run_journal
from raysweep.storage.store import Traits, TransientStorageFailure

RUN = "nightly"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def sweep(tmp_path, *overrides, source="memory:"):
    keys = {"version": 1, "data": {"source": source, "target": "late"}, "export": {"to": str(tmp_path / "runs")}}
    return load_config(keys, overrides=overrides)


def start(config, run_id=RUN, earlier=None):
    """A driver, up to where it would search; closed, as if it had been killed."""
    place = reserve(config, run_id, earlier)
    folder = make_run_folder(run_id)
    journal, history = begin(place, config, folder, lambda _: None)
    return journal, history, folder


def leave(config, run_id=RUN, *records):
    journal, _, folder = start(config, run_id)
    for record in records:
        journal.append(record)
    journal.close()
    folder.remove()
    return open_store(config.export.to, S3Config()).child(run_id)


def as_published(store):
    store.put("manifest.json", b"{}")
    return store


def test_what_is_asked_is_the_first_record(tmp_path):
    config = sweep(tmp_path, "search.trials=7")
    store = leave(config)
    (record,) = read_run_journal(store)
    assert record == sweep_record(RUN, config)
    assert record["config"]["search"]["trials"] == 7
    assert History([record]).config() == config


def test_the_same_sweep_again_goes_on(tmp_path):
    config = sweep(tmp_path)
    store = leave(config, RUN, {"event": "proposed", "number": 0})
    journal, history, folder = start(config)
    assert [one["event"] for one in history.records] == ["sweep", "proposed", "resumed"]
    journal.append({"event": "proposed", "number": 1})
    journal.close()
    folder.remove()
    assert [one["event"] for one in read_run_journal(store)] == ["sweep", "proposed", "resumed", "proposed"]


def test_what_the_place_cannot_do_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr(LocalStore, "traits", lambda _: Traits(if_absent=False, if_match=False))
    config, said = sweep(tmp_path), []
    journal, _ = begin(reserve(config, RUN, None), config, make_run_folder(RUN), said.append)
    journal.close()
    lacking = [event.message for event in said if "does not hold to" in event.message]
    assert len(lacking) == 2
    assert all(message.startswith(f"{tmp_path}/runs: ") for message in lacking)


def test_another_sweep_under_the_same_id_is_refused(tmp_path):
    leave(sweep(tmp_path, source="table.csv"))
    other = sweep(tmp_path, "search.trials=7", "split.seed=3", "search.stop.seconds=5", source="table.csv")
    with pytest.raises(RequestInvalid) as refused:
        reserve(other, RUN, None)
    message = str(refused.value)
    assert "search.trials was 100, is 7" in message
    assert "split.seed was 0, is 3" in message
    assert f"`raysweep resume {tmp_path}/runs/{RUN}`" in message
    assert f"`raysweep resume {tmp_path}/runs/{RUN} --set search.trials=200`" in message
    assert "--run" in message
    assert len(refused.value.problems) == 3


def test_another_way_to_write_the_place_is_the_same_sweep(tmp_path):
    leave(sweep(tmp_path))
    reserve(sweep(tmp_path, f"export.to={tmp_path}/./runs/", "export.s3.region=eu-1"), RUN, None)


def test_a_published_run_is_not_gone_on_with_by_run(tmp_path):
    config = sweep(tmp_path, source="table.csv")
    as_published(leave(config))
    with pytest.raises(RequestInvalid, match=r"is published already.*--run.*raysweep resume /\S+/nightly --set"):
        reserve(config, RUN, None)


def test_a_run_that_was_killed_before_its_first_record_begins_anew(tmp_path):
    store = open_store(str(tmp_path / "runs"), S3Config()).child(RUN)
    store.put("journal/owner-000001.json", b"{}")
    journal, history, _ = start(sweep(tmp_path))
    journal.close()
    assert [one["event"] for one in history.records] == ["resumed"]
    assert [one["event"] for one in read_run_journal(store)] == ["resumed", "sweep"]


def test_two_drivers_at_once(tmp_path):
    config = sweep(tmp_path)
    leave(config)
    place = reserve(config, RUN, None)
    journal, _, _ = start(config)
    with pytest.raises(RunTakenOver, match="taken over"):
        begin(place, config, make_run_folder(RUN), lambda _: None)
    journal.close()


def test_two_new_runs_of_one_id(tmp_path):
    config = sweep(tmp_path)
    place = reserve(config, RUN, None)
    journal, _, _ = start(config)
    with pytest.raises(RequestInvalid, match="choose another run id"):
        begin(place, config, make_run_folder(RUN), lambda _: None)
    journal.close()


def test_an_old_driver_publishes_nothing(tmp_path):
    config = sweep(tmp_path)
    old, _, folder = start(config)
    store = open_store(str(tmp_path / "runs"), S3Config()).child(RUN)
    for name in ("report.html", "SHA256SUMS", "manifest.json"):
        (folder.outgoing / name).write_text(name)
    new, _, _ = start(config)
    with pytest.raises(RunTakenOver):
        publish(folder.outgoing, store, Claim(old.check_ours))
    assert not store.exists("report.html")
    new.close()


def test_a_driver_that_is_overtaken_while_it_publishes_puts_no_manifest(tmp_path):
    config = sweep(tmp_path)
    old, _, folder = start(config)
    store = open_store(str(tmp_path / "runs"), S3Config()).child(RUN)
    for name in ("report.html", "SHA256SUMS", "manifest.json"):
        (folder.outgoing / name).write_text(name)
    checks = []

    def check() -> None:
        checks.append(store.exists("report.html"))
        if checks[-1]:
            start(config)[0].close()
        old.check_ours()

    with pytest.raises(RunTakenOver):
        publish(folder.outgoing, store, Claim(check))
    assert checks == [False, False, True]
    assert not store.exists("manifest.json")


def test_a_run_that_was_published_meanwhile_is_left_alone(tmp_path):
    config = sweep(tmp_path)
    store = leave(config)
    place = reserve(config, RUN, None)
    as_published(store)
    with pytest.raises(RequestInvalid, match="published already"):
        begin(place, config, make_run_folder(RUN), lambda _: None)


@pytest.mark.parametrize(
    "change",
    [
        *("search.trials=9", "search.stop.seconds=5", "search.stop.score=0.9", "search.space=xgboost"),
        *("search.concurrency=1", "search.trial.cpus=2", "cluster.address=auto", "confirm.gates.score=0.5"),
        *("confirm.refit=training", "export.top=1"),
    ],
)
def test_what_may_change(tmp_path, change):
    store = leave(sweep(tmp_path))
    plan = plan_resume(tmp_path / "runs" / RUN, [change], None, None)
    assert plan.config == sweep(tmp_path, change)
    assert plan.run_id == RUN
    journal, _, _ = start(plan.config, plan.run_id, plan.earlier)
    journal.close()
    assert History(read_run_journal(store)).config() == sweep(tmp_path, change)
    assert [one["event"] for one in read_run_journal(store)] == ["sweep", "resumed", "sweep"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("data.target=early", "data.target: the rows, the target or the features would not be the same"),
        ("data.group=customer", "data.group: the rows"),
        ("split.seed=1", "split.seed: the parts would not be the same"),
        ("checks.preset=strict", "checks.preset: what the data checks leave out"),
        ("search.metric=log_loss", "search.metric: what has been tried was proposed and scored under it"),
        ("search.seed=1", "search.seed: what has been tried"),
        ("export.to=elsewhere", "export.to: a run stays where it is"),
        ("name=other", "name: it is part of what the run is"),
    ],
)
def test_what_may_not_change(tmp_path, change, why):
    leave(sweep(tmp_path))
    with pytest.raises(RequestInvalid) as refused:
        plan_resume(tmp_path / "runs" / RUN, [change, "search.trials=9"], None, None)
    assert why in str(refused.value)
    assert len(refused.value.problems) == 1
    assert "search.trials" in str(refused.value)


def test_nothing_changed_is_nothing_written(tmp_path):
    store = leave(sweep(tmp_path))
    plan = plan_resume(RUN, [], None, None)
    journal, _, _ = start(plan.config, plan.run_id, plan.earlier)
    journal.close()
    assert [one["event"] for one in read_run_journal(store)] == ["sweep", "resumed"]


def test_a_run_goes_on_where_it_is_found(tmp_path):
    leave(sweep(tmp_path))
    (tmp_path / "runs").rename(tmp_path / "moved")
    plan = plan_resume(tmp_path / "moved" / RUN, [], None, None)
    assert plan.config.export.to == str(tmp_path / "moved")


def test_a_run_keeps_its_id_until_it_is_published(tmp_path):
    leave(sweep(tmp_path))
    assert plan_resume(RUN, [], RUN, None).run_id == RUN
    with pytest.raises(RequestInvalid, match="leave --run out"):
        plan_resume(RUN, [], "other", None)


def test_a_published_run_is_the_beginning_of_a_new_one(tmp_path):
    store = as_published(
        leave(sweep(tmp_path), RUN, {"event": "proposed", "number": 0}, publishing_record(["report.html"]))
    )
    before = read_run_journal(store)
    assert History(before).announced == {"report.html"}
    plan = plan_resume(RUN, ["search.trials=200"], "second", None)
    assert plan.earlier.lineage.startswith(f"{RUN}@sha256:44136fa355b3678a")  # of the bytes {}
    journal, history, folder = start(plan.config, plan.run_id, plan.earlier)
    journal.close()
    folder.remove()
    assert history.lineage == (plan.earlier.lineage,)
    assert history.announced == frozenset()
    assert read_run_journal(store) == before
    second = open_store(str(tmp_path / "runs"), S3Config()).child("second")
    assert [one["event"] for one in read_run_journal(second)] == ["lineage", "sweep", "proposed", "sweep"]
    as_published(second)
    plan = plan_resume("second", [], "third", None)
    journal, history, _ = start(plan.config, plan.run_id, plan.earlier)
    journal.close()
    assert [one.partition("@")[0] for one in history.lineage] == [RUN, "second"]


def test_a_new_run_has_an_id_of_its_own(tmp_path):
    as_published(leave(sweep(tmp_path)))
    assert plan_resume(RUN, [], None, None).run_id.startswith("sweep-")
    leave(sweep(tmp_path), "taken")
    plan = plan_resume(RUN, [], "taken", None)
    with pytest.raises(RequestInvalid, match=r"belongs to another run.*raysweep.resume\('.*/taken', data=frame"):
        reserve(plan.config, plan.run_id, plan.earlier)


def test_a_new_run_that_was_killed_goes_on_with_its_lineage(tmp_path):
    as_published(leave(sweep(tmp_path)))
    plan = plan_resume(RUN, ["search.trials=200"], "second", None)
    start(plan.config, plan.run_id, plan.earlier)[0].close()
    again = plan_resume("second", [], None, None)
    journal, history, _ = start(again.config, again.run_id, again.earlier)
    journal.close()
    assert again.earlier.lineage == ""
    assert history.lineage == (plan.earlier.lineage,)
    assert again.config.search.trials == 200


def test_a_new_run_that_is_killed_at_once_knows_what_it_was_asked(tmp_path, monkeypatch):
    as_published(leave(sweep(tmp_path), RUN, {"event": "proposed", "number": 0}))
    plan = plan_resume(RUN, ["search.trials=200"], "second", None)
    killed = mock.Mock(side_effect=KeyboardInterrupt)
    with monkeypatch.context() as patch:
        patch.setattr(RunJournal, "append", killed)
        patch.setattr(RunJournal, "flush", killed)
        with pytest.raises(KeyboardInterrupt):
            start(plan.config, plan.run_id, plan.earlier)
    assert plan_resume("second", [], None, None).config.search.trials == 200


def test_the_same_new_run_again_goes_on(tmp_path):
    """As a cluster job does that is started again."""
    as_published(leave(sweep(tmp_path), RUN, {"event": "proposed", "number": 0}))
    plan = plan_resume(RUN, ["search.trials=200"], "second", None)
    start(plan.config, plan.run_id, plan.earlier)[0].close()
    again = plan_resume(RUN, ["search.trials=200"], "second", None)
    journal, history, _ = start(again.config, again.run_id, again.earlier)
    journal.close()
    assert history.lineage == (plan.earlier.lineage,)
    assert [one["event"] for one in history.records] == ["lineage", "sweep", "proposed", "sweep", "resumed"]
    other = plan_resume(RUN, ["search.trials=300"], "second", None)
    with pytest.raises(RequestInvalid, match=r"search.trials was 200, is 300.*raysweep.resume\(.*second"):
        reserve(other.config, other.run_id, other.earlier)


def test_a_new_run_that_was_killed_before_its_first_record_begins_anew(tmp_path):
    as_published(leave(sweep(tmp_path), RUN, {"event": "proposed", "number": 0}))
    second = open_store(str(tmp_path / "runs"), S3Config()).child("second")
    second.put("journal/owner-000001.json", b"{}")
    plan = plan_resume(RUN, ["search.trials=200"], "second", None)
    journal, history, _ = start(plan.config, plan.run_id, plan.earlier)
    journal.close()
    assert history.lineage == (plan.earlier.lineage,)
    assert [one["event"] for one in read_run_journal(second)] == ["resumed", "lineage", "sweep", "proposed", "sweep"]


def test_there_is_nothing_to_go_on_with(tmp_path):
    with pytest.raises(NotFound, match="there is no run"):
        plan_resume(RUN, [], None, None)
    (tmp_path / "runs" / RUN).mkdir(parents=True)
    with pytest.raises(NotFound, match=r"no journal.*raysweep run SWEEP --run nightly"):
        plan_resume(RUN, [], None, None)
    (tmp_path / "runs" / RUN / "manifest.json").write_text("{}")
    with pytest.raises(NotFound, match=r"no journal.*start a new run with `raysweep run SWEEP`$"):
        plan_resume(RUN, [], None, None)


def test_how_to_go_on_is_said_from_wherever_one_is(tmp_path):
    config = sweep(tmp_path, "export.s3.endpoint_url=http://localhost:8333", source="table.csv")
    assert resume_command("/a b/x", config, "search.trials=9") == "raysweep resume '/a b/x' --set search.trials=9"
    assert resume_command("s3://b/x", config) == "raysweep resume s3://b/x --s3-endpoint http://localhost:8333"
    assert resume_command("runs/x", sweep(tmp_path)) == "raysweep.resume('runs/x', data=frame)"


def test_a_submitted_run_is_gone_on_with_by_submitting_it_again(tmp_path, monkeypatch):
    monkeypatch.setenv(SUBMITTED, "1")
    config = sweep(tmp_path, source="table.csv")
    assert resume_command("s3://b/runs/a b", config) == "raysweep submit --resume 's3://b/runs/a b'"
    assert resume_command("s3://b/runs/x", config, "search.trials=9").startswith(
        "raysweep submit --resume s3://b/runs/x "
    )


def said_by(config, run_id=RUN, earlier=None):
    """What a driver says as it begins, which then ends as if it had been killed."""
    said = []
    place, folder = reserve(config, run_id, earlier), make_run_folder(run_id)
    begin(place, config, folder, said.append)[0].close()
    folder.remove()
    return [event.message for event in said]


def test_where_a_run_is_and_how_to_go_on_with_it_is_said_at_its_beginning(tmp_path):
    config = sweep(tmp_path, source="table.csv")
    assert said_by(config) == [f"after a crash, `raysweep resume {tmp_path}/runs/{RUN}` goes on with this run"]
    assert said_by(config) == [f"goes on with the run {tmp_path}/runs/{RUN}"]
    as_published(open_store(str(tmp_path / "runs"), S3Config()).child(RUN))
    plan = plan_resume(RUN, [], "second", None)
    (said,) = said_by(plan.config, plan.run_id, plan.earlier)
    assert said.startswith(f"starts from what {RUN} has tried; after a crash, `raysweep resume {tmp_path}/runs/second`")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (TransientStorageFailure("away"), StorageFailed),
        (RayUnavailable("lost"), RayUnavailable),
    ],
)
def test_how_to_go_on_is_said_where_a_run_breaks_off(tmp_path, error, kind):
    config = sweep(tmp_path, source="table.csv")
    with pytest.raises(kind, match=rf"{error}.*raysweep resume s3://bucket/one"), resumable("s3://bucket/one", config):
        raise error


def test_a_driver_that_was_taken_over_is_not_told_to_go_on(tmp_path):
    with pytest.raises(RunTakenOver) as stopped, resumable("s3://bucket/one", sweep(tmp_path)):
        raise RunTakenOver("taken over")
    assert str(stopped.value) == "taken over"


def test_what_another_version_was_asked_is_not_guessed(tmp_path):
    store = open_store(str(tmp_path / "runs"), S3Config()).child(RUN)
    config = {**sweep(tmp_path).model_dump(mode="json", by_alias=True), "color": "red"}
    record = {**sweep_record(RUN, sweep(tmp_path)), "raysweep": "9.9", "config": config}
    begin_epoch(store, this_driver(RUN, 1), tmp_path / "work", [record])[0].close()
    with pytest.raises(RequestInvalid, match=r"begun by raysweep 9\.9.*color: unknown key.*Go on with the version"):
        plan_resume(RUN, [], None, None)


def begun_by_another_version(tmp_path, **changes):
    """A run of a version that had another space of the name `linear`."""
    config = sweep(tmp_path, "search.space=linear", source="table.csv")
    record = {**sweep_record(RUN, config), "raysweep": "0.0.9", **changes}
    store = open_store(str(tmp_path / "runs"), S3Config()).child(RUN)
    begin_epoch(store, this_driver(RUN, 1), tmp_path / "work", [record])[0].close()
    return config


@pytest.mark.parametrize("is_known", [True, False])
def test_a_shipped_space_is_the_one_with_which_the_run_began(tmp_path, is_known):
    then = load_space("xgboost", base=tmp_path).model_dump(mode="json", by_alias=True)
    config = begun_by_another_version(tmp_path, space=then)
    if not is_known:
        asked = config.model_dump(mode="json", by_alias=True)
        asked["search"]["space"] = "gone"
        (tmp_path / "runs" / RUN).rename(tmp_path / "other")
        begun_by_another_version(tmp_path, space=then, config=asked)
    plan = plan_resume(RUN, [], None, None)
    assert list(plan.config.search.space["families"]) == ["xgboost"]
    assert plan_resume(RUN, ["search.space=linear"], None, None).config.search.space == "linear"
    with pytest.raises(RequestInvalid, match=r"began with another sweep: search.space was .*raysweep resume"):
        reserve(config, RUN, None)


def test_the_same_space_keeps_its_name_and_another_version_is_said(tmp_path):
    config = begun_by_another_version(tmp_path)
    assert plan_resume(RUN, [], None, None).config.search.space == "linear"
    (said,) = said_by(config)
    assert (
        said == f"goes on with the run {tmp_path}/runs/{RUN}, which raysweep 0.0.9 began: this is {version('raysweep')}"
    )


def test_a_run_that_was_gone_on_with_is_shown_whole(tmp_path):
    candidate = {"family": "ridge", "origin": "default", "params": {}}
    report = {"rung": 1, "score": 0.5, "effort": 1.0, "rounds": None, "is_whole": True, "seconds": 1.0, "metrics": {}}

    def trial(number):
        return (
            {"event": "proposed", "candidate": {**candidate, "number": number}},
            {"event": "rung", "candidate": number, "report": report},
            {"event": "ended", "candidate": number, "state": "complete", "reason": "ran to its end"},
        )

    leave(sweep(tmp_path), RUN, {"event": "search", "metric": "rmse", "part": "testing"}, *trial(0))
    leave(sweep(tmp_path), RUN, {"event": "search", "metric": "rmse", "part": "testing"}, *trial(1))
    view = raysweep.show(RUN)
    assert not view.finished
    assert [(one["trial"], one["state"]) for one in view.trials] == [(0, "complete"), (1, "complete")]


def test_a_claim_alone_is_no_run_to_be_shown(tmp_path):
    open_store(str(tmp_path / "runs"), S3Config()).child(RUN).put("journal/owner-000001.json", b"{}")
    with pytest.raises(NotFound, match="neither a bundle"):
        raysweep.show(RUN)


def test_a_table_in_memory_is_wanted_again(tmp_path):
    leave(sweep(tmp_path))
    with pytest.raises(RequestInvalid, match=r"was held in memory.*raysweep.resume\('nightly', data=frame\)"):
        raysweep.resume(RUN)
    with pytest.raises(RequestInvalid, match="cannot name another one"):
        raysweep.resume(RUN, data="table.csv")


def test_a_table_in_a_file_is_not_exchanged(tmp_path):
    leave(sweep(tmp_path, source="table.csv"))
    with pytest.raises(RequestInvalid, match=r"is about .*table.csv, and goes on with that"):
        raysweep.resume(RUN, data=object())


@dataclasses.dataclass
class Rows:
    rows: int
    row_digest: str


def split_of(**changes):
    parts = {"training": {"rows": 6, "digest": "a"}, "testing": {"rows": 2, "digest": "b"}}
    return {"event": "split", "parts": parts, "folds": 1, "rows": 8, "row_digest": "abc", "features": ["x"], **changes}


def test_changed_rows_are_noticed():
    history = History([split_of()])
    check_same_rows(history, Rows(8, "abc"))
    check_same_rows(History(), Rows(8, "abc"))
    with pytest.raises(DataUnsuitable, match=r"have changed since the run began: 8 rows .*9 rows"):
        check_same_rows(history, Rows(9, "abd"))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"folds": 5}, "folds that come of them: 1 then, 5 now"),
        ({"features": ["x", "y"]}, "features that come of them: gone none, new y"),
        ({"parts": {"training": {"rows": 6, "digest": "z"}}}, "parts that come of them: testing"),
    ],
)
def test_rows_that_are_read_otherwise_are_noticed(changed, says):
    asked = {"event": "sweep", "raysweep": "0.0.9", "config": {}}
    history = History([asked, split_of()])
    check_same_split(history, split_of())
    with pytest.raises(DataUnsuitable, match=says) as refused:
        check_same_split(history, split_of(**changed))
    assert "began with raysweep 0.0.9" in str(refused.value)
    check_same_split(History(), split_of(**changed))


def test_a_place_that_cannot_be_written_is_found_out_first(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StorageFailed, match=r"export\.to"):
        reserve(sweep(tmp_path), RUN, Earlier(History()))
