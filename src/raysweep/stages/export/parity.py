"""The parity gate: a clean process loads every form of the model and scores golden.parquet; what differs stays out.

This is the driver's side. The other process starts while the driver still writes, so that little is left to wait for.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from raysweep.config import TaskKind
from raysweep.documents import shorten
from raysweep.records.manifest import MODEL_FOLDER, FormatRecord, ModelFormat
from raysweep.records.table import Column, Label
from raysweep.training.family import Family
from raysweep.training.learner import FitSetting

NATIVE: Final = "native"
TOLERANCE: Final[Mapping[str, float]] = {NATIVE: 0.0, "onnx": 1e-6, "mlflow": 0.0}
ONNX_FILE: Final = f"{MODEL_FOLDER}/model.onnx"
MLFLOW_FOLDER: Final = "mlflow"
TIMEOUT_SECONDS: Final = 900.0
FORM_SECONDS: Final = 240.0
PROCESS: Final = "raysweep.stages.export.parity_process"
COMMAND: Final = (sys.executable, "-P", "-m", PROCESS)
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class ParityRequest:
    """What the other process is handed, pickled, over its standard input; none of it is a file of the bundle.

    Attributes:
        folder: of the bundle that is being written; it holds the native form and golden.parquet.
        formats: native first.
        added: the model's family, where it is not shipped with raysweep.
        inputs, classes: the model's.
        served: the document that goes into the MLflow folder, as JSON.
        requirements: what the MLflow folder says that it needs.
        facts: what the metadata of the ONNX model say beside the model itself.
        form_seconds: for one form; after that it is not published.
    """

    folder: str
    formats: tuple[ModelFormat, ...]
    family: str
    added: tuple[Family, ...]
    setting: FitSetting
    inputs: tuple[Column, ...]
    classes: tuple[Label, ...]
    served: str = ""
    requirements: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    form_seconds: float = FORM_SECONDS

    @property
    def task(self) -> TaskKind:
        """What the model has learned."""
        return self.setting.task


@dataclass(slots=True)
class Gate:
    """One process that checks one model."""

    formats: tuple[ModelFormat, ...]
    family: str
    timeout_seconds: float = TIMEOUT_SECONDS
    _process: subprocess.Popen[bytes] | None = None
    _thread: threading.Thread | None = None
    _request: bytes = b""
    _said: tuple[bytes, bytes] = (b"", b"")
    _late: bool = False
    _unasked: str = ""

    def __enter__(self) -> Self:
        """Start the process, which imports what it will need."""
        self._process = _start(self.family, self.formats)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        if self._process is not None:
            if self._thread is None or self._process.poll() is None:
                self._process.kill()
            if self._thread is None:
                self._process.communicate()
        if self._thread is not None:
            self._thread.join()

    def ask(self, request: ParityRequest) -> None:
        """Let it begin; the model's files and golden.parquet are there."""
        try:
            self._request = pickle.dumps(request)
        except Exception as error:  # noqa: BLE001 - what pickling somebody's class raises
            self._unasked = f"the family {request.family!r} cannot be handed to another process: {error}"
            return
        self._hand_over()

    def answers(self, folder: Path) -> tuple[FormatRecord, ...]:
        """What it found, in the order of `formats`; the files of what is not published are gone.

        A process that has died or hung before it could judge the native form is given one more try.
        """
        found = self._found()
        if NATIVE not in found and not self._unasked:
            self._process = _start(self.family, self.formats)
            self._hand_over()
            found = self._found()
        records = tuple(self._record(name, found.get(name), folder) for name in self.formats)
        native = next(one for one in records if one.name == NATIVE)
        if not native.published:
            why = "its native form is not published"
            records = tuple(one if not one.published else _refused(one, why, folder) for one in records)
        return records

    def _hand_over(self) -> None:
        self._thread = threading.Thread(target=self._converse, name="raysweep-parity", daemon=True)
        self._thread.start()

    def _converse(self) -> None:
        if self._process is None:
            return
        try:
            self._said = self._process.communicate(self._request, timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired:
            self._late = True
            self._process.kill()
            self._said = self._process.communicate()

    def _found(self) -> dict[str, Any]:
        if self._thread is not None:
            self._thread.join()
        lines = self._said[0].decode(errors="replace").splitlines()
        answers = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return {answer["name"]: answer for answer in answers}

    def _record(self, name: ModelFormat, answer: Mapping[str, Any] | None, folder: Path) -> FormatRecord:
        tolerance = TOLERANCE[name]
        if answer is None:
            return _refused(FormatRecord(name=name, published=False, tolerance=tolerance), self._end(), folder)
        difference = answer["difference"]
        record = FormatRecord(
            name=name, published=True, files=tuple(answer["files"]), difference=difference, tolerance=tolerance
        )
        if answer["reason"]:
            return _refused(record, answer["reason"], folder)
        if not difference <= tolerance:
            return _refused(record, _too_far(difference, tolerance, answer["row"]), folder)
        return record

    def _end(self) -> str:
        """How the process ended, where it has given no answer."""
        if self._unasked:
            return self._unasked
        if self._late:
            return f"the process that checks it had not answered after {self.timeout_seconds:,.0f} s"
        code = None if self._process is None else self._process.returncode
        last = self._said[1].decode(errors="replace").strip().rpartition("\n")[2]
        return f"the process that checks it ended with code {code}: {shorten(last, 300) or 'it said nothing'}"


def _too_far(difference: float, tolerance: float, row: str) -> str:
    allowed = f"{tolerance:g}" if tolerance else "no difference"
    return (
        f"loaded in another process, it predicts otherwise than the model in memory: by up to {difference:.3g} on the "
        f"golden rows, worst on one that is {row!r}; {allowed} is allowed"
    )


def _refused(record: FormatRecord, reason: str, folder: Path) -> FormatRecord:
    """The record of a form that is not published; what there is of its files is deleted."""
    if record.name == "mlflow":
        shutil.rmtree(folder / MLFLOW_FOLDER, ignore_errors=True)
    elif record.name == "onnx":
        (folder / ONNX_FILE).unlink(missing_ok=True)
    else:
        shutil.rmtree(folder / MODEL_FOLDER, ignore_errors=True)
    return record.model_copy(update={"published": False, "files": (), "reason": reason})


def _start(family: str, formats: Sequence[str]) -> subprocess.Popen[bytes]:
    places = [os.path.abspath(place) if place else os.getcwd() for place in sys.path]  # noqa: PTH100, PTH109 - as it is
    environment = {
        **os.environ,
        **dict.fromkeys(_THREADS, "1"),
        "PYTHONPATH": os.pathsep.join(places),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    return subprocess.Popen(  # noqa: S603 - our own module
        [*COMMAND, family, *formats],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the driver, which then finishes with what there is
    )
