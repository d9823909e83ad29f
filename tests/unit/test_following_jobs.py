"""A job's log comes whole and once, whatever breaks; and what came of the job is what its driver said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from raysweep.errors import DataUnsuitable, Interrupted, RaysweepError, RayUnavailable, RequestInvalid, StorageFailed
from raysweep.event_lines import event_lines
from raysweep.events import DataChecked, Said, Stage, StageStarted, SweepEnded, SweepFailed, TrialEnded
from raysweep.job import log_stream
from raysweep.job.jobs_api import Job, JobsApi, JobState
from raysweep.job.jobs_of_run import attempts_of, last_attempt
from raysweep.job.log_stream import LogStream
from raysweep.job.outcome import contradiction, result_of
from raysweep.job.run_state import RunState, state_of
from raysweep.records.final_check import Verdict
from record_builders import make_ended, make_final_check, make_plan, make_trial, make_view

AGAIN = "raysweep submit SWEEP --run nightly"


class Dashboard:
    """Ray's part of a job: a log, and a state; breaks off connections as the test says."""

    def __init__(self) -> None:
        self.log = ""
        self.status = "RUNNING"
        self.cuts: list[int] = []  # after how many characters each of the first connections breaks
        self.connections = 0
        self.answers = True

    async def tail(self, request: web.Request) -> web.WebSocketResponse:
        import asyncio

        self.connections += 1
        cut = self.cuts.pop(0) if self.cuts else None
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sent = 0
        while True:
            until = len(self.log) if cut is None else min(cut, len(self.log))
            for start in range(sent, until, 7):
                await socket.send_str(self.log[start : min(start + 7, until)])
            sent = until
            if cut is not None and sent == cut and request.transport is not None:
                request.transport.abort()
                return socket
            if self.status != "RUNNING" and sent == len(self.log):
                return socket
            await asyncio.sleep(0.01)

    async def job(self, _request: web.Request) -> web.Response:
        if not self.answers:
            return web.Response(status=503, text="away")
        return web.json_response({"submission_id": "nightly-1", "status": self.status})


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Dashboard, JobsApi]]:
    import asyncio

    for name, seconds in {"_TURN": 0.02, "_PAUSE": 0.01, "LOOK": 0.05, "LOST": 0.3, "_AFTER_END": 0.3}.items():
        monkeypatch.setattr(log_stream, f"{name}_SECONDS", seconds)
    board, loop, ready = Dashboard(), asyncio.new_event_loop(), threading.Event()
    app = web.Application()
    app.router.add_get("/api/jobs/nightly-1/logs/tail", board.tail)
    app.router.add_get("/api/jobs/nightly-1", board.job)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    port: list[int] = []

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.append(runner.addresses[0][1])
        ready.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    yield board, JobsApi(f"http://127.0.0.1:{port[0]}", {})
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


LINES = [f"line {number} ä東京" for number in range(30)]


def test_each_line_comes_once_however_often_the_connection_breaks(dashboard: tuple[Dashboard, JobsApi]) -> None:
    board, api = dashboard
    board.log = "\n".join(LINES) + "\nwithout an end"
    board.cuts = [0, 10, 10, 101, 330]
    board.status = "SUCCEEDED"

    stream = LogStream(api, "nightly-1")

    assert [line for line in stream.lines() if line is not None] == [*LINES, "without an end"]
    assert board.connections == 6
    assert stream.job is not None
    assert stream.job.state is JobState.SUCCEEDED


def test_a_line_comes_when_it_is_whole(dashboard: tuple[Dashboard, JobsApi]) -> None:
    board, api = dashboard
    board.log = "one\ntw"
    lines = LogStream(api, "nightly-1").lines()
    assert next(line for line in lines if line is not None) == "one"
    for _ in range(5):
        assert next(lines) is None
    board.log += "o\n"
    assert next(line for line in lines if line is not None) == "two"
    board.status = "STOPPED"
    assert [line for line in lines if line is not None] == []


def test_a_head_that_is_gone_for_good_is_said(dashboard: tuple[Dashboard, JobsApi]) -> None:
    board, api = dashboard
    board.log = "one\n"
    lines = LogStream(api, "nightly-1").lines()
    assert next(line for line in lines if line is not None) == "one"
    board.answers = False
    with pytest.raises(RayUnavailable, match="HTTP 503"):
        list(lines)


def test_a_head_that_comes_back_is_waited_for(dashboard: tuple[Dashboard, JobsApi]) -> None:
    board, api = dashboard
    board.log, board.answers = "one\n", False
    lines = LogStream(api, "nightly-1").lines()
    seen = [next(lines) for _ in range(6)]
    board.answers, board.log, board.status = True, "one\ntwo\n", "FAILED"
    seen += list(lines)

    assert [line for line in seen if line is not None] == ["one", "two"]


