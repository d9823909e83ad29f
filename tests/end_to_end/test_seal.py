"""The sealed validation rows during a whole sweep: nobody opens them before the final check, which does so once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import raysweep
from builders import clean_table
from file_watch import FileWatch
from raysweep.events import Event, Stage, StageFinished, StageStarted
from sweep_builders import quick_space, sweep_keys


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_the_sealed_rows_are_read_once_and_not_before_the_final_check(
    ray_session: None, raysweep_home: Path, tmp_path: Path
):
    watches: list[FileWatch] = []
    counted = {}

    def listen(event: Event) -> None:
        if event == StageStarted(Stage.SEARCH):
            (sealed,) = (raysweep_home / "runs").glob("*/sealed-*/validation.parquet")
            watches.append(FileWatch(sealed))
        elif event == StageStarted(Stage.CONFIRM):
            counted["before"] = watches[0].count()
        elif isinstance(event, StageFinished) and event.stage is Stage.CONFIRM:
            counted["final check"] = watches[0].count()
            assert not list((raysweep_home / "runs").glob("*/sealed-*"))

    space = quick_space(["xgboost", "logistic_regression"])
    keys = sweep_keys(tmp_path / "runs", search={"trials": 6, "space": space, "algorithm": "random", "concurrency": 2})
    result = raysweep.run_sweep(keys, data=clean_table(2_000, 1), listener=listen)
    after = watches[0].count()
    watches[0].__exit__(None, None, None)
    assert counted["before"] == {}
    assert counted["final check"]["open"] == 1
    assert counted["final check"]["access"] >= 1
    assert after == {}
    assert result.final_check.rows == pytest.approx(400, abs=60)
    published = [path for path in (tmp_path / "runs").rglob("*") if "sealed" in path.name or "opened" in path.name]
    assert published == []
