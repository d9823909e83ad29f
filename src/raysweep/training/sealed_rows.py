"""The sealed validation rows: a private file, and the seal by which they are opened once, in the final check."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.errors import SealBroken
from raysweep.training.trial_data import RowBlock

SEALED_FILE: Final = "validation.parquet"
# Of rows that may be more than memory holds: uncompressed, so that they are read where they lie, page by page.
STREAMED_FILE: Final = "validation.arrow"
_OPENED_FILE: Final = "opened"
_TARGET, _WEIGHT, _GROUP = "target", "weight", "group"
_FURTHER: Final = "further "


@dataclass(frozen=True, slots=True)
class SealedRows:
    """The validation rows.

    Attributes:
        block: their inputs, targets, weights and groups, ordered by key.
        further: columns of the source beside the inputs that the final check wants, in the same order of rows.
    """

    block: RowBlock
    further: pa.Table


@dataclass(frozen=True, slots=True)
class Seal:
    """The only reference to the file of the validation rows; it stays with the driver until the final check.

    Attributes:
        sha256: of the file's bytes.
        inputs: names of the inputs, in the order of the file's columns.
        further: names of the further columns.
        rows: how many.
        digest: of the rows' keys, as the split publishes it.
    """

    path: Path = field(repr=False)
    sha256: str
    inputs: tuple[str, ...]
    further: tuple[str, ...]
    rows: int
    digest: str

    @property
    def was_opened(self) -> bool:
        """Whether somebody has opened it."""
        return self.path.with_name(_OPENED_FILE).exists()

    def open(self, *, again: bool = False) -> SealedRows:
        """The rows. Can be done once, by whomever holds a copy of the seal.

        Args:
            again: also where somebody has opened it before; what is judged by the rows has to say so.

        Raises:
            SealBroken: they were opened before, or their file is gone or is not the one that was sealed.
        """
        try:
            once = 0 if again else os.O_EXCL
            os.close(os.open(self.path.with_name(_OPENED_FILE), os.O_WRONLY | os.O_CREAT | once, 0o600))
            with self.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileExistsError as error:
            raise SealBroken(
                f"the sealed validation rows were opened before ({self.path}): what was learned from them cannot be "
                "unlearned. Start a new run with another split.seed, or with fresh rows"
            ) from error
        except OSError as error:
            raise SealBroken(
                f"the sealed validation rows cannot be read ({self.path}: {error.strerror}): resume the run, which "
                "cuts them again from the source"
            ) from error
        if found != self.sha256:
            raise SealBroken(
                f"the sealed validation rows were changed since they were sealed ({self.path}): resume the run, which "
                "cuts them again from the source"
            )
        return self._read()

    def delete(self) -> None:
        """Delete the rows with their folder; where that was done before, nothing."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def _read(self) -> SealedRows:
        if self.path.name == STREAMED_FILE:
            table = pa.ipc.open_file(pa.memory_map(str(self.path))).read_all()
        else:
            table = pq.read_table(pa.BufferReader(self.path.read_bytes()))
        features = pa.table({name: table.column(str(position)) for position, name in enumerate(self.inputs)})
        further = pa.table({name: table.column(f"{_FURTHER}{position}") for position, name in enumerate(self.further)})
        weight, group = (
            table.column(name).to_numpy() if name in table.column_names else None for name in (_WEIGHT, _GROUP)
        )
        return SealedRows(RowBlock(features, table.column(_TARGET).to_numpy(), weight, group), further)


def close_seal(rows: SealedRows, work_folder: Path, digest: str) -> Seal:
    """Put the rows into a file (mode 0600) in a folder of its own (mode 0700), and nowhere else.

    Args:
        rows: the validation rows.
        work_folder: private to the driver.
        digest: of the rows' keys.
    """
    inputs, further = _names(rows)
    content = pa.BufferOutputStream()
    pq.write_table(_as_table(rows), content)
    sealed = content.getvalue()
    path = _sealed_folder(work_folder) / SEALED_FILE
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(sealed)
    return Seal(path, hashlib.sha256(sealed).hexdigest(), inputs, further, rows.block.rows, digest)


class SealWriter:
    """Puts validation rows that come in blocks into a file, as `close_seal` does.

    Args:
        work_folder: private to the driver.
    """

    def __init__(self, work_folder: Path) -> None:
        self._path = _sealed_folder(work_folder) / STREAMED_FILE
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._writer: pa.RecordBatchFileWriter | None = None
        self._names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._rows = 0

    def add(self, rows: SealedRows) -> None:
        """The next rows, in the order of their keys."""
        table = _as_table(rows)
        if self._writer is None:
            self._names = _names(rows)
            self._writer = pa.ipc.new_file(self._file, table.schema)
        self._writer.write_table(table)
        self._rows += rows.block.rows

    def close(self, digest: str) -> Seal:
        """The seal of all rows.

        Args:
            digest: of their keys.

        Raises:
            ValueError: there were none.
        """
        if self._writer is None:
            raise ValueError("no validation row was sealed")
        self._writer.close()
        self._file.close()
        with self._path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Seal(self._path, sha256, *self._names, self._rows, digest)


def _sealed_folder(work_folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="sealed-", dir=work_folder))


def _names(rows: SealedRows) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(rows.block.features.column_names), tuple(rows.further.column_names)


def _as_table(rows: SealedRows) -> pa.Table:
    # Called by their positions, so that no name can clash with ours.
    columns = {str(position): values for position, values in enumerate(rows.block.features.columns)}
    columns |= {f"{_FURTHER}{position}": values for position, values in enumerate(rows.further.columns)}
    columns[_TARGET] = pa.array(rows.block.y)
    for name, values in ((_WEIGHT, rows.block.weight), (_GROUP, rows.block.group)):
        if values is not None:
            columns[name] = pa.array(values)
    return pa.table(columns)
