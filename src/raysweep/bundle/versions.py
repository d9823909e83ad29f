"""Which packages are of another version here than where a bundle was made."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from raysweep.records.manifest import Manifest

_OF_ALL: Final = ("numpy", "scipy", "pyarrow", "scikit-learn", "skops")
_OF_FAMILY: Final = {"xgboost": ("xgboost", "xgboost-cpu")}


def other_versions(manifest: Manifest) -> tuple[str, ...]:
    """A sentence for each package that predictions may depend on, and for Python, where versions differ."""
    then = dict(manifest.environment.packages)
    family = "" if manifest.model is None else manifest.model.family
    pairs = [(name, then.get(name), _here(name)) for name in (*_OF_ALL, *_OF_FAMILY.get(family, ()))]
    python = platform.python_version()
    if python.split(".")[:2] != manifest.environment.python.split(".")[:2]:
        pairs.append(("Python", manifest.environment.python, python))
    return tuple(
        f"{name} is {here or 'not installed'} here, {before} where the bundle was made"
        for name, before, here in pairs
        if before is not None and here != before
    )


def _here(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
