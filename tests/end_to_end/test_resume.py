"""Going on with a run: after a crash, after its end, against another driver; and what stands in the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import raysweep
from builders import clean_table
from raysweep.config import S3Config, load_config
from raysweep.errors import DataUnsuitable, RunTakenOver, StorageFailed
from raysweep.events import Event, Stage, StageStarted, TrialEnded
from raysweep.history import sweep_record
from raysweep.storage.epochs import this_driver
from raysweep.storage.local import LocalStore
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import begin_epoch, read_run_journal
from raysweep.storage.store import Store
from sweep_builders import RANDOM_ONE_SLOT, bundle_files, quick_space, sweep_keys

pytestmark = pytest.mark.usefixtures("ray_session")

SEARCH = {**RANDOM_ONE_SLOT, "trials": 4, "space": quick_space(["xgboost"])}
RUN = "one"


class CrashError(Exception):
    """What stands for a driver that died."""


def crash_at(is_so: Callable[[Event], bool]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if is_so(event):
            raise CrashError

    return listen


def after_trials(count: int) -> Callable[[Event], bool]:
    ended: list[Event] = []

    def is_so(event: Event) -> bool:
        if isinstance(event, TrialEnded):
            ended.append(event)
        return len(ended) == count

    return is_so


def sweep_of(source: Path | str, to: Path | str, **sections: Any) -> dict[str, Any]:
    return sweep_keys(to, source=source, search=SEARCH, **sections)


def crash(keys: dict[str, Any], at: Callable[[Event], bool], data: object = None) -> None:
    with pytest.raises(CrashError):
        raysweep.run_sweep(keys, data=data, run_id=RUN, listener=crash_at(at))


def place(to: Path | str, run_id: str = RUN, s3: S3Config | None = None) -> Store:
    return open_store(str(to), s3 or S3Config()).child(run_id)


def of(records: list[dict[str, Any]], event: str) -> list[Any]:
    return [record["candidate"] for record in records if record["event"] == event]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return clean_table(450, 11)


@pytest.fixture(scope="module")
def whole(frame: pd.DataFrame, ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> raysweep.SweepResult:
    """The same sweep, undisturbed."""
    to = tmp_path_factory.mktemp("whole")
    return raysweep.run_sweep(sweep_of("memory:", to), data=frame, run_id=RUN)


def scores(result: raysweep.SweepResult) -> list[tuple[int, float | None]]:
    return [(trial.candidate.number, trial.score) for trial in result.search.trials]


def test_the_same_sweep_again_goes_on_and_ends_as_if_nothing_had_been(
    tmp_path: Path, frame: pd.DataFrame, whole: raysweep.SweepResult
):
    keys = sweep_of("memory:", tmp_path / "runs")
    crash(keys, after_trials(2), frame)
    result = raysweep.run_sweep(keys, data=frame, run_id=RUN)
    assert scores(result) == scores(whole)
    assert result.best.params == whole.best.params
    assert result.final_check == whole.final_check
    assert raysweep.verify(result.bundle_url).ok
    records = read_run_journal(place(tmp_path / "runs"))
    assert [record["event"] for record in records][:2] == ["sweep", "split"]
    assert [record["event"] for record in records].count("resumed") == 1
    assert sorted(of(records, "ended")) == [0, 1, 2, 3]


@pytest.mark.parametrize("stage", [Stage.CONFIRM, Stage.EXPORT])
def test_a_search_that_is_over_is_not_run_again(
    stage: Stage, tmp_path: Path, frame: pd.DataFrame, whole: raysweep.SweepResult
):
    crash(sweep_of("memory:", tmp_path / "runs"), lambda event: event == StageStarted(stage), frame)
    result = raysweep.resume(tmp_path / "runs" / RUN, data=frame)
    records = read_run_journal(place(tmp_path / "runs"))
    assert sorted(of(records, "started")) == [0, 1, 2, 3]
    assert scores(result) == scores(whole)
    assert result.final_check == whole.final_check


def test_changed_data_are_noticed_and_nothing_is_spoiled(tmp_path: Path, frame: pd.DataFrame):
    source = tmp_path / "table.csv"
    frame.to_csv(source, index=False)
    keys = sweep_of(source, tmp_path / "runs")
    crash(keys, after_trials(2))
    before = bundle_files(tmp_path / "runs")
    frame.iloc[1:].to_csv(source, index=False)
    with pytest.raises(DataUnsuitable, match=r"450 rows .* then, 449 rows .* now") as refused:
        raysweep.resume(tmp_path / "runs" / RUN)
    assert refused.value.exit_code == 3
    with pytest.raises(DataUnsuitable, match="changed since the run began"):
        raysweep.run_sweep(keys, run_id=RUN)
    assert bundle_files(tmp_path / "runs") == before
    frame.to_csv(source, index=False)
    assert len(raysweep.resume(tmp_path / "runs" / RUN).search.trials) == 4


def test_other_rows_in_memory_are_noticed(tmp_path: Path, frame: pd.DataFrame):
    crash(sweep_of("memory:", tmp_path / "runs"), after_trials(1), frame)
    with pytest.raises(DataUnsuitable, match="changed since the run began"):
        raysweep.resume(tmp_path / "runs" / RUN, data=frame.assign(target=frame["target"].sample(frac=1).to_numpy()))


def test_rows_that_another_driver_has_written_down_meanwhile_are_noticed(tmp_path: Path, frame: pd.DataFrame):
    keys, store = sweep_of("memory:", tmp_path / "runs"), place(tmp_path / "runs")
    asked = sweep_record(RUN, load_config(keys))
    other, _ = begin_epoch(store, this_driver(RUN, 1), tmp_path / "other", [asked])

    def write_down(event: Event) -> None:
        if event == StageStarted(Stage.VALIDATE):
            other.append({"event": "split", "rows": 9, "row_digest": "abc", "parts": {}, "folds": 1, "features": []})

    with pytest.raises(DataUnsuitable, match=r"changed since the run began: 9 rows"):
        raysweep.run_sweep(keys, data=frame, run_id=RUN, listener=write_down)


def test_a_published_run_with_more_budget(
    tmp_path: Path, frame: pd.DataFrame, command, capfd: pytest.CaptureFixture[str]
):
    frame.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep_of(tmp_path / "table.csv", "runs")))
    assert command("run", "sweep.yaml", "--run", RUN).code in {0, 7}
    before = {path: path.read_bytes() for path in (tmp_path / "runs" / RUN).rglob("*") if path.is_file()}
    refused = command("run", "sweep.yaml", "--run", RUN)
    assert refused.code == 2
    assert f"raysweep resume {tmp_path}/runs/{RUN} --set" in refused.err
    assert command("resume", RUN, "--set", "split.seed=3").code == 2
    ran = command("resume", RUN, "--set", "search.trials=6", "--run", "two", "--json")
    assert ran.code in {0, 7}, ran.err
    document = json.loads(ran.out)
    assert document["run_id"] == "two"
    assert document["search"]["trials"] == 6
    manifest = json.loads((tmp_path / "runs/two/manifest.json").read_text())
    (parent,) = manifest["lineage"]
    sums = (tmp_path / "runs" / RUN / "SHA256SUMS").read_text()
    assert parent.partition("@sha256:")[0] == RUN
    assert f"{parent.partition('@sha256:')[2]}  manifest.json" in sums
    records = read_run_journal(place(tmp_path / "runs", "two"))
    assert sorted(of(records, "ended")) == [0, 1, 2, 3, 4, 5]
    assert before == {path: path.read_bytes() for path in (tmp_path / "runs" / RUN).rglob("*") if path.is_file()}
    assert command("verify", "two").code == 0
    assert command("verify", RUN).code == 0


def test_the_older_of_two_drivers_stops_and_publishes_nothing(tmp_path: Path, frame: pd.DataFrame):
    store = place(tmp_path / "runs")
    has_ended = after_trials(2)
    taken: list[Any] = []

    def take_over(event: Event) -> None:
        if has_ended(event) and not taken:
            taken.extend(begin_epoch(store, this_driver(RUN, 2), tmp_path / "other"))

    with pytest.raises(RunTakenOver, match=r"taken over by process \d+") as stopped:
        raysweep.run_sweep(sweep_of("memory:", tmp_path / "runs"), data=frame, run_id=RUN, listener=take_over)
    assert stopped.value.exit_code == 6
    assert not store.exists("manifest.json")
    journal, earlier = taken
    assert of(earlier, "ended") == [0, 1]
    journal.close()
    assert of(read_run_journal(store), "ended") == [0, 1]
    result = raysweep.resume(tmp_path / "runs" / RUN, data=frame)
    assert len(result.search.trials) == 4


def test_a_driver_that_is_overtaken_in_its_final_check_publishes_nothing(tmp_path: Path, frame: pd.DataFrame):
    store = place(tmp_path / "runs")

    def take_over(event: Event) -> None:
        if event == StageStarted(Stage.CONFIRM):
            begin_epoch(store, this_driver(RUN, 2), tmp_path / "other")[0].close()

    with pytest.raises(RunTakenOver):
        raysweep.run_sweep(sweep_of("memory:", tmp_path / "runs"), data=frame, run_id=RUN, listener=take_over)
    assert [one.key for one in store.list() if not one.key.startswith("journal/")] == []


def test_a_bundle_that_cannot_be_put_is_kept_and_the_run_goes_on(
    tmp_path: Path, frame: pd.DataFrame, whole: raysweep.SweepResult
):
    put_if_absent = LocalStore.put_if_absent

    def refuse(store: LocalStore, key: str, source: bytes | Path, *, writer: str | None = None) -> bool:
        if key == "manifest.json":
            raise StorageFailed("the bucket is away")
        return put_if_absent(store, key, source, writer=writer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStore, "put_if_absent", refuse)
        with pytest.raises(StorageFailed, match=r"the bucket is away.*The finished bundle is kept in .*:") as failed:
            raysweep.run_sweep(sweep_of("memory:", tmp_path / "runs"), data=frame, run_id=RUN)
    kept = Path(str(failed.value).partition("kept in ")[2].partition(": ")[0])
    assert raysweep.verify(kept).ok
    assert place(tmp_path / "runs").exists("best/02/params.json")
    result = raysweep.resume(tmp_path / "runs" / RUN, data=frame, overrides=["export.top=1"])
    assert scores(result) == scores(whole)
    assert raysweep.verify(result.bundle_url).problems == ()
    assert not kept.exists()


@pytest.mark.s3
def test_with_the_journal_on_an_s3_server(
    tmp_path: Path, frame: pd.DataFrame, whole: raysweep.SweepResult, s3_bucket: str, s3_config: S3Config, command
):
    to = f"s3://{s3_bucket}/runs"
    frame.to_csv(tmp_path / "table.csv", index=False)
    keys = sweep_of(tmp_path / "table.csv", to, export={"s3": {"endpoint_url": s3_config.endpoint_url}})
    crash(keys, after_trials(2))
    records = read_run_journal(place(to, s3=s3_config))
    assert sorted(of(records, "ended")) == [0, 1]
    ran = command("resume", f"{to}/{RUN}", "--s3-endpoint", s3_config.endpoint_url, "--json")
    assert ran.code in {0, 7}, ran.err
    records = read_run_journal(place(to, s3=s3_config))
    assert sorted(of(records, "ended")) == [0, 1, 2, 3]
    assert json.loads(ran.out)["search"]["score"] == whole.ranking[0].score
    assert raysweep.verify(f"{to}/{RUN}", s3=s3_config).ok
