"""A submitted run, to be watched, stopped and waited for; what `raysweep.submit` and `raysweep.attach` give."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from raysweep.errors import NotFound, RaysweepError, RayUnavailable
from raysweep.events import Event, Listener, SweepEnded, ignore
from raysweep.job.jobs_api import Job, JobsApi, JobState
from raysweep.job.jobs_of_run import Attempt, last_attempt
from raysweep.job.log_stream import LogStream
from raysweep.job.outcome import contradiction, result_of
from raysweep.job.packing import METADATA_RESUMED, run_of
from raysweep.job.run_state import RunState, state_of

Words = Callable[[str], None]
_HALT_SECONDS: Final = 90.0
_PAUSE_SECONDS: Final = 1.0
_NODE_LABEL: Final = "ray.io/node-id"


def nothing(_: str) -> None:
    """Do nothing with a line."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Where a submitted run stands.

    Attributes:
        state: what its driver has said so far.
        next_steps: commands that make sense now.
    """

    run_id: str
    address: str
    attempt: Attempt
    state: RunState
    next_steps: tuple[str, ...]

    @property
    def job(self) -> Job:
        """The last job of the run."""
        return self.attempt.job

    def to_document(self) -> dict[str, Any]:
        """As `raysweep status RUN --json` prints it."""
        ended, failed = self.state.ended, self.state.failed
        return {
            **job_document(self.job),
            "address": self.address,
            **self.state.to_document(),
            "bundle_url": None if ended is None else ended.bundle_url,
            "verdict": None if ended is None else ended.final_check.verdict,
            "error": None if failed is None else failed.message,
            "next": list(self.next_steps),
        }

    def __repr__(self) -> str:
        progress = self.state.progress()
        said = f"; {progress}" if progress else ""
        return f"<RunStatus {self.run_id}: {self.job.state.value.lower()}, attempt {self.attempt.number}{said}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run on a cluster, whoever submitted it; every method asks the cluster anew.

    Attributes:
        submission_id: Ray's id of the job.
        address: of the cluster.
        resumed_as: the command by which the run is gone on with, where it has no sweep file.
    """

    run_id: str
    submission_id: str
    address: str
    _api: JobsApi = field(repr=False)
    resumed_as: str = ""

    def status(self) -> RunStatus:
        """Where it stands; reads the job's whole log.

        Raises:
            RayUnavailable: the cluster does not answer.
            NotFound: it knows the job no more.
        """
        job = self._api.job(self.submission_id)
        state = state_of(self.logs().splitlines()) if job.state is not JobState.PENDING else RunState()
        number = int(self.submission_id.rpartition("-")[2])
        return RunStatus(self.run_id, self.address, Attempt(number, job), state, self._next_steps(job, state))

    def logs(self) -> str:
        """All that the job has printed, its events as lines of JSON."""
        return self._api.logs(self.submission_id)

    def lines(self) -> Iterator[str | None]:
        """The log as it comes, until the job is over; None now and then while nothing comes."""
        return LogStream(self._api, self.submission_id).lines()

    def stop(self, *, now: bool = False) -> bool:
        """Ask the run to finish with what there is, or, with `now`, to stop at once and be gone on with later.

        Returns:
            Whether it was still there.

        Raises:
            RayUnavailable: the cluster does not answer, or the driver does not go.
        """
        job = self._api.job(self.submission_id)
        if job.state.is_over:
            return False
        if now:
            self._halt(job)
        # Else a job that has not begun would begin, and Ray would take one that was halted for one that failed.
        return self._api.stop(self.submission_id) or now

    def wait(
        self,
        listener: Listener = ignore,
        *,
        words: Words = nothing,
        turn: Callable[[], None] | None = None,
    ) -> SweepEnded:
        """Follow the run to its end.

        Args:
            listener: gets every event, those from before this call as well.
            words: gets every line of the log that is none.
            turn: called now and then.

        Returns:
            What it came to.

        Raises:
            RaysweepError: what the sweep ended with, as the same class.
            RayUnavailable: the cluster is lost, or the driver ended without a word.
        """
        stream, state = LogStream(self._api, self.submission_id), RunState()
        self._api.job(self.submission_id)  # from here on one that is not there was lost with its head
        try:
            for line in stream.lines():
                if turn is not None:
                    turn()
                if line is not None:
                    _hand_on(state.read(line), listener, words)
            job = self._api.job(self.submission_id)
        except (RayUnavailable, NotFound) as error:
            lost = "the cluster was started anew and has forgotten it: " if isinstance(error, NotFound) else ""
            raise RayUnavailable(
                f"{lost}{error}. The run {self.run_id} was followed there until now: `{self.again()}` follows it "
                "further, or goes on with it from its journal"
            ) from error
        ended = result_of(job, state, self.again())
        odd = contradiction(job, ended)
        if odd:
            words(odd)
        return ended

    @property
    def named(self) -> str:
        """The run and its cluster, as a user types them after a command."""
        return f"{shlex.quote(self.run_id)} --address {shlex.quote(self.address)}"

    def again(self) -> str:
        """What a user types to follow or go on with the run."""
        if self.resumed_as:
            return f"{self.resumed_as} --address {shlex.quote(self.address)}"
        return f"raysweep submit SWEEP --run {self.named}"

    def _halt(self, job: Job) -> None:
        """Stop the driver by a process on its node: the Jobs API passes only one signal on, and only once."""
        state = state_of(self.logs().splitlines())
        if state.pid is None or job.node_id is None:
            return  # it has not come so far that anything could be lost
        helper = f"{self.submission_id}-halt-{int(time.time())}"
        self._api.submit(
            helper,
            f'exec "$(command -v python || command -v python3)" -m raysweep.job.halt {state.pid}',
            runtime_env=dict(job.runtime_env),
            metadata={"job_name": helper},
            entrypoint_label_selector={_NODE_LABEL: job.node_id},
        )
        deadline = time.monotonic() + _HALT_SECONDS
        while not (found := self._api.job(helper)).state.is_over:
            if time.monotonic() > deadline:
                raise RayUnavailable(f"the driver of {self.submission_id} was not reached in {_HALT_SECONDS:.0f} s")
            time.sleep(_PAUSE_SECONDS)
        with suppress(RaysweepError):  # it stays in the list until the head ends
            self._api.delete(helper)
        if found.state is not JobState.SUCCEEDED and not self._api.job(self.submission_id).state.is_over:
            raise RayUnavailable(f"the driver of {self.submission_id} could not be stopped: {found.message}")

    def _next_steps(self, job: Job, state: RunState) -> tuple[str, ...]:
        if not job.state.is_over:
            return f"raysweep logs {self.named} --follow", f"raysweep stop {self.named}", self.again()
        if state.ended is not None:
            bundle = shlex.quote(state.ended.bundle_url)
            return f"raysweep show {bundle}", f"raysweep verify {bundle}"
        return f"raysweep logs {self.named}", self.again()

    def __repr__(self) -> str:
        return f"<SubmittedRun {self.run_id}: job {self.submission_id} at {self.address}>"

    def _repr_html_(self) -> str:
        job, place = escape(self.submission_id), escape(self.address)
        return f"<p>run <b>{escape(self.run_id)}</b>: job <code>{job}</code> at <code>{place}</code></p>"


