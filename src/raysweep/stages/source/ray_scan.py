"""Passes over the rows of a table: in Ray tasks that read its files, over a Dataset, or here where there are few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import ray

from raysweep.records.table import Column, SourceFile
from raysweep.stages.source.addresses import FileReach
from raysweep.stages.source.readers import Extent, ReadPiece, read_placed

_TASK_BYTES: Final = 64 * 1024 * 1024

Blocks = Iterator[pa.Table]
Count = Callable[[Blocks], Iterable[pa.Table]]


@dataclass(frozen=True, slots=True)
class FileScan:
    """What `Table.scan` is for files: every call reads them anew.

    Attributes:
        tasks: the pieces that each task reads.
        columns: of the table.
    """

    tasks: tuple[tuple[ReadPiece, ...], ...]
    columns: tuple[Column, ...]
    reach: FileReach

    def __call__(self, count: Count, names: Sequence[str] | None = None) -> Blocks:
        """What `count` yields from the blocks of each task."""
        return _batches(self.dataset(count, names))

    def dataset(self, count: Count, names: Sequence[str] | None = None) -> Any:
        """The same as a `ray.data.Dataset`."""
        wanted = tuple(column for column in self.columns if names is None or column.name in names)
        tasks, reach = self.tasks, self.reach

        def work(batch: pa.Table) -> Blocks:
            pa.set_cpu_count(1)  # Ray gives a task one core
            for number in batch.column("task").to_pylist():
                yield from count(read_rows(tasks[number], wanted, reach))

        numbers = [{"task": number} for number in range(len(tasks))]
        listed = ray.data.from_items(numbers, override_num_blocks=len(tasks))
        return _mapped(listed, work)


@dataclass(frozen=True, slots=True)
class DatasetScan:
    """What `Table.scan` is for a Ray Dataset: the function is called once a block.

    Attributes:
        dataset: a `ray.data.Dataset` of Arrow blocks.
    """

    dataset: Any

    def __call__(self, count: Count, names: Sequence[str] | None = None) -> Blocks:  # noqa: ARG002 - all are there
        """What `count` yields from each block."""

        def work(block: pa.Table) -> Blocks:
            pa.set_cpu_count(1)  # Ray gives a task one core
            yield from count(iter([block]))

        return _batches(_mapped(self.dataset, work))


@dataclass(frozen=True, slots=True)
class HeldScan:
    """What `Table.scan` is for few rows: counted here, before another process would have started to."""

    blocks: tuple[pa.Table, ...]

    def __call__(self, count: Count, names: Sequence[str] | None = None) -> Blocks:  # noqa: ARG002 - all are there
        """What `count` yields from all blocks."""
        with _one_core():
            yield from count(iter(self.blocks))


def cut_into_tasks(
    files: Sequence[SourceFile], file_format: str, extents: Sequence[Sequence[Extent]]
) -> tuple[tuple[ReadPiece, ...], ...]:
    """The pieces of all files in their order, so many to a task that it is worth its start."""
    tasks: list[list[ReadPiece]] = [[]]
    held_bytes = 0
    for piece, extent in _pieces(files, file_format, extents):
        if tasks[-1] and held_bytes + extent.held_bytes > _TASK_BYTES:
            tasks.append([])
            held_bytes = 0
        tasks[-1].append(piece)
        held_bytes += extent.held_bytes
    return tuple(map(tuple, tasks))


def _pieces(
    files: Sequence[SourceFile], file_format: str, extents: Sequence[Sequence[Extent]]
) -> Iterator[tuple[ReadPiece, Extent]]:
    for number, (file, of_file) in enumerate(zip(files, extents, strict=True)):
        if len(of_file) <= 1:
            yield ReadPiece(file.address, file_format, file=number, found=file), of_file[0] if of_file else Extent(0, 0)
            continue
        first = 0
        for group, extent in enumerate(of_file):
            yield ReadPiece(file.address, file_format, (group,), number, first, file), extent
            first += extent.rows


def read_rows(pieces: Sequence[ReadPiece], columns: tuple[Column, ...], reach: FileReach) -> Blocks:
    """The blocks of some pieces, with the place of each row."""
    for piece in pieces:
        yield from read_placed(piece, columns, reach)


def _mapped(dataset: Any, work: Callable[[pa.Table], Blocks]) -> Any:
    return dataset.map_batches(work, batch_format="pyarrow", batch_size=None)


def _batches(dataset: Any) -> Blocks:
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


@contextmanager
def _one_core() -> Iterator[None]:
    """Arrow computes as it does in a task of Ray's."""
    before = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        yield
    finally:
        pa.set_cpu_count(before)
