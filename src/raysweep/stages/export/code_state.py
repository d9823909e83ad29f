"""The git checkout that a sweep was started in: commit and uncommitted changes, without credentials."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raysweep.records.manifest import CodeRecord
from raysweep.storage.secret_values import without_user_info

_MAX_DIFF_BYTES: Final = 1024 * 1024
_MAX_READ_BYTES: Final = 8 * _MAX_DIFF_BYTES
_PATIENCE_SECONDS: Final = 20
_SCP_LIKE: Final = re.compile(r"^[^/@:]+:[^/@]*@(?=[^/@:]+:)")


@dataclass(frozen=True, slots=True)
class CodeState:
    """The checkout, if it was one; `diff` is empty where nothing was changed."""

    record: CodeRecord
    diff: bytes


def code_state(folder: Path) -> CodeState:
    """Commit and uncommitted changes of the checkout that `folder` is in; empty where it is in none.

    Files that git does not know are said (`dirty`), their content is not published. User names and passwords are taken
    out of the addresses in the changes; a change of over 1 MiB is cut off there.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return CodeState(CodeRecord(), b"")
    remote = (_git(folder, "config", "--get", "remote.origin.url") or b"").decode(errors="replace").strip()
    status = _git(folder, "status", "--porcelain")
    said = _git(folder, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
    whole = without_user_info(said or b"")
    diff = whole[:_MAX_DIFF_BYTES]
    record = CodeRecord(
        repository=without_credentials(remote) or None,
        commit=commit.decode().strip(),
        dirty=None if status is None else bool(status),
        diff_bytes=len(diff),
        diff_is_whole=said is not None and len(said) < _MAX_READ_BYTES and diff == whole,
        diff_sha256=hashlib.sha256(diff).hexdigest() if diff else None,
    )
    return CodeState(record, diff)


def without_credentials(url: str) -> str:
    """A repository's address without user name, password, query and fragment; `git@host:path` holds none."""
    if "://" not in url:
        return _SCP_LIKE.sub("", url)
    return re.split(r"[?#]", without_user_info(url), maxsplit=1)[0]


def _git(folder: Path, *arguments: str) -> bytes | None:
    """The first of what git says; None where it does not answer, or says no."""
    with tempfile.TemporaryFile() as out:
        try:
            done = subprocess.run(  # noqa: S603 - fixed arguments
                ["git", *arguments],  # noqa: S607 - the user's own git
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=_PATIENCE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        out.seek(0)
        return out.read(_MAX_READ_BYTES) if done.returncode == 0 else None
