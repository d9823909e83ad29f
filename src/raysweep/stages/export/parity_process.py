"""The clean process of the parity gate: `python -m raysweep.stages.export.parity_process FAMILY FORMAT...`.

It reads one pickled `ParityRequest` from its standard input, writes the forms beside the native one, loads each from
its files, and prints one line of JSON for each: name, files, the largest difference on golden.parquet, and why it is
no good.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.documents import shorten
from raysweep.records.manifest import GOLDEN_FILE, MODEL_FOLDER
from raysweep.stages.export.parity import MLFLOW_FOLDER, ONNX_FILE, ParityRequest
from raysweep.training.agreement import gap, ordinary_rows
from raysweep.training.families import families, is_shipped, take_up
from raysweep.training.learner import Floats
from raysweep.training.pipeline import load_pipeline
from raysweep.training.trusted import import_skops

_MANY_ROWS: Final = 1_000
_THREADS: Final = 4
_Loaded = tuple[tuple[str, ...], Sequence[Floats]]  # a form's files, and what it predicts for the rows, each time anew


def main(family: str, formats: list[str]) -> None:
    """Answer the one request that comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ray stops a job by sending it to every process below the driver
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is not an answer
    warnings.simplefilter("ignore")
    _import_ahead(family, formats)
    content = sys.stdin.buffer.read()
    if not content:
        return  # the driver has ended
    try:
        request = pickle.loads(content)  # noqa: S301 - from the driver that started this process
    except Exception as error:  # noqa: BLE001 - what importing a user's module raises
        why = f"another process cannot import the family {family!r}: {_words(error)}"
        answers.write(json.dumps({"name": "native", **_answer((), None, why)}) + "\n")
        answers.flush()
        return
    take_up(request.added)
    golden = pq.read_table(Path(request.folder) / GOLDEN_FILE)
    for name in request.formats:
        with _alarm(request.form_seconds):
            answers.write(json.dumps({"name": name, **_judged(name, request, golden)}) + "\n")
        answers.flush()


def _import_ahead(family: str, formats: list[str]) -> None:
    """What takes long, while the driver is still writing."""
    import_skops()
    if is_shipped(family):
        families()[family].load_learner()
    if "onnx" in formats:
        import raysweep.training.onnx_model
        import raysweep.training.onnx_scoring
    if "mlflow" in formats:
        import raysweep.stages.export.mlflow_folder  # noqa: F401 - for later


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Some conversions never end; what is not Python's own loop is left to the driver's patience."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"it was not ready after {seconds:,.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _judged(name: str, request: ParityRequest, golden: pa.Table) -> dict[str, Any]:
    features = pa.Table.from_struct_array(golden.column("features").combine_chunks())
    wanted = np.asarray(golden.column("prediction").to_pylist(), dtype=np.float64)
    said = golden.column("row").to_pylist()
    try:
        files, several = _FORMS[name](request, features)
    except Exception as error:  # noqa: BLE001 - whatever keeps a form from being loaded is the reason not to publish it
        return _answer((), None, _words(error))
    answers = [_compared(files, found, wanted, said) for found in several]
    return max(answers, key=lambda one: math.inf if one["difference"] is None else one["difference"])


def _compared(files: tuple[str, ...], found: Floats, wanted: Floats, said: Sequence[str]) -> dict[str, Any]:
    found = found.reshape(len(found), -1)
    if found.shape != wanted.shape:
        shapes = " x ".join(map(str, found.shape)), " x ".join(map(str, wanted.shape))
        return _answer(files, None, f"it gives {shapes[0]} numbers, not {shapes[1]}")
    apart = gap(found, wanted, ordinary_rows(said))
    worst = int(apart.argmax())
    difference = float(apart[worst])
    if not math.isfinite(difference):
        return _answer(files, None, f"it has no number for a row that is {said[worst]!r}")
    return _answer(files, difference, "", said[worst])


def _answer(files: tuple[str, ...], difference: float | None, reason: str, row: str = "") -> dict[str, Any]:
    return {"files": files, "difference": difference, "reason": reason, "row": row}


def _words(error: BaseException) -> str:
    said = shorten(" ".join(str(error).split()), 300)
    return said if type(error).__name__ == "NotExpressible" else f"{type(error).__name__}: {said}"


def _native(request: ParityRequest, features: pa.Table) -> _Loaded:
    folder = Path(request.folder) / MODEL_FOLDER
    files = tuple(f"{MODEL_FOLDER}/{path.name}" for path in sorted(folder.iterdir()))
    return files, [load_pipeline(folder, request.family, request.setting).predict(features)]


def _onnx(request: ParityRequest, features: pa.Table) -> _Loaded:
    from raysweep.training.onnx_model import to_onnx
    from raysweep.training.onnx_scoring import OnnxModel

    pipeline = load_pipeline(Path(request.folder) / MODEL_FOLDER, request.family, request.setting)
    path = Path(request.folder) / ONNX_FILE
    path.write_bytes(to_onnx(pipeline, request.inputs, request.task, request.classes, dict(request.facts)))
    times = -(-_MANY_ROWS // features.num_rows)  # so many that a runtime shares trees and rows out among its threads
    many = OnnxModel(path, threads=_THREADS).predict(pa.concat_tables([features] * times))
    return (ONNX_FILE,), [OnnxModel(path, threads=1).predict(features), *np.split(many, times)]


def _mlflow(request: ParityRequest, features: pa.Table) -> _Loaded:
    from raysweep.stages.export.mlflow_folder import score_folder, write_folder

    folder = Path(request.folder)
    write_folder(folder / MLFLOW_FOLDER, folder / MODEL_FOLDER, request.served, request.requirements)
    written = sorted(path for path in (folder / MLFLOW_FOLDER).rglob("*") if path.is_file())
    found = score_folder(folder / MLFLOW_FOLDER, features)
    return tuple(path.relative_to(folder).as_posix() for path in written), [found]


_FORMS: Final[Mapping[str, Callable[[ParityRequest, pa.Table], _Loaded]]] = {
    "native": _native,
    "onnx": _onnx,
    "mlflow": _mlflow,
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