def find_run(api: JobsApi, run_id: str) -> SubmittedRun:
    """The last job of a run.

    Raises:
        NotFound: the cluster knows none.
        RayUnavailable: it does not answer.
    """
    attempt = last_attempt(run_id, api.jobs(), api.address)
    resumed_as = attempt.job.metadata.get(METADATA_RESUMED, "")
    return SubmittedRun(run_id, attempt.job.submission_id, api.address, api, resumed_as)


def all_runs(api: JobsApi) -> list[tuple[str, Attempt]]:
    """The last job of every run that the cluster knows, the latest first."""
    jobs = api.jobs()
    runs = {run for job in jobs if (run := run_of(job.metadata)) is not None}
    found = [(run, last_attempt(run, jobs, api.address)) for run in runs]
    return sorted(found, key=lambda one: one[1].job.started or 0.0, reverse=True)


def job_document(job: Job) -> dict[str, Any]:
    """A job for `--json`."""
    return {
        "run_id": run_of(job.metadata),
        "submission_id": job.submission_id,
        "state": job.state.value.lower(),
        "started": _moment(job.started),
        "ended": _moment(job.ended),
        "exit_code": job.exit_code,
        "node_id": job.node_id,
        "metadata": dict(job.metadata),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _hand_on(found: Event | str | None, listener: Listener, words: Words) -> None:
    if isinstance(found, str):
        words(found)
    elif found is not None:
        listener(found)
