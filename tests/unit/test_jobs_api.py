"""What answers at an address: a cluster, or not; each kind of silence and refusal has its own words, in time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import NotFound, RayUnavailable, RequestInvalid
from raysweep.job import jobs_api
from raysweep.job.halt import halt
from raysweep.job.jobs_api import JobsApi, JobState
from raysweep.job.remembered import choose_address, recall, remember

Answer = tuple[int, str]
TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - made up


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler], Answer]) -> Iterator[str]:
    """A server on loopback that answers so; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, text = answer(self)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = reply  # noqa: N815 - the names of http.server

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, "<!doctype html><title>Log in</title>"), "not Ray's dashboard.*a web page.*a proxy or a login page"),
        ((200, "[1, 2]"), "not Ray's dashboard.*names no version"),
        ((200, ""), "not Ray's dashboard.*no JSON"),
        ((404, "nothing here"), "not Ray's dashboard.*knows no /api/version"),
        ((302, ""), r"(refuses|answers|not Ray's)"),
        ((500, "Traceback\nOSError: the GCS is away"), "HTTP 500: OSError: the GCS is away"),
        ((401, "Unauthorized"), "wants a token.*RAY_AUTH_TOKEN"),
        ((200, '{"ray_version": "2.9.3"}'), r"runs Ray 2\.9\.3, and raysweep needs 2\.\d+ or newer"),
    ],
)
def test_what_is_no_cluster_is_told_from_one(answer: Answer, words: str) -> None:
    with served(lambda _: answer) as address, pytest.raises(RayUnavailable, match=words):
        JobsApi(address, {}).check_cluster()


def test_a_wrong_token_is_told_from_none_and_never_repeated() -> None:
    with (
        served(lambda _: (403, "Forbidden")) as address,
        pytest.raises(RayUnavailable, match="refuses the token") as said,
    ):
        JobsApi(address, {"RAY_AUTH_TOKEN": TOKEN}).check_cluster()
    assert TOKEN not in str(said.value)
    assert TOKEN not in repr(said.value.__cause__)


@pytest.mark.parametrize("mode", ["variable", "file", "home"])
def test_the_token_is_found_where_ray_finds_it(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    environment = {
        "variable": {"RAY_AUTH_TOKEN": TOKEN},
        "file": {"RAY_AUTH_TOKEN_PATH": str(file)},
        "home": {"RAY_AUTH_MODE": "token"},
    }[mode]

    assert JobsApi("http://head:8265", environment).headers == {"Authorization": f"Bearer {TOKEN}"}
    assert JobsApi("http://head:8265", {}).headers == {}  # a file in the home folder is not sent to just anybody


@pytest.mark.parametrize("content", ["", "two words\n", "ab\x00c"])
def test_a_file_without_a_token_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(RequestInvalid, match="cannot be read"):
        JobsApi("http://head:8265", {"RAY_AUTH_TOKEN_PATH": str(file)})
    file.write_text(content)
    with pytest.raises(RequestInvalid, match="holds no token"):
        JobsApi("http://head:8265", {"RAY_AUTH_TOKEN_PATH": str(file)})


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(RayUnavailable, match=f"nothing answers at http://127.0.0.1:{port}.*port 8265.*port-forward"):
        JobsApi(f"http://127.0.0.1:{port}", {}).check_cluster()


def test_somebody_listens_and_stays_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobsApi._json, "__kwdefaults__", {"seconds": 0.2})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = JobsApi(f"http://127.0.0.1:{silent.getsockname()[1]}", {})
        with pytest.raises(RayUnavailable, match="does not answer in time"):
            api.check_cluster()
    assert jobs_api.QUICK_SECONDS * 2 <= 30


def test_something_else_than_http_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(RayUnavailable, match=r"nothing answers|not Ray's"):
            JobsApi(f"http://127.0.0.1:{server.getsockname()[1]}", {}).check_cluster()
        thread.join()