def job(state: JobState = JobState.FAILED, code: int | None = None, **more: Any) -> Job:
    return Job("nightly-1", state, more.pop("message", ""), 1.0, 2.0, more, "node", code)


def state_after(*events: Any) -> RunState:
    return state_of(line for event in events for line in ([event] if isinstance(event, str) else event_lines(event)))


def test_the_result_is_what_the_driver_said() -> None:
    state = state_after("Ray's own words", StageStarted(Stage.SOURCE), make_ended())

    assert (
        result_of(job(JobState.STOPPED), state, AGAIN) == make_ended()
    )  # Ray knows no exit code of a job that it stopped
    assert contradiction(job(JobState.STOPPED), make_ended()) == ""
    assert contradiction(job(JobState.SUCCEEDED, 0), make_ended()) == ""
    assert "exit code 1, not 0" in contradiction(job(code=1), make_ended())
    poor = replace(make_ended(), final_check=make_final_check(Verdict.NOT_ADEQUATE))
    assert contradiction(job(code=7), poor) == ""


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        (SweepFailed("RequestInvalid", "no", 2, ("a", "b")), RequestInvalid),
        (SweepFailed("RunTakenOver", "no", 6), StorageFailed),
        (SweepFailed("Interrupted", "no", 130), Interrupted),
        (SweepFailed("ZeroDivisionError", "no", 1), RaysweepError),
        (SweepFailed("InventedLater", "no", 6), StorageFailed),
    ],
)
def test_an_error_of_the_sweep_is_raised_here_as_it_was_there(failed: SweepFailed, kind: type[RaysweepError]) -> None:
    with pytest.raises(kind, match="no") as raised:
        result_of(job(code=failed.exit_code), state_after(failed), AGAIN)
    assert raised.value.exit_code == failed.exit_code
    assert tuple(getattr(raised.value, "problems", ())) == failed.problems


def test_unsuitable_data_bring_their_findings() -> None:
    check = make_view().check
    failed = SweepFailed("DataUnsuitable", "no", 3, (), "s3://bucket/runs/nightly")
    with pytest.raises(DataUnsuitable) as raised:
        result_of(job(code=3), state_after(DataChecked(check), failed), AGAIN)
    assert raised.value.findings == check.findings
    assert raised.value.bundle_url == "s3://bucket/runs/nightly"


@pytest.mark.parametrize(
    ("ended_so", "code", "words"),
    [
        (job(code=-9), 5, "exit code -9.*A node was lost"),
        (job(code=137), 5, "exit code 137"),
        (job(message="Job supervisor actor died\nmore"), 5, "Ray says: Job supervisor actor died. A node"),
        (job(code=1), 1, "left with exit code 1"),
        (job(code=2), 2, "left with exit code 2"),
    ],
)
def test_a_driver_without_a_last_word_is_lost(ended_so: Job, code: int, words: str) -> None:
    state = state_after(StageStarted(Stage.SEARCH), "Killed")
    with pytest.raises(RaysweepError, match=words) as raised:
        result_of(ended_so, state, AGAIN)
    assert raised.value.exit_code == code
    assert AGAIN in str(raised.value)
    assert "Killed" in str(raised.value)


def test_a_log_says_how_far_the_sweep_is() -> None:
    driver = json.dumps({"event": "JobStarted", "run_id": "nightly", "pid": 17, "host": "n0"})
    state = state_after(driver, StageStarted(Stage.SEARCH), make_plan(), TrialEnded(make_trial(0, 0.7)), Said("x"))

    assert state.progress() == "search; 1 of 100 done, 0 running; best roc_auc 0.7 on testing (xgboost, trial 0)"
    assert state.to_document()["best"] == {"trial": 0, "roc_auc": 0.7, "part": "testing"}
    assert (state.pid, state.host) == (17, "n0")
    assert RunState().progress() == ""


def test_the_attempts_of_a_run_are_told_from_other_jobs() -> None:
    def of(run: str | None, submission_id: str) -> Job:
        return replace(job(), submission_id=submission_id, metadata={} if run is None else {"raysweep_run": run})

    jobs = [of("a", "a-10"), of("a", "a-2"), of("a-2", "a-2-1"), of(None, "a-11"), of("a", "a-halt")]

    assert [one.number for one in attempts_of("a", jobs)] == [2, 10]
    assert last_attempt("a-2", jobs, "there").job.submission_id == "a-2-1"
    with pytest.raises(RaysweepError, match=r"knows no run b.*goes on from its journal"):
        last_attempt("b", jobs, "there")


def test_the_summary_has_all_that_it_needs() -> None:
    event = make_ended()
    assert isinstance(event, SweepEnded)
    assert event.aims.further == ("size_bytes",)
