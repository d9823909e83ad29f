"""What a run's private folder says of the run itself, so that what is left in it finds its way without the store."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

NOTE_FILE: Final = "run.json"


@dataclass(frozen=True, slots=True)
class RunNote:
    """Whose folder it is.

    Attributes:
        address: of the run's place.
        s3: how to reach it, as in a sweep file; no credentials.
        owners: the nonces of the claims under which what is in the folder was made, oldest first.
        counts_before: whether the bundle that a driver has set aside is still what the run came to: no other driver
            has claimed the run since.
    """

    run_id: str
    address: str
    s3: Mapping[str, Any] = field(default_factory=dict)
    owners: tuple[str, ...] = ()
    counts_before: bool = True


def write_note(folder: Path, note: RunNote) -> None:
    """Write it into the folder, whole or not at all.

    Raises:
        OSError: the disk does not take it.
    """
    temporary = folder / f"{NOTE_FILE}.{secrets.token_hex(4)}"
    try:
        with temporary.open("x", encoding="utf-8") as file:
            json.dump(asdict(note), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NOTE_FILE)
    finally:
        temporary.unlink(missing_ok=True)


def read_note(folder: Path) -> RunNote | None:
    """What stands there; None where nothing does, or nothing that can be read."""
    try:
        found = json.loads((folder / NOTE_FILE).read_text(encoding="utf-8"))
        owners, counts_before = tuple(found["owners"]), bool(found["counts_before"])
        return RunNote(found["run_id"], found["address"], dict(found["s3"]), owners, counts_before)
    except (OSError, ValueError, KeyError, TypeError):
        return None
