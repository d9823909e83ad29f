"""The environment that a result came from: interpreter, machine, packages. Nothing secret."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from raysweep.records.manifest import EnvironmentRecord
from raysweep.stages.export.code_state import without_credentials

SCORE_PACKAGES: Final = (
    *("raysweep", "ray", "xgboost", "xgboost-cpu", "scikit-learn", "pandas", "numpy", "pyarrow", "optuna", "skops"),
    *("scipy", "onnx", "onnxruntime", "skl2onnx", "onnxmltools"),
)


def packages() -> dict[str, str]:
    """Name and version of every installed distribution, sorted."""
    return {one.name: one.version for one in _installed()}


def lock() -> str:
    """All of them as lines that pip takes; what came from elsewhere than an index says where it came from.

    What was installed from a folder (the project that is being worked on) is nowhere else, and a comment.
    """
    lines = [_locked(one) for one in _installed()]
    return "".join(f"{line}\n" for line in (f"# Python {platform.python_version()}, {platform.platform()}", *lines))


def environment(installed: Mapping[str, str]) -> EnvironmentRecord:
    """Interpreter, machine and the packages that decide about scores."""
    return EnvironmentRecord(
        python=platform.python_version(),
        implementation=sys.implementation.name,
        platform=platform.platform(),
        machine=platform.machine(),
        cpus=os.cpu_count(),
        cpu=_cpu(),
        memory_bytes=_memory_bytes(),
        gpus=_gpus(),
        packages={name: installed[name] for name in SCORE_PACKAGES if name in installed},
    )


@dataclass(frozen=True, slots=True)
class _Package:
    """An installed distribution; `origin` is its direct_url.json (PEP 610), or empty."""

    name: str
    version: str
    origin: str


def _installed() -> tuple[_Package, ...]:
    """By name; where one is there twice, the one that is imported."""
    return _read_installed(tuple((place, _changed(place)) for place in sys.path))


def _changed(place: str) -> int:
    try:
        return os.stat(place or ".").st_mtime_ns  # noqa: PTH116 - as it stands in sys.path
    except OSError:
        return 0


@lru_cache(maxsize=2)  # reading some hundred files takes longer than many a small model; they change with their folders
def _read_installed(_: tuple[tuple[str, int], ...]) -> tuple[_Package, ...]:
    found: dict[str, _Package] = {}
    for one in distributions():
        said = one.metadata
        name = said["Name"]
        if name and name not in found:  # the first on the path is the one that is imported
            found[name] = _Package(name, said["Version"] or "", one.read_text("direct_url.json") or "")
    return tuple(sorted(found.values(), key=lambda package: package.name.lower()))


def _locked(one: _Package) -> str:
    name, pinned = one.name, f"{one.name}=={one.version}"
    with suppress(ValueError, TypeError, AttributeError):
        origin = json.loads(one.origin or "null")
        if origin is None:
            return pinned
        url, commit = without_credentials(origin["url"]), origin.get("vcs_info", {}).get("commit_id")
        if "vcs_info" in origin:
            return f"{name} @ {origin['vcs_info']['vcs']}+{url}@{commit}"
        return f"# {pinned} was installed from a folder" if "dir_info" in origin else f"{name} @ {url}"
    return pinned


def _cpu() -> str | None:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _memory_bytes() -> int | None:
    with suppress(OSError, ValueError, AttributeError):  # not every system knows these names
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _gpus() -> tuple[str, ...]:
    """Names and drivers of this node's GPUs, as NVIDIA's own command says them."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, check=False, timeout=10)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.TimeoutExpired):
        return ()
    lines = done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else []
    return tuple(line.strip() for line in lines if line.strip())
