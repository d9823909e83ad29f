"""At which cluster a run was submitted, below `~/.raysweep/jobs`: so that `raysweep status RUN` needs no address."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from raysweep.errors import RequestInvalid
from raysweep.job.access import check_address
from raysweep.runtime.run_folder import check_run_id, runs_folder

VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


def choose_address(given: str | None, run_id: str | None = None) -> str:
    """The cluster that is meant: the one that was said, else that of the run, else that of the environment.

    Raises:
        RequestInvalid: none is named.
    """
    if given is not None:
        return check_address(given)
    for found in (None if run_id is None else recall(run_id), *map(os.environ.get, VARIABLES)):
        if found and found.startswith(("http://", "https://")):
            return check_address(found)
    raise RequestInvalid(
        f"which cluster? Say --address http://head:8265 (the address of Ray's dashboard), or set {VARIABLES[0]} to it"
    )


def remember(run_id: str, address: str) -> None:
    """Write down where the run is; what cannot be written is not worth an error."""
    folder, temporary = _folder(), f".{secrets.token_hex(4)}"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / temporary
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            json.dump({"run_id": run_id, "address": address}, file)
        path.replace(folder / f"{run_id}.json")


def recall(run_id: str) -> str | None:
    """Where the run was submitted from this machine last; None where it was not."""
    check_run_id(run_id)
    try:
        found = json.loads((_folder() / f"{run_id}.json").read_text(encoding="utf-8"))
        return str(found["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _folder() -> Path:
    return runs_folder().parent / "jobs"
