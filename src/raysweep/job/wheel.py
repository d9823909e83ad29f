"""The installed raysweep as the wheel that it was, or, in a checkout, would be installed from."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

from raysweep.space import shipped_spaces

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_SPACES: Final = "raysweep/search_spaces/"
_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: raysweep\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_MODE: Final = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel's name, and its files by their path in it."""

    name: str
    files: Mapping[str, bytes] = field(repr=False)

    def content(self) -> bytes:
        """The wheel itself; the same bytes for the same files."""
        return zip_of(self.files)


def own_wheel() -> Wheel:
    """The code that runs here, the shipped spaces and the package's description; nothing else of a checkout."""
    installed = distribution("raysweep")
    files = {f"raysweep/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes() for path in _code()}
    files |= {f"{_SPACES}{path.name}": path.read_bytes() for path in shipped_spaces().values()}
    described = f"raysweep-{installed.version}.dist-info"
    files |= {f"{described}/{name}": text.encode() for name, text in _description(installed).items()}
    files[f"{described}/RECORD"] = _record(files, f"{described}/RECORD")
    return Wheel(f"raysweep-{installed.version}-py3-none-any.whl", files)


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """The files as a zip file; the same bytes for the same files, whenever and wherever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _MODE
            entry.create_system = 3  # Unix, also where it is made elsewhere
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _code() -> Iterator[Path]:
    for path in sorted(_PACKAGE.rglob("*")):
        inside = path.relative_to(_PACKAGE)
        hidden = any(step.startswith(".") or step == "__pycache__" for step in inside.parts)
        is_ours = path.suffix == ".py" or path.name == "py.typed" or inside.parts[0] == "schemas"
        if path.is_file() and not hidden and is_ours:
            yield path


def _description(installed: Distribution) -> dict[str, str]:
    found = {name: installed.read_text(name) for name in ("METADATA", "entry_points.txt")}
    return {"WHEEL": _WHEEL, **{name: text for name, text in found.items() if text}}


def _record(files: Mapping[str, bytes], own_name: str) -> bytes:
    """What a wheel says of its files (PEP 376): path, sha256, size."""
    lines = []
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*lines, f"{own_name},,", ""]).encode()
