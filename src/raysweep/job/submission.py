"""A sweep made ready for a cluster, and begun there, unless it runs there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any, Final

from raysweep.bundle.locate import SUBMIT_AGAIN, resume_command
from raysweep.config import S3Config, SweepConfig, load_config
from raysweep.documents import canonical_json, digest
from raysweep.errors import NotFound, RaysweepError, RequestInvalid
from raysweep.history import MAY_CHANGE, value_at
from raysweep.job.jobs_api import JobsApi
from raysweep.job.jobs_of_run import attempts_of, submission_id
from raysweep.job.local_data import absolute, check_addresses, uploaded
from raysweep.job.packing import Install, Origin, Package, pack
from raysweep.job.remembered import remember
from raysweep.job.submitted import SubmittedRun
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.request_check import check_asked
from raysweep.run_place import plan_resume
from raysweep.runtime.run_folder import check_run_id
from raysweep.storage.open_store import open_store

Say = Callable[[str], None]
_STORE_SECONDS: Final = 5.0  # a client may have no way to the store: then the job finds out
_TAKEN: Final = "already exists"


@dataclass(frozen=True, slots=True)
class Choices:
    """How a sweep is submitted.

    Attributes:
        run_id: None takes the sweep's name, so that the same line again goes on with the run.
        shared_paths: local paths are on a file system that every node sees.
        upload_data: local data are put into the store.
    """

    run_id: str | None = None
    install: Install = Install.CODE
    shared_paths: bool = False
    upload_data: bool = False


def begin(
    address: str,
    sweep: SweepConfig | Mapping[str, Any] | str | Path,
    overrides: Sequence[str],
    choices: Choices,
    say: Say,
) -> SubmittedRun:
    """Check a sweep as far as this machine can, send it, and begin it; or find the job that does it already.

    Raises:
        RequestInvalid, NotFound: what is asked is wrong, lies only on this machine, is published already, or runs there
            with another sweep.
        StorageFailed: data cannot be uploaded.
        RayUnavailable: the cluster does not answer, refuses, or is too old.
    """
    config = load_config(sweep, overrides=overrides)
    run_id = config.name if choices.run_id is None else choices.run_id
    return _begin(JobsApi(address), config, replace(choices, run_id=run_id), say)


def begin_from(
    address: str, run: str, overrides: Sequence[str], choices: Choices, s3: S3Config | None, say: Say
) -> SubmittedRun:
    """Go on with a run on a cluster: one that has not finished in its place, a published one as a new run.

    Without a run id the new run's follows from what it is asked, so that the same line again goes on with it.

    Raises:
        NotFound: there is no such run, or it has recorded nothing.
        RequestInvalid: something would change that must not; and as `begin`.
        StorageFailed, RayUnavailable: as `begin`.
    """
    if choices.upload_data:
        raise RequestInvalid(
            "--upload-data: a run that is gone on with reads the data that it began with: leave it out"
        )
    plan = plan_resume(run, overrides, choices.run_id, s3)
    now = absolute(plan.config)
    rules = now.checks.schema_file
    if rules is not None and not Path(rules).is_file():
        raise NotFound(f"checks.schema: {rules} is not on this machine: name its file by --set checks.schema=PATH")
    changes = tuple(_changes(plan.earlier.history.config() or now, now))
    name = plan.earlier.lineage.partition("@")[0] or plan.run_id
    origin = Origin(f"{now.export.to.rstrip('/')}/{name}", changes, now.export.s3.endpoint_url)
    run_id = plan.run_id
    if plan.earlier.lineage:
        run_id = choices.run_id or f"{name}-{digest(origin.words)[:6]}"
        say(f"the run {run_id} starts from what {name} has tried")
    return _begin(JobsApi(address), now, replace(choices, run_id=run_id), say, origin)


def _changes(before: SweepConfig, now: SweepConfig) -> Iterator[str]:
    """What differs, as assignments that need no file of this machine; the cluster is the job's own."""
    for path in MAY_CHANGE:
        value = value_at(now, path)
        if path != "cluster" and value != value_at(before, path):
            yield f"{path}={canonical_json(value).decode()}"


def _begin(api: JobsApi, config: SweepConfig, choices: Choices, say: Say, origin: Origin | None = None) -> SubmittedRun:
    run_id = str(choices.run_id)
    check_run_id(run_id)
    check_addresses(config, shared=choices.shared_paths, upload=choices.upload_data)
    config = absolute(config)
    published = _LookedUp(config, run_id)
    api.check_cluster()
    for sentence in check_asked(config).said:
        say(sentence)
    if choices.upload_data:
        config = uploaded(config, say)
    package = pack(config, run_id, choices.install, origin)
    job_id = _running(api, package)
    if job_id is None:
        published.refuse(say)
        job_id = _send(api, package, say)
    else:
        say(f"the run {run_id} is running already: this is job {job_id}")
    remember(run_id, api.address)
    return SubmittedRun(run_id, job_id, api.address, api, package.resumed_as)


def _running(api: JobsApi, package: Package) -> str | None:
    """The id of the run's job that is not over; None where there is none.

    Raises:
        RequestInvalid: it was asked another sweep.
    """
    for attempt in attempts_of(package.run_id, api.jobs()):
        if attempt.job.state.is_over:
            continue
        if attempt.digest != package.digest and not package.asks_nothing_new:
            raise RequestInvalid(
                f"the run {package.run_id} is running on this cluster, as job {attempt.job.submission_id}, with "
                f"another sweep: choose another run id (--run), or stop that one first (raysweep stop {package.run_id})"
            )
        return attempt.job.submission_id
    return None


def _send(api: JobsApi, package: Package, say: Say) -> str:
    """Send the package, and begin the run's next job."""
    working_dir = api.upload(package.name, package.content)
    say(f"{len(package.content):,} bytes are sent to {api.address}: the sweep, its rules and raysweep, no data")
    number = max((one.number for one in attempts_of(package.run_id, api.jobs())), default=0) + 1
    job_id = submission_id(package.run_id, number)
    try:
        api.submit(
            job_id,
            package.entrypoint(),
            runtime_env=package.runtime_env(working_dir),
            metadata=package.metadata(number),
        )
    except RequestInvalid as error:
        running = _running(api, package) if _TAKEN in str(error) else None  # somebody was a moment faster
        if running is None:
            raise
        return running
    say(f"job {job_id} begins")
    return job_id


class _LookedUp:
    """Whether the run is published already, looked for beside the rest; a store that does not answer says nothing."""

    def __init__(self, config: SweepConfig, run_id: str) -> None:
        self._config = config
        self._run_id = run_id
        self._found: bool | None = None
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def refuse(self, say: Say) -> None:
        """Refuse a run that is published."""
        self._thread.join(_STORE_SECONDS)
        if self._found is None:
            say(f"{self._config.export.to} cannot be looked at from here: the job will")
        if self._found:
            address = f"{self._config.export.to.rstrip('/')}/{self._run_id}"
            more = resume_command(address, self._config, "search.trials=...", command=SUBMIT_AGAIN)
            raise RequestInvalid(
                f"{address} is published already: choose another run id (--run), or start from what it has tried, with "
                f"more budget or a wider space, by `{more}`"
            )

    def _look(self) -> None:
        config = self._config
        try:
            self._found = open_store(config.export.to, config.export.s3).child(self._run_id).exists(MANIFEST_FILE)
        except RaysweepError:
            self._found = None
