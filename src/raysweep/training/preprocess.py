"""From columns to the matrix that a family takes: fitted on training rows only, kept per encoding.

Numbers and booleans become floats (NaN where missing or infinite), dates are expanded into parts, texts become codes of
the categories seen in training. An encoding then says what becomes of the codes:

    ordinal   the code itself, in the categories' sorted order; missing and unseen are NaN
    native    as ordinal, and the learner is told that they are categories
    onehot    a column a category, the 64 most frequent of each; unseen ones count as infrequent
    target    the category's mean target, cross-fitted and shrunk (Micci-Barreca 2001; scikit-learn's TargetEncoder)

Families that need it get numbers without gaps (median, and a flag for what was missing) and standardized.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from raysweep.config import TaskKind
from raysweep.records.table import Column, ColumnKind
from raysweep.training.learner import Floats

MISSING: Final = -1
UNSEEN: Final = -2
MAX_ONEHOT: Final = 64
TARGET_FOLDS: Final = 5
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
DATE_PARTS: Final = ("days", "year", "month", "day", "weekday", "hour")
_TWO: Final = 2


class Preprocessor:
    """Fitted preprocessing of a table's feature columns; its state is plain data and scikit-learn transformers."""

    def __init__(self, columns: Sequence[Column], encoding: str, *, scaled: bool) -> None:
        self.numbers = [column.name for column in columns if column.kind in _NUMERIC]
        self.dates = [column.name for column in columns if column.kind is ColumnKind.DATETIME]
        self.texts = [column.name for column in columns if column.kind is ColumnKind.STRING]
        self.encoding = encoding
        self.scaled = scaled
        self.categories: list[str] = []
        self.encoder: Any = None
        self.scaler: Any = None
        self.empty: list[int] = []

    def fit_transform(self, table: pa.Table, y: Floats, task: TaskKind, seed: int) -> Any:
        """Learn from training rows and return their matrix.

        Args:
            table: the feature columns of the training rows, in canonical types.
            y: their targets, shape (rows,).
            task: decides how the target encoding averages.
            seed: for the folds of the target encoding.

        Returns:
            float32 array (float64 where scaled), or CSR matrix, of shape (rows, columns).
        """
        self.categories = [json.dumps(_distinct(table.column(name))) for name in self.texts]
        codes = self._codes(table)
        self.encoder = self._make_encoder(y, task, seed)
        encoded = codes
        if self.encoder is not None:
            labels = y if task is TaskKind.REGRESSION else y.astype(int)
            encoded = self.encoder.fit_transform(codes, labels)
            if self.encoding == "target":
                self.encoder.cv = TARGET_FOLDS  # fitted: the splitter is not part of what is written
        return self._assemble(table, encoded, fit=True)

    def fit_blocks(self, tables: Iterable[pa.Table]) -> None:
        """Learn from training rows that come in blocks what `fit_transform` learns from them at once.

        Only for the encodings `ordinal` and `native` without scaling: they know categories and empty columns alone.
        """
        texts: list[set[str]] = [set() for _ in self.texts]
        filled: npt.NDArray[np.bool_] | None = None
        for table in tables:
            for known, name in zip(texts, self.texts, strict=True):
                known.update(_distinct(table.column(name)))
            some = np.isfinite(self._numeric(table)).any(axis=0)
            some = np.append(some, [table.column(name).null_count < table.num_rows for name in self.texts])
            filled = some if filled is None else filled | some
        self.categories = [json.dumps(sorted(known)) for known in texts]
        self.empty = [] if filled is None else np.flatnonzero(~filled.astype(bool)).tolist()

    def transform(self, table: pa.Table) -> Any:
        """The matrix of other rows."""
        return self.transform_counting(table)[0]

    def transform_counting(self, table: pa.Table) -> tuple[Any, dict[str, int]]:
        """The matrix of other rows, and what `unseen` says of them."""
        codes = self._codes(table)
        encoded = codes if self.encoder is None else self.encoder.transform(codes)
        return self._assemble(table, encoded, fit=False), self._unseen(codes)

    def unseen(self, table: pa.Table) -> dict[str, int]:
        """For each text column with values that training did not have: how many rows."""
        return self._unseen(self._codes(table))

    def _unseen(self, codes: npt.NDArray[np.int64]) -> dict[str, int]:
        counts = (codes == UNSEEN).sum(axis=0)
        return {name: int(count) for name, count in zip(self.texts, counts, strict=True) if count}

    @property
    def categorical(self) -> tuple[bool, ...]:
        """Which columns of the matrix are category codes that a learner may treat as categories."""
        if self.encoding != "native":
            return ()
        numeric = len(self.numbers) + len(self.dates) * len(DATE_PARTS)
        return (False,) * numeric + (True,) * len(self.texts)

    def _make_encoder(self, y: Floats, task: TaskKind, seed: int) -> Any:
        if not self.texts or self.encoding in {"ordinal", "native"}:
            return None
        if self.encoding == "onehot":
            return OneHotEncoder(
                handle_unknown="infrequent_if_exist",
                max_categories=MAX_ONEHOT,
                sparse_output=True,
                dtype=np.float64,
            )
        if task is TaskKind.REGRESSION:
            splitter = KFold(max(2, min(TARGET_FOLDS, len(y))), shuffle=True, random_state=seed % 2**31)
            return TargetEncoder(target_type="continuous", cv=splitter)
        members = np.unique(y, return_counts=True)[1]  # a fold may lack a class
        folds = max(2, min(TARGET_FOLDS, members.max()))
        splitter = StratifiedKFold(int(folds), shuffle=True, random_state=seed % 2**31)
        return TargetEncoder(target_type="multiclass" if len(members) > _TWO else "binary", cv=splitter)

    def _assemble(self, table: pa.Table, encoded: Any, *, fit: bool) -> Any:
        numeric = self._numeric(table)
        if self.encoding in {"ordinal", "native"}:
            encoded = np.where(encoded < 0, np.nan, encoded)
        if self.encoding == "onehot" and self.texts:
            left = self._scale(numeric, fit=fit) if self.scaled else numeric
            return sp.hstack([sp.csr_matrix(left), encoded], format="csr")
        matrix = np.column_stack([numeric, encoded]) if self.texts else numeric
        if self.scaled:
            return self._scale(matrix, fit=fit)
        if fit:
            self.empty = np.flatnonzero(np.isnan(matrix).all(axis=0)).tolist()
        matrix[:, self.empty] = 0.0  # scikit-learn's histograms want a value in every column
        return np.ascontiguousarray(matrix, dtype=np.float32)

    def _scale(self, matrix: Floats, *, fit: bool) -> Floats:
        if matrix.shape[1] == 0:
            return matrix
        if fit:
            imputer = SimpleImputer(strategy="median", keep_empty_features=True, add_indicator=True)
            self.scaler = make_pipeline(imputer, StandardScaler())
            return np.asarray(self.scaler.fit_transform(matrix), dtype=np.float64)
        return np.asarray(self.scaler.transform(matrix), dtype=np.float64)

    def _numeric(self, table: pa.Table) -> Floats:
        columns = [_floats(table.column(name)) for name in self.numbers]
        for name in self.dates:
            columns.extend(_date_parts(table.column(name)))
        if not columns:
            return np.zeros((table.num_rows, 0))
        matrix = np.column_stack(columns)
        matrix[~np.isfinite(matrix)] = np.nan
        return np.clip(matrix, -_FLOAT32_MAX, _FLOAT32_MAX)

    def _codes(self, table: pa.Table) -> npt.NDArray[np.int64]:
        codes = np.empty((table.num_rows, len(self.texts)), dtype=np.int64)
        for position, name in enumerate(self.texts):
            values = table.column(name)
            known = pa.array(json.loads(self.categories[position]), pa.large_string())
            found = pc.fill_null(pc.index_in(values, value_set=known), UNSEEN)
            codes[:, position] = pc.if_else(pc.is_null(values), MISSING, found).to_numpy()
        return codes


_NUMERIC: Final = frozenset({ColumnKind.NUMBER, ColumnKind.BOOLEAN})


def _distinct(values: pa.ChunkedArray) -> list[str]:
    return sorted(str(value) for value in pc.unique(values).to_pylist() if value is not None)


def _floats(values: pa.ChunkedArray) -> Floats:
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _date_parts(values: pa.ChunkedArray) -> list[Floats]:
    return [_floats(_PART[part](values)) for part in DATE_PARTS]


def _days(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.floor(pc.divide(values.cast(pa.int64()).cast(pa.float64(), safe=False), 86_400e6))


_PART: Final[Mapping[str, Callable[[pa.ChunkedArray], pa.ChunkedArray]]] = {
    "days": _days,
    "year": pc.year,
    "month": pc.month,
    "day": pc.day,
    "weekday": pc.day_of_week,
    "hour": pc.hour,
}
