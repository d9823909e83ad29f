"""Ray's Jobs API over HTTP: the same requests as Ray's own client makes, each with a limit of time and a clear refusal.

Ray's client waits without one, lets the environment overrule the address it is given, and takes seconds to load.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from raysweep.documents import shorten
from raysweep.errors import NotFound, RayUnavailable, RequestInvalid
from raysweep.job.access import TOKEN_VARIABLES, check_address, find_token
from raysweep.job.packages import is_older, needed_packages

QUICK_SECONDS: Final = 10.0
SLOW_SECONDS: Final = 120.0  # an upload, or a log of many thousand trials
_MOST_BYTES: Final = 512 * 1024**2
_HTTP_NOT_FOUND: Final = 404
_HTTP_DENIED: Final = (401, 403)


class JobState(StrEnum):
    """Where a job stands, in Ray's words."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come."""
        return self not in {JobState.PENDING, JobState.RUNNING}


@dataclass(frozen=True, slots=True)
class Job:
    """What the cluster says of a job.

    Attributes:
        message: of Ray, about its state.
        started, ended: seconds since the epoch; None where it has not.
        node_id: of the driver's node.
        exit_code: of the driver; None where it has none: still there, stopped, or lost.
    """

    submission_id: str
    state: JobState
    message: str
    started: float | None
    ended: float | None
    metadata: Mapping[str, str]
    node_id: str | None
    exit_code: int | None
    runtime_env: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Job:
        """From the document that the API gives."""
        started, ended = (
            None if plain.get(name) is None else plain[name] / 1000 for name in ("start_time", "end_time")
        )
        return cls(
            submission_id=str(plain["submission_id"]),
            state=JobState(plain["status"]),
            message=str(plain.get("message") or ""),
            started=started,
            ended=ended,
            metadata=plain.get("metadata") or {},
            node_id=plain.get("driver_node_id"),
            exit_code=plain.get("driver_exit_code"),
            runtime_env=plain.get("runtime_env") or {},
        )


