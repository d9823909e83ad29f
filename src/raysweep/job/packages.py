"""Whether an environment holds what raysweep needs; with the standard library alone, since the rest may be missing.

It also has to be read by the Python of a cluster that is too old for all other modules.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys

OLDEST_PYTHON = (3, 11)
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:>=\s*([0-9][0-9.]*))?")
_SAME_IMPORT = {"xgboost": ("xgboost-cpu",)}  # the same package to Python, under another name


def lacking_packages(requirements: list[str] | None = None) -> list[str]:
    """What is missing or too old in this environment, a few words each.

    Args:
        requirements: such as `numpy>=2.4`; those of the installed raysweep where None.
    """
    found = sys.version_info[:2]
    if found < OLDEST_PYTHON:
        return [f"Python is {found[0]}.{found[1]}, and has to be {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer"]
    wanted = needed_packages() if requirements is None else _parsed(requirements)
    return [words for name, least in wanted.items() for words in _lack(name, least)]


def needed_packages() -> dict[str, str]:
    """The packages that raysweep cannot do without, and the oldest version of each that will do; maybe empty."""
    return _parsed(importlib.metadata.requires("raysweep") or [])


def is_older(version: str, least: str) -> bool:
    """Whether a version such as `2.9.3` comes before another such as `2.60`."""
    return _numbers(version) < _numbers(least)


def _parsed(requirements: list[str]) -> dict[str, str]:
    found = {}
    for line in requirements:
        match = _REQUIREMENT.match(line)
        if match is not None and "extra ==" not in line:
            found[match.group(1)] = match.group(2) or ""
    return found


def _lack(name: str, least: str) -> list[str]:
    installed = _installed(name)
    if installed is None:
        return [f"{name} is missing" + (f" ({least} or newer)" if least else "")]
    if least and is_older(installed, least):
        return [f"{name} is {installed}, and has to be {least} or newer"]
    return []


def _installed(name: str) -> str | None:
    for one in (name, *_SAME_IMPORT.get(name, ())):
        try:
            return importlib.metadata.version(one)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _numbers(version: str) -> list[int]:
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(one) for one in release.group().split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