@pytest.mark.parametrize("address", ["head:8265", "ray://head:10001", "http://", "auto", "http://me:secret@head:8265"])
def test_an_address_that_takes_no_jobs_is_refused(address: str) -> None:
    with pytest.raises(RequestInvalid, match="--address") as refused:
        JobsApi(address, {})
    assert "secret" not in str(refused.value)


def test_a_job_is_read_as_ray_describes_it() -> None:
    plain = {
        "submission_id": "nightly-1", "status": "FAILED", "message": "m", "start_time": 1000, "end_time": 3500,
        "metadata": {"raysweep_run": "nightly"}, "driver_node_id": "ab", "driver_exit_code": 7, "type": "SUBMISSION",
    }  # fmt: skip
    with served(lambda _: (200, json.dumps([plain, {"submission_id": None, "status": "RUNNING"}]))) as address:
        (job,) = JobsApi(address, {}).jobs()

    assert (job.state, job.exit_code, job.started, job.ended) == (JobState.FAILED, 7, 1.0, 3.5)
    assert job.state.is_over


def test_a_job_that_is_not_there_is_not_found() -> None:
    with served(lambda _: (404, "Job x does not exist")) as address, pytest.raises(NotFound, match="Job x does not"):
        JobsApi(address, {}).job("x")


def test_a_package_goes_up_once() -> None:
    kept: dict[str, bytes] = {}
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        asked.append(request.command)
        if request.command == "PUT":
            kept[request.path] = b""
        return (200 if request.path in kept else 404), ""

    with served(answer) as address:
        for _ in range(2):
            assert JobsApi(address, {}).upload("_ray_pkg_ab.zip", b"zip") == "gcs://_ray_pkg_ab.zip"

    assert asked == ["GET", "PUT", "GET"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def test_where_a_run_was_submitted_is_remembered_for_nobody_else(home: Path) -> None:
    assert recall("nightly") is None
    remember("nightly", "http://one:8265")
    remember("nightly", "http://two:8265")

    assert recall("nightly") == "http://two:8265"
    (file,) = (home / "jobs").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (home / "jobs").stat().st_mode & 0o777 == 0o700
    file.write_text("torn {")
    assert recall("nightly") is None
    with pytest.raises(RequestInvalid):
        recall("../elsewhere")


def test_the_cluster_that_was_said_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestInvalid, match=r"which cluster\? Say --address"):
        choose_address(None, "nightly")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")  # no address of a dashboard
    with pytest.raises(RequestInvalid, match="which cluster"):
        choose_address(None)
    monkeypatch.setenv("RAY_ADDRESS", "http://ray:8265")
    assert choose_address(None) == "http://ray:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://api:8265/")
    assert choose_address(None) == "http://api:8265"
    remember("nightly", "http://mine:8265")
    assert choose_address(None, "nightly") == "http://mine:8265"
    assert choose_address("http://said:8265", "nightly") == "http://said:8265"


STUBBORN = "import signal, time; signal.signal(signal.SIGQUIT, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
CIVIL = (
    "import signal, time; signal.signal(signal.SIGQUIT, lambda *_: exit(0)); print('on', flush=True); time.sleep(60)"
)


@pytest.mark.parametrize(("program", "code"), [(CIVIL, 0), (STUBBORN, -signal.SIGKILL)])
def test_a_driver_is_asked_before_it_is_killed(program: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysweep.job.halt.PATIENCE_SECONDS", 0.3)
    words = [sys.executable, "-c", program, "-m", "raysweep"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        reaper = threading.Thread(target=driver.wait)  # as Ray's supervisor does
        reaper.start()
        assert halt(driver.pid)
        reaper.join()
    assert driver.returncode == code


def test_a_process_that_is_no_driver_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        time.sleep(0.05)
        assert not halt(other.pid)
        assert other.poll() is None
        os.kill(other.pid, signal.SIGKILL)
