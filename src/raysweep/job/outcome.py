"""What came of a job: the sweep's own result or error, or that its driver is gone."""

from __future__ import annotations

import inspect
from typing import Final

import raysweep.errors
from raysweep.errors import (
    EXIT_NOT_ADEQUATE,
    EXIT_OK,
    BundleRefused,
    DataUnsuitable,
    Interrupted,
    NoTrialFinished,
    RaysweepError,
    RayUnavailable,
    RequestInvalid,
    StorageFailed,
)
from raysweep.events import SweepEnded, SweepFailed
from raysweep.job.jobs_api import Job
from raysweep.job.run_state import RunState

_BY_NAME: Final[dict[str, type[RaysweepError]]] = {
    name: kind for name, kind in inspect.getmembers(raysweep.errors, inspect.isclass) if issubclass(kind, RaysweepError)
}
_BY_CODE: Final[dict[int, type[RaysweepError]]] = {
    kind.exit_code: kind
    for kind in (
        *(RaysweepError, RequestInvalid, DataUnsuitable, NoTrialFinished),
        *(RayUnavailable, StorageFailed, BundleRefused, Interrupted),
    )
}


def result_of(job: Job, state: RunState, again: str) -> SweepEnded:
    """What the sweep came to.

    Args:
        job: as it ended.
        state: what its driver has said.
        again: the command that goes on with the run.

    Raises:
        RaysweepError: what the driver ended with, as the same class; `RayUnavailable` where it ended without a word.
    """
    if state.ended is not None:
        return state.ended
    if state.failed is not None:
        raise _error(state.failed, state)
    raise _died(job, state, again)


def contradiction(job: Job, ended: SweepEnded) -> str:
    """How the driver's exit code differs from what it said; empty where it does not."""
    said = EXIT_OK if ended.final_check.verdict.allows_use else EXIT_NOT_ADEQUATE
    if job.exit_code in {None, said}:
        return ""
    return (
        f"the bundle is published, and yet the driver left with exit code {job.exit_code}, not {said}: look at the end "
        "of its log"
    )


def _error(failed: SweepFailed, state: RunState) -> RaysweepError:
    kind = _BY_NAME.get(failed.kind) or _BY_CODE.get(failed.exit_code, RaysweepError)
    if issubclass(kind, DataUnsuitable):
        return kind(failed.message, findings=state.findings, bundle_url=failed.bundle_url)
    if issubclass(kind, NoTrialFinished):
        return kind(failed.message, bundle_url=failed.bundle_url)
    if issubclass(kind, RequestInvalid | BundleRefused):
        return kind(failed.message, problems=failed.problems)
    if kind is RaysweepError and failed.kind not in _BY_NAME:
        return RaysweepError(f"unexpected {failed.kind} in the job: {failed.message}")
    return kind(failed.message)


def _died(job: Job, state: RunState, again: str) -> RaysweepError:
    way_out = f"What has finished is in the run's journal: `{again}` goes on with it"
    last = "".join(f"\n  {line}" for line in state.words[-3:])
    code = job.exit_code
    if code is not None and code > 0 and code in _BY_CODE:  # such as an option that another version does not know
        return _BY_CODE[code](f"the job {job.submission_id} left with exit code {code}:{last}\n{way_out}")
    how = f"its driver left with exit code {code}" if code is not None else f"Ray says: {_first_line(job.message)}"
    return RayUnavailable(
        f"the job {job.submission_id} ended without a result ({job.state.value.lower()}): {how}. A node was lost, or "
        f"the driver was killed, perhaps for memory. {way_out}{last}"
    )


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0] or "nothing"
