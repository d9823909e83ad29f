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
            content = self.path.read_bytes()
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
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise SealBroken(
                f"the sealed validation rows were changed since they were sealed ({self.path}): resume the run, which "
                "cuts them again from the source"
            )
        return self._read(content)

    def delete(self) -> None:
        """Delete the rows with their folder; where that was done before, nothing."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def _read(self, content: bytes) -> SealedRows:
        table = pq.read_table(pa.BufferReader(content))
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
    inputs, further = (tuple(table.column_names) for table in (rows.block.features, rows.further))
    # Called by their positions, so that no name can clash with ours.
    columns = {str(position): values for position, values in enumerate(rows.block.features.columns)}
    columns |= {f"{_FURTHER}{position}": values for position, values in enumerate(rows.further.columns)}
    columns[_TARGET] = pa.array(rows.block.y)
    for name, values in ((_WEIGHT, rows.block.weight), (_GROUP, rows.block.group)):
        if values is not None:
            columns[name] = pa.array(values)
    content = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), content)
    sealed = content.getvalue()
    path = Path(tempfile.mkdtemp(prefix="sealed-", dir=work_folder)) / SEALED_FILE
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(sealed)
    return Seal(path, hashlib.sha256(sealed).hexdigest(), inputs, further, rows.block.rows, digest)
