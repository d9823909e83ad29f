"""`raysweep doctor` for a cluster that is reached by its dashboard alone: a job looks, from the node of its head."""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from raysweep.config import IN_MEMORY, SweepConfig
from raysweep.diagnosis import Diagnoses, Diagnosis, State, Tell
from raysweep.errors import NotFound, RaysweepError, RayUnavailable, RequestInvalid
from raysweep.job.driver import LOOK
from raysweep.job.jobs_api import JobsApi
from raysweep.job.local_data import absolute, check_addresses
from raysweep.job.log_stream import LogStream
from raysweep.job.look_there import OVER, SEEN
from raysweep.job.packing import entrypoint, package_name, sweep_files
from raysweep.job.run_state import RunState
from raysweep.job.wheel import own_wheel, zip_of

LONGEST_SECONDS: Final = 180.0
_END_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.2
_SHOWN_LINES: Final = 3


def look(address: str, config: SweepConfig | None, tell: Tell) -> Diagnoses:
    """What would go wrong in a sweep there, as far as one that looks from the cluster can see; nothing is left there.

    Args:
        address: of the dashboard.
        config: the sweep; None looks at the cluster alone.
        tell: gets each diagnosis as it is found.

    Raises:
        RequestInvalid: the address is none.
    """
    api, rows = JobsApi(address), list[Diagnosis]()
    for row in _all(api, config):
        rows.append(row)
        tell(row)
    return Diagnoses(tuple(rows))


def _all(api: JobsApi, config: SweepConfig | None) -> Iterator[Diagnosis]:
    try:
        said = f"Ray {api.check_cluster()} answers, and takes jobs"
        files = own_wheel().files
        if config is not None:
            yield from _local_paths(config)
            files = {**files, **sweep_files(absolute(config))[1]}
        content = zip_of(files)
        working_dir = api.upload(package_name(content), content)
        yield Diagnosis("cluster", api.address, State.OK, said)
        yield from _by_a_job(api, working_dir)
    except (RequestInvalid, NotFound) as error:
        what = "a sweep" if config is None else config.name
        yield Diagnosis("request", what, State.FAILED, str(error), exit_code=error.exit_code)
    except RaysweepError as error:
        yield Diagnosis("cluster", api.address, State.FAILED, str(error), exit_code=error.exit_code)


def _local_paths(config: SweepConfig) -> Iterator[Diagnosis]:
    """What `raysweep submit` would not send as it is; whether the cluster sees it all the same is looked at there."""
    try:
        check_addresses(config, shared=False, upload=False)
    except RequestInvalid as error:
        if IN_MEMORY in config.data.sources:  # never sent
            raise
        yield Diagnosis("request", "addresses", State.LACKING, str(error))


def _by_a_job(api: JobsApi, working_dir: str) -> Iterator[Diagnosis]:
    job_id = f"raysweep-doctor-{secrets.token_hex(4)}"
    api.submit(job_id, entrypoint(LOOK), runtime_env={"working_dir": working_dir}, metadata={"job_name": job_id})
    try:
        yield from _seen(api, job_id)
    finally:
        with suppress(RaysweepError):  # else it stays in the list until the head ends
            _end(api, job_id)


def _end(api: JobsApi, job_id: str) -> None:
    """Take the job out of the list; before that, stop it where it is not over."""
    until = time.monotonic() + _END_SECONDS
    if not api.job(job_id).state.is_over:
        api.stop(job_id)
    while not api.job(job_id).state.is_over and time.monotonic() < until:
        time.sleep(_PAUSE_SECONDS)
    api.delete(job_id)


def _seen(api: JobsApi, job_id: str) -> Iterator[Diagnosis]:
    """What the job sees.

    Raises:
        RaysweepError: it has not come to its end.
    """
    state, last, is_over = RunState(), deque[str](maxlen=_SHOWN_LINES), False
    until = time.monotonic() + LONGEST_SECONDS
    for line in LogStream(api, job_id).lines():
        if time.monotonic() > until:
            raise RayUnavailable(f"the job {job_id} has not come to its end in {LONGEST_SECONDS:.0f} s")
        found = _event_of(line)
        if found.get("event") == SEEN:
            yield _row(found)
        elif found.get("event") == OVER:
            is_over = True
        elif line:
            state.read(line)
            last.append(line)
    if is_over:
        return
    if state.failed is not None:
        raise RayUnavailable(state.failed.message)
    said = " / ".join(last) or api.job(job_id).message
    raise RayUnavailable(f"the job {job_id} ended before it had seen all: {said}")


def _event_of(line: str | None) -> Mapping[str, Any]:
    with suppress(ValueError):
        found = json.loads(line or "null")
        return found if isinstance(found, dict) else {}
    return {}


def _row(found: Mapping[str, Any]) -> Diagnosis:
    words = {name: str(found[name]) for name in ("area", "what", "said", "permission")}
    return Diagnosis(**words, state=State(found["state"]), exit_code=int(found["exit_code"]))
