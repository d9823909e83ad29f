"""What is sent to a cluster: the resolved sweep, the rules that it names, and raysweep's own code; never data."""

from __future__ import annotations

import getpass
import hashlib
import shlex
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from raysweep.bundle.locate import SUBMIT_AGAIN, SUBMITTED, resume_command
from raysweep.config import SweepConfig
from raysweep.documents import digest, plain_yaml
from raysweep.errors import NotFound
from raysweep.job.driver import RESUME, RUN, SWEEP_FILE
from raysweep.job.wheel import own_wheel, zip_of

SCHEMA_FILE: Final = "schema.yaml"
METADATA_RUN: Final = "raysweep_run"
METADATA_DIGEST: Final = "raysweep_sweep_sha256"
METADATA_ATTEMPT: Final = "raysweep_attempt"
METADATA_RESUMED: Final = "raysweep_resumes"
# Ray kills a job that is still there so long after it was asked to stop. Final check and export may take their time,
# and `stop --now` is there for who does not want to wait.
STOP_WAIT_SECONDS: Final = 6 * 3600
_PYTHON: Final = '"$(command -v python || command -v python3)"'


class Install(StrEnum):
    """How raysweep gets to the cluster."""

    CODE = "code"  # the code that runs here, unpacked into the folder that every process of the job starts in
    INDEX = "index"  # this version, by Ray, from the package index that the nodes use
    NONE = "none"  # the nodes have it


@dataclass(frozen=True, slots=True)
class Origin:
    """The run that a job goes on with, or from whose trials a new one starts.

    Attributes:
        address: where it lies.
        changes: what is asked otherwise, as `path=value` assignments.
        endpoint: of the S3-compatible server, where the run's own settings name one.
    """

    address: str
    changes: tuple[str, ...] = ()
    endpoint: str | None = None

    @property
    def words(self) -> list[str]:
        """What `raysweep resume` is told beside the new run's id."""
        endpoint = [] if self.endpoint is None else ["--s3-endpoint", self.endpoint]
        return [self.address, *endpoint, *(word for change in self.changes for word in ("--set", change))]


@dataclass(frozen=True, slots=True)
class Package:
    """A job, ready to be sent.

    Attributes:
        config: the sweep as it will run.
        digest: of the sweep and its rules, by which two submissions of the same are known.
        content: the zip file that becomes the job's working folder; empty of data and of secrets.
        origin: the run that it goes on with; None for one that begins with a sweep file.
    """

    run_id: str
    config: SweepConfig
    digest: str
    content: bytes = field(repr=False)
    install: Install
    origin: Origin | None = None

    @property
    def resumed_as(self) -> str:
        """The command by which the run is gone on with, where that is not done by its sweep file; else empty."""
        return "" if self.origin is None else resume_command(self._home, self.config, command=SUBMIT_AGAIN)

    @property
    def asks_nothing_new(self) -> bool:
        """Whether it goes on with a run as it is: any job of that run is the one that is meant."""
        return self.origin is not None and self.origin.address == self._home and not self.origin.changes

    @property
    def _home(self) -> str:
        return f"{self.config.export.to.rstrip('/')}/{self.run_id}"

    @property
    def name(self) -> str:
        """The content's name in the cluster; the same for the same content."""
        return package_name(self.content)

    def entrypoint(self) -> str:
        """The shell command of the job."""
        if self.origin is None:
            return entrypoint(RUN, self.run_id)
        # The job that wrote down where the rules lay is over: here they are in the folder of this one.
        rules = ["--set", f"checks.schema={SCHEMA_FILE}"] if self.config.checks.schema_file is not None else []
        return entrypoint(RESUME, self.run_id, *self.origin.words, *rules)

    def runtime_env(self, working_dir: str) -> dict[str, Any]:
        """What Ray prepares for the job's processes: the folder, the way it is stopped; no credentials."""
        environment = {
            "RAY_JOB_STOP_SIGNAL": "SIGINT",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_SECONDS),
            SUBMITTED: "1",
        }
        packages = {"uv": [f"raysweep=={version('raysweep')}"]} if self.install is Install.INDEX else {}
        return {"working_dir": working_dir, "env_vars": environment, **packages}

    def metadata(self, attempt: int) -> dict[str, str]:
        """What the cluster is told of the job, for `raysweep status` and the dashboard."""
        return {
            "job_name": self.config.name,
            METADATA_RUN: self.run_id,
            METADATA_ATTEMPT: str(attempt),
            METADATA_DIGEST: self.digest,
            "raysweep_version": version("raysweep"),
            "raysweep_store": self.config.export.to,
            "raysweep_submitted_from": _whoami(),
            **({METADATA_RESUMED: self.resumed_as} if self.resumed_as else {}),
        }


def pack(config: SweepConfig, run_id: str, install: Install, origin: Origin | None = None) -> Package:
    """Pack a resolved sweep for the cluster.

    Raises:
        NotFound: the file of `checks.schema` is not there.
    """
    packed, files = sweep_files(config)
    plain = packed.model_dump(mode="json", by_alias=True)
    asked = digest({"sweep": plain, "schema": hashlib.sha256(files.get(SCHEMA_FILE, b"")).hexdigest()})
    if origin is not None:
        asked = digest({"sweep": asked, "origin": origin.words})
    if install is Install.CODE:
        files |= own_wheel().files
    return Package(run_id, packed, asked, zip_of(files), install, origin)


def sweep_files(config: SweepConfig) -> tuple[SweepConfig, dict[str, bytes]]:
    """A resolved sweep as it runs in a job, and the files of the job's folder that say so.

    Raises:
        NotFound: the file of `checks.schema` is not there.
    """
    files, packed = dict[str, bytes](), config
    if config.checks.schema_file is not None:
        files[SCHEMA_FILE] = _read(config.checks.schema_file)
        packed = _with(config, "checks", schema_file=SCHEMA_FILE)
    packed = _with(packed, "cluster", address=None)  # the job's own cluster
    files[SWEEP_FILE] = plain_yaml(packed.model_dump(mode="json", by_alias=True)).encode()
    return packed, files


def package_name(content: bytes) -> str:
    """By which Ray knows a package; the same for the same content."""
    return f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip"


def entrypoint(*words: str) -> str:
    """The shell command of a job that does what the words say to `raysweep.job.driver`."""
    return f"exec {_PYTHON} -m raysweep.job.driver {shlex.join(words)}"


def _with(config: SweepConfig, section: str, **values: object) -> SweepConfig:
    changed = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: changed})


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotFound(f"checks.schema: {path} cannot be read: {error.strerror}") from error


def _whoami() -> str:
    user = ""
    with suppress(OSError, KeyError, ImportError):  # a container may run as nobody that has a name
        user = f"{getpass.getuser()}@"
    return f"{user}{socket.gethostname()}"


def run_of(metadata: Mapping[str, str]) -> str | None:
    """The run that a job with this metadata is about; None for a job that raysweep did not submit."""
    return metadata.get(METADATA_RUN)
