"""What is installed in a process that results depend on, and where two processes differ.

Only the standard library is used: nodes that have another raysweep, or none, are told apart by this very code.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

PYTHON = "Python"
OWN = "raysweep"
CODE = "raysweep's code"
FAMILIES = "raysweep.families"
# A package of one import name may come from several distributions.
DISTRIBUTIONS = {
    "Ray": ("ray",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "scikit-learn": ("scikit-learn",),
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "pandas": ("pandas",),
    "pyarrow": ("pyarrow",),
    "skops": ("skops",),
}
# These carry tables and files from process to process: another version of them changes no score.
MAY_DIFFER = frozenset({"pandas", "pyarrow", "skops"})


def installed_versions() -> dict[str, str]:
    """The versions of this process by what they are of; what is not installed is absent."""
    found = {PYTHON: platform.python_version(), **_own()}
    for name, distributions in DISTRIBUTIONS.items():
        for distribution in distributions:
            try:
                found.setdefault(name, version(distribution))
            except PackageNotFoundError:
                continue
    for entry in entry_points(group=FAMILIES):  # packages with families of a user's own
        if entry.dist is not None:
            found[entry.dist.name] = entry.dist.version
    return found


def _own() -> dict[str, str]:
    """The version of raysweep and a digest of its code: a folder that is worked on keeps its version."""
    spec = find_spec("raysweep")
    if spec is None or spec.origin is None:
        return {}
    package, digest = Path(spec.origin).parent, hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    named = re.search(r'^__version__ = "([^"]+)"', Path(spec.origin).read_text(encoding="utf-8"), re.MULTILINE)
    return {OWN: named[1] if named else "of an unknown version", CODE: digest.hexdigest()[:8]}


def must_be_equal(name: str, here: str | None, there: str | None) -> bool:
    """Whether such a difference makes scores that cannot be compared, or models that cannot be read."""
    if name == PYTHON and here is not None and there is not None:
        return here.split(".")[:2] != there.split(".")[:2]
    return name not in MAY_DIFFER


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """What differs: its name, the version here, the version there; the code only where the version is the same."""
    found = []
    for name in dict.fromkeys((*here, *there)):
        one, other = here.get(name), there.get(name)
        if one == other or (name == CODE and here.get(OWN) != there.get(OWN)):
            continue
        found.append((name, one or "none", other or "none"))
    return tuple(found)


def listed(different: Sequence[tuple[str, str, str]], side: int) -> str:
    """`Ray 2.60.0, no xgboost`: what differs, as it is here (side 1) or there (side 2)."""
    return ", ".join("no " + one[0] if one[side] == "none" else f"{one[0]} {one[side]}" for one in different)


def unlike(here: Mapping[str, str], there: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The differences under which scores would not be comparable, or models not load."""
    return [one for one in differences(here, there) if must_be_equal(*one)]
