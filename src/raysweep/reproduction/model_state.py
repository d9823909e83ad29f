"""Whether two folders hold the same fitted model: native files byte by byte, skops files by what they hold.

Two writings of the same object as skops differ in their bytes: names of the arrays' files, the numbers by which objects
point at one another, dates in the zip. Here these are called by the order in which they are met.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = "schema.json"
_VERSIONS: Final = frozenset({"protocol", "_skops_version"})


def differing_files(then: Path, now: Path) -> tuple[str, ...]:
    """The names of the files that are in one folder alone, or hold another state in the other."""
    names = {one.name for folder in (then, now) for one in folder.iterdir()}
    return tuple(name for name in sorted(names) if not _same(then / name, now / name))


def _same(one: Path, other: Path) -> bool:
    if not one.exists() or not other.exists():
        return False
    if one.suffix == ".skops":
        return state_digest(one) == state_digest(other)
    return one.read_bytes() == other.read_bytes()


def state_digest(path: Path) -> str:
    """A sha256 over what a skops file holds."""
    with zipfile.ZipFile(path) as archive:
        return _Naming(archive).digest()


class _Naming:
    """Objects and arrays of one file, called by when they are met first."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._met: dict[int, int] = {}

    def digest(self) -> str:
        schema = json.loads(self._archive.read(_SCHEMA))
        plain = self._plain({name: value for name, value in schema.items() if name not in _VERSIONS})
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()

    def _plain(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        return [[name, self._named(name, value[name])] for name in value]

    def _named(self, name: str, value: Any) -> Any:
        if name == "__id__" and isinstance(value, int):
            return self._met.setdefault(value, len(self._met))
        if name == "file" and isinstance(value, str) and value in self._archive.namelist():
            return hashlib.sha256(self._archive.read(value)).hexdigest()
        return self._plain(value)
