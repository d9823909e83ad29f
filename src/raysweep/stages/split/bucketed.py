"""The rows of a table that is larger than memory, part by part in the order of their keys, by files on this machine.

Rows are put into files by the first bits of their keys' hashes, in one pass; each file holds few enough to be ordered,
and file after file they come in the order in which they would stand in memory.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import pyarrow as pa

from raysweep.errors import StorageFailed
from raysweep.records.table import Part
from raysweep.stages.split.assign import PARTS
from raysweep.stages.split.dealing import AnyAssignment, Cut, Wanted, cut_of, deal_batch, key_hashes, parts_of

_BUCKET: Final = "bucket"
_BUCKET_BYTES: Final = 64 * 1024**2
_MAX_BITS: Final = 7  # files that are open at a time: so many for each part
_KEY_BITS: Final = 64
_PACKED: Final = pa.ipc.IpcWriteOptions(compression="lz4")


class BucketedRows:
    """Rows of all parts in files (mode 0600) of a folder (mode 0700) that is gone after the `with` block.

    Args:
        work_folder: private to the driver.
        wanted: what is read of each row.
        row_bytes: about what a row takes.
        rows: how many there are.
    """

    def __init__(self, work_folder: Path, wanted: Wanted, row_bytes: int, rows: int) -> None:
        self._wanted = wanted
        buckets = max(1, rows * row_bytes / _BUCKET_BYTES)
        self._bits = min(_MAX_BITS, math.ceil(math.log2(buckets)))
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}
        self._files: dict[int, pa.OSFile] = {}
        # Called as the folders of sealed rows are, so that it is deleted after a crash as they are.
        self._folder = Path(tempfile.mkdtemp(prefix="sealed-", dir=work_folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def fill(self, assignment: AnyAssignment) -> None:
        """Put all rows of the table that are in a part into their files.

        Raises:
            StorageFailed: the disk is full.
        """
        wanted, bits = self._wanted, self._bits

        def convert(batch: pa.Table) -> pa.Table:
            return _bucketed(deal_batch(batch, wanted, assignment), bits)

        try:
            for batch in wanted.table.scan(lambda blocks: map(convert, blocks)):
                if batch.num_columns:
                    self._write(batch)
            self._close()
        except OSError as error:
            raise StorageFailed(
                f"the table's rows cannot be put into order in {self._folder.parent}: {error}. They take about as much "
                "disk as the table; name a folder on a larger disk by RAYSWEEP_HOME"
            ) from error

    def cuts(self, part: Part) -> Iterator[Cut]:
        """The rows of a part in blocks, in the order of their keys. Each block is gone once it was read."""
        first = PARTS.index(part) << self._bits
        for bucket in range(first, first + (1 << self._bits)):
            path = self._path(bucket)
            if path.exists():
                with pa.OSFile(str(path)) as file:
                    table = pa.ipc.open_stream(file).read_all()
                path.unlink()
                yield cut_of(table, part, self._wanted)

    def _write(self, batch: pa.Table) -> None:
        buckets = batch.column(_BUCKET).to_numpy()
        rows = batch.drop_columns(_BUCKET)
        # Ray Data may put several of the tasks' batches together, so that a bucket comes again.
        ends = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
        for first, end in pairwise(ends):
            if end == first:
                continue
            bucket = int(buckets[first])
            if bucket not in self._writers:
                os.close(os.open(self._path(bucket), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                self._files[bucket] = pa.OSFile(str(self._path(bucket)), "wb")
                self._writers[bucket] = pa.ipc.new_stream(self._files[bucket], rows.schema, options=_PACKED)
            self._writers[bucket].write_table(rows.slice(first, end - first))

    def _close(self) -> None:
        for one in (*self._writers.values(), *self._files.values()):
            one.close()
        self._writers, self._files = {}, {}

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{bucket}.arrows"


def _bucketed(dealt: pa.Table, bits: int) -> pa.Table:
    """The rows ordered by their file, whose number stands beside them."""
    first = key_hashes(dealt) >> np.uint64(_KEY_BITS - bits) if bits else np.zeros(dealt.num_rows, np.uint64)
    buckets = (parts_of(dealt) << bits) + first.astype(np.int64)
    order = np.argsort(buckets, kind="stable")
    return dealt.append_column(_BUCKET, pa.array(buckets)).take(pa.array(order))
