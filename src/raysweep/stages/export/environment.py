"""What a result depended on beside data and config: code, packages, machine. Nothing secret."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

_NAMED: Final = ("raysweep", "ray", "xgboost", "scikit-learn", "pandas", "numpy", "pyarrow", "optuna", "skops", "scipy")
_MAX_DIFF_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CodeState:
    """The git checkout that the sweep was started in, if it was one.

    Attributes:
        record: repository (without credentials), commit, whether there were changes, and how large the diff is.
        diff: the changes, or empty.
    """

    record: dict[str, Any]
    diff: bytes


def packages() -> dict[str, str]:
    """Name and version of every installed distribution, sorted; where one is there twice, what is imported."""
    installed = reversed(list(distributions()))  # the first on the path comes last, and stays
    found = {str(item.metadata["Name"]): item.version for item in installed if item.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def environment(installed: dict[str, str]) -> dict[str, Any]:
    """Interpreter, machine and the packages that decide about scores."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": {name: installed[name] for name in _NAMED if name in installed},
    }


def code_state(folder: Path) -> CodeState:
    """Commit and uncommitted changes of the checkout that `folder` is in; empty where it is in none."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return CodeState({"commit": None}, b"")
    remote = (_git(folder, "config", "--get", "remote.origin.url") or b"").decode().strip()
    diff = (_git(folder, "diff", "HEAD") or b"")[:_MAX_DIFF_BYTES]
    record = {
        "repository": without_credentials(remote) or None,
        "commit": commit.decode().strip(),
        "dirty": bool(_git(folder, "status", "--porcelain")),
        "diff_bytes": len(diff),
    }
    return CodeState(record, diff)


def without_credentials(url: str) -> str:
    """A repository's address without user name, password and query."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *arguments],  # noqa: S607 - the user's own git
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
