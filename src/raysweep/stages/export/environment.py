"""The environment that a result came from: interpreter, machine, packages. Nothing secret."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import Distribution, distributions
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
    return {name: one.version for name, one in _installed()}


def lock() -> str:
    """All of them as lines that pip takes; what came from elsewhere than an index says where it came from.

    What was installed from a folder (the project that is being worked on) is nowhere else, and a comment.
    """
    lines = [_locked(name, one) for name, one in _installed()]
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


def _installed() -> Iterator[tuple[str, Distribution]]:
    """By name; where one is there twice, the one that is imported."""
    known = reversed(list(distributions()))  # the first on the path comes last, and stays
    found = {str(one.metadata["Name"]): one for one in known if one.metadata["Name"]}
    yield from sorted(found.items(), key=lambda pair: pair[0].lower())


def _locked(name: str, one: Distribution) -> str:
    pinned = f"{name}=={one.version}"
    with suppress(ValueError, TypeError, AttributeError):
        origin = json.loads(one.read_text("direct_url.json") or "null")
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
