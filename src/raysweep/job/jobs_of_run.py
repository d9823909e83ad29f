"""The jobs of a run on a cluster: which there are, which one is the last, and how the next is called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from raysweep.documents import suggest
from raysweep.errors import NotFound
from raysweep.job.jobs_api import Job
from raysweep.job.packing import METADATA_DIGEST, run_of

_NUMBER: Final = re.compile(r"-([1-9][0-9]*)$")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One job of a run; `number` from 1."""

    number: int
    job: Job

    @property
    def digest(self) -> str:
        """Of the sweep that it was asked."""
        return self.job.metadata.get(METADATA_DIGEST, "")


def attempts_of(run_id: str, jobs: Iterable[Job]) -> list[Attempt]:
    """The run's jobs, in order."""
    found = []
    for job in jobs:
        number = _NUMBER.search(job.submission_id)
        if run_of(job.metadata) == run_id and number is not None:
            found.append(Attempt(int(number.group(1)), job))
    return sorted(found, key=lambda one: one.number)


def last_attempt(run_id: str, jobs: Iterable[Job], where: str) -> Attempt:
    """The run's last job.

    Raises:
        NotFound: the cluster knows none of that run; a head that started anew has forgotten all.
    """
    known = list(jobs)
    found = attempts_of(run_id, known)
    if not found:
        runs = {run for job in known if (run := run_of(job.metadata)) is not None}
        raise NotFound(
            f"the cluster at {where} knows no run {run_id}{suggest(run_id, runs)}; `raysweep status --address {where}` "
            "lists those that it knows. Submitted again, a run goes on from its journal in the store"
        )
    return found[-1]


def submission_id(run_id: str, attempt: int) -> str:
    """Ray's id of a run's job."""
    return f"{run_id}-{attempt}"
