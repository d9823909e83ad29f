"""What can go wrong, and the exit code that each kind of failure has.

    RaysweepError                1   unexpected, or not sorted further
    ├── RequestInvalid           2   the request is wrong: an unknown key, address, metric or feature
    ├── DataUnsuitable           3   anything wrong in the data, an absent target included
    ├── NoTrialFinished          4   every candidate failed
    ├── RayUnavailable           5   Ray is unreachable or lost, or cannot give the resources
    ├── StorageFailed            6   the export address does not answer, refuses or loses what was written
    │   ├── RunTakenOver         6   another driver goes on with the run; this one has stopped
    │   └── AliasMoved           6   somebody else has moved the alias meanwhile; it stays where they put it
    ├── NotFound                 2   a named run, bundle or file that is not there
    ├── BundleRefused            8   verify, reproduce, promote or load refused a bundle
    ├── SealBroken               1   a sealed validation row was handed to the search, or the sealed rows were touched
    └── Interrupted            130   stopped by the user

Every error takes `(message, *, extras=default)` and hands the message up, so that it survives the pickling between
processes. The message names the place, the value and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

EXIT_OK = 0
EXIT_NOT_ADEQUATE = 7


class RaysweepError(Exception):
    """Base of everything that raysweep raises on purpose."""

    exit_code: ClassVar[int] = 1


class RequestInvalid(RaysweepError, ValueError):
    """The sweep file, the space or an argument asks for something that is wrong.

    Attributes:
        problems: every problem found, each with its path, such as `search.trials: ...`.
    """

    exit_code = 2

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class NotFound(RaysweepError, FileNotFoundError):
    """A run, bundle, file or object that was named is not there."""

    exit_code = 2


class DataUnsuitable(RaysweepError, ValueError):
    """The data cannot be learned from as they are.

    Attributes:
        findings: the `raysweep.records.table.Finding` records that decided.
    """

    exit_code = 3

    def __init__(self, message: str, *, findings: Sequence[Any] = (), bundle_url: str | None = None) -> None:
        super().__init__(message)
        self.findings = tuple(findings)
        self.bundle_url = bundle_url


class NoTrialFinished(RaysweepError):
    """Not one candidate gave a score."""

    exit_code = 4

    def __init__(self, message: str, *, bundle_url: str | None = None) -> None:
        super().__init__(message)
        self.bundle_url = bundle_url


class RayUnavailable(RaysweepError, ConnectionError):
    """Ray does not answer, was lost, or cannot give what a trial asks for."""

    exit_code = 5


class StorageFailed(RaysweepError, OSError):
    """The place for the bundle does not take, or does not give back, what it should."""

    exit_code = 6


class RunTakenOver(StorageFailed):
    """Another driver has taken the run over; this one may write and publish nothing any more."""


class AliasMoved(StorageFailed):
    """Somebody else has moved an alias at the same time; it stays where they put it."""


class BundleRefused(RaysweepError, ValueError):
    """A bundle is incomplete, changed, or not to be trusted.

    Attributes:
        problems: what is wrong, one line a file or field.
    """

    exit_code = 8

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class SealBroken(RaysweepError):
    """A sealed validation row was handed to the search, or the sealed rows were opened or changed before their time."""


class Interrupted(RaysweepError):
    """The user asked to stop now."""

    exit_code = 130
