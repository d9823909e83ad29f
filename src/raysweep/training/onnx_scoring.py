"""Predictions of a `model.onnx`: the columns of the signature in, probabilities or numbers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.training.learner import Floats
from raysweep.training.onnx_inputs import MISSING_DATE, MISSING_TEXT


class OnnxModel:
    """A model in ONNX Runtime, on the processor.

    Args:
        path: of the file.
        threads: how many a prediction may use.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._missing = self._session.get_modelmeta().custom_metadata_map[MISSING_TEXT]

    def predict(self, features: pa.Table) -> Floats:
        """Probabilities of shape (rows, classes), or numbers of shape (rows,).

        Args:
            features: the columns of the signature in canonical types.
        """
        feeds = {one.name: self._fed(features.column(one.name), one.type) for one in self._session.get_inputs()}
        found = np.asarray(self._session.run(["prediction"], feeds)[0], dtype=np.float64)
        return found[:, 0] if found.shape[1] == 1 else found

    def _fed(self, values: pa.ChunkedArray, kind: str) -> np.ndarray[Any, Any]:
        if kind == "tensor(string)":
            texts = pc.fill_null(values, self._missing)
            return np.asarray(texts.to_pylist(), dtype=object).reshape(-1, 1)
        if kind == "tensor(int64)":
            return np.asarray(pc.fill_null(values.cast(pa.int64()), MISSING_DATE).to_numpy()).reshape(-1, 1)
        plain = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
        return np.asarray(plain.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64).reshape(-1, 1)