class JobsApi:
    """The jobs of one cluster.

    Every method raises `RayUnavailable`, saying what to do, where the cluster does not answer in time, refuses the
    token, or is none.
    """

    def __init__(self, address: str, environment: Mapping[str, str] | None = None) -> None:
        """At an address such as `http://head:8265`; the environment says where the token is."""
        self.address = check_address(address)
        self._token = find_token(os.environ if environment is None else environment)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries; a token is in it where the environment has one."""
        return {} if self._token is None else {"Authorization": f"Bearer {self._token}"}

    def check_cluster(self) -> str:
        """Ray's version there.

        Raises:
            RayUnavailable: nothing answers there, something else does, or its Ray is too old.
        """
        found = self._json("GET", "/api/version")
        if not isinstance(found, Mapping) or "ray_version" not in found:
            raise self._stranger("its answer to /api/version names no version of Ray")
        version, least = str(found["ray_version"]), needed_packages().get("ray", "")
        if least and is_older(version, least):
            raise RayUnavailable(
                f"the cluster at {self.address} runs Ray {version}, and raysweep needs {least} or newer: update the "
                "cluster's image"
            )
        return version

    def jobs(self) -> list[Job]:
        """All jobs that were submitted there, in no order."""
        found = self._json("GET", "/api/jobs/")
        return [Job.read(one) for one in found if one.get("submission_id")]

    def job(self, submission_id: str) -> Job:
        """One job.

        Raises:
            NotFound: the cluster knows none of that id.
        """
        return Job.read(self._json("GET", f"/api/jobs/{submission_id}"))

    def logs(self, submission_id: str) -> str:
        """All that the job has printed so far."""
        found = self._json("GET", f"/api/jobs/{submission_id}/logs", seconds=SLOW_SECONDS)
        return str(found.get("logs") or "")

    def stop(self, submission_id: str) -> bool:
        """Ask a job to end; False where it was over."""
        return bool(self._json("POST", f"/api/jobs/{submission_id}/stop", b"{}").get("stopped"))

    def delete(self, submission_id: str) -> None:
        """Take a job that is over out of the list.

        Raises:
            RequestInvalid, RayUnavailable: it is not over.
        """
        self._request("DELETE", f"/api/jobs/{submission_id}")

    def upload(self, name: str, content: bytes) -> str:
        """Put a package into the cluster unless it is there, and give its address for a runtime environment."""
        path = f"/api/packages/gcs/{name}"
        try:
            self._request("GET", path)  # also keeps it there until the job begins
        except NotFound:
            self._request("PUT", path, content, seconds=SLOW_SECONDS)
        return f"gcs://{name}"

    def submit(self, submission_id: str, entrypoint: str, **more: Any) -> None:
        """Begin a job.

        Args:
            submission_id: its id.
            entrypoint: a shell command.
            more: `runtime_env`, `metadata`, `entrypoint_label_selector` as in Ray's documentation.

        Raises:
            RequestInvalid: there is a job of that id, or something else in the request is refused.
        """
        body = json.dumps({"submission_id": submission_id, "entrypoint": entrypoint, **more}).encode()
        self._json("POST", "/api/jobs/", body, seconds=SLOW_SECONDS)

    def _json(self, method: str, path: str, body: bytes | None = None, *, seconds: float = QUICK_SECONDS) -> Any:
        text = self._request(method, path, body, seconds=seconds)
        try:
            return json.loads(text)
        except ValueError as error:
            what = "a web page" if text.lstrip()[:1] == b"<" else "no JSON"
            raise self._stranger(f"its answer to {path} is {what}") from error

    def _request(self, method: str, path: str, body: bytes | None = None, *, seconds: float = QUICK_SECONDS) -> bytes:
        headers = {**self.headers, **({} if body is None else {"Content-Type": "application/json"})}
        request = urllib.request.Request(self.address + path, body, headers, method=method)  # noqa: S310 - http(s) only
        try:
            answer = _answer_within(request, seconds)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from error
        if answer.code not in range(200, 300):
            raise self._refused(answer, path)
        if len(answer.content) > _MOST_BYTES:
            raise self._stranger(f"its answer to {path} does not end")
        return answer.content

    def _refused(self, answer: _Answer, path: str) -> Exception:
        words = _last_line(answer.content.decode("utf-8", "replace"))
        if answer.code in range(300, 400):
            return self._stranger(f"it sends on to {shorten(answer.location)}, where no token is sent")
        if answer.code in _HTTP_DENIED:
            return self._denied(answer.code)
        if answer.code == _HTTP_NOT_FOUND:
            if path == "/api/version":
                return self._stranger("it knows no /api/version")
            return NotFound(f"the cluster at {self.address} has no {path.removeprefix('/api/')}: {words}")
        if answer.code in range(400, 500):
            return RequestInvalid(f"the cluster at {self.address} refuses the request: {words}")
        return RayUnavailable(
            f"the cluster at {self.address} answers with HTTP {answer.code}: {words}. Where its head is about to "
            "start, try again in a moment"
        )

    def _denied(self, code: int) -> RayUnavailable:
        if self._token is None:
            return RayUnavailable(
                f"the cluster at {self.address} wants a token (HTTP {code}), and none is known here: set "
                f"{TOKEN_VARIABLES[0]}, or name the file that holds it by {TOKEN_VARIABLES[1]}"
            )
        return RayUnavailable(
            f"the cluster at {self.address} refuses the token (HTTP {code}): {TOKEN_VARIABLES[0]} or the file that "
            f"{TOKEN_VARIABLES[1]} names holds that of another cluster, or an old one"
        )

    def _silent(self, error: Exception) -> RayUnavailable:
        reason = getattr(error, "reason", None) or error
        words = "it does not answer in time" if isinstance(reason, TimeoutError) else shorten(str(reason), 200)
        return RayUnavailable(
            f"nothing answers at {self.address}: {words}. Check the address (the dashboard's, port 8265 by default), "
            "that the head is alive, and that this machine reaches it (kubectl port-forward, ssh -L)"
        )

    def _stranger(self, what: str) -> RayUnavailable:
        return RayUnavailable(
            f"what answers at {self.address} is not Ray's dashboard: {what}. Check host and port (8265 by default), "
            "and whether a proxy or a login page stands between"
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    content: bytes
    location: str = ""


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """Follows nobody to another place: the token would go along."""

    def redirect_request(self, *_: Any) -> None:
        """No request."""


def _answer_within(request: urllib.request.Request, seconds: float) -> _Answer:
    """What a server answers, whole, within so many seconds: its own limits count from one byte to the next.

    Raises:
        TimeoutError: it takes longer.
        OSError, http.client.HTTPException: it does not answer.
    """
    found: list[_Answer | Exception] = []

    def ask() -> None:
        try:
            found.append(_ask(request, seconds))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            found.append(error)

    thread = threading.Thread(target=ask, name="raysweep-jobs-api", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _ask(request: urllib.request.Request, seconds: float) -> _Answer:
    try:
        with urllib.request.build_opener(_StaysHere).open(request, timeout=seconds) as answer:
            return _Answer(answer.status, bytes(answer.read(_MOST_BYTES + 1)))
    except urllib.error.HTTPError as error:
        with error:
            return _Answer(error.code, error.read(_MOST_BYTES), str(error.headers.get("Location") or ""))


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return shorten(lines[-1], 300) if lines else "without a word"
