"""Whether the forms of the model that a sweep asks for can be written here; loads none of what writes them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from raysweep.errors import RequestInvalid
from raysweep.records.manifest import ModelFormat

_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {"onnx": ("onnx", "onnxruntime", "skl2onnx"), "mlflow": ("mlflow",)}


def check_formats(formats: tuple[ModelFormat, ...]) -> None:
    """Refuse forms whose packages are not installed, before a sweep is spent on them.

    Raises:
        RequestInvalid: names the extra.
    """
    for name in formats:
        lacking = [one for one in _NEEDS.get(name, ()) if find_spec(one) is None]
        if lacking:
            raise RequestInvalid(
                f"export.formats: {name} needs {', '.join(lacking)}, which is not installed: "
                f"pip install 'raysweep[{name}]', or leave it out"
            )
