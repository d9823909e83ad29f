"""Many rows through a model by Ray Data: tasks read their files anew and predict, the driver gets the rows in order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import ray
import ray.data

from raysweep.bundle.load import Model, open_model
from raysweep.bundle.locate import read_manifest
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.runtime.ray_carry import Carried, carry
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.scoring.rows import RowScorer
from raysweep.stages.source.ray_scan import DatasetScan, FileScan, cut_into_tasks
from raysweep.stages.source.ray_source import table_in_memory
from raysweep.stages.source.stream import Stream
from raysweep.storage.local import LocalStore
from raysweep.storage.store import Store
from raysweep.training.families import added_families, take_up

_BLOCK_ROWS: Final = 50_000
_loaded: dict[str, Model] = {}  # of this process, by the reference that it came by


@dataclass(frozen=True, slots=True)
class _InTask:
    """Predicts the blocks of a task; the model comes once into each process.

    Attributes:
        files: a reference to the files of the model by their keys, and to the manifest that they are checked against;
            in a list, so that Ray does not hand over what it stands for.
        added: families of the user's own, which the model may be of.
    """

    scorer: RowScorer
    files: list[Any]
    added: Carried

    def __call__(self, blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        name = self.files[0].hex()
        if name not in _loaded:
            take_up(self.added.unpack())
            _loaded.clear()
            _loaded[name] = _load(ray.get(self.files[0]))
        for block in blocks:
            yield from self.scorer.score(block, _loaded[name])


def stream_of_dataset(dataset: Any) -> Stream:
    """The table of a Ray Dataset.

    Raises:
        DataUnsuitable: it has no rows, or its columns do not fit together.
    """
    with ray_errors_translated("reading the Ray Dataset"), _in_order():
        table = table_in_memory(dataset)
    return Stream("the Ray Dataset", table.format, table.columns, rows=table.rows, dataset=table.scan.dataset)


def _load(files: Mapping[str, bytes]) -> Model:
    """The model of files that the driver has read, checked again as a bundle's: a node need not reach the bundle."""
    with tempfile.TemporaryDirectory(prefix="raysweep-model-") as folder:
        store = LocalStore(Path(folder))
        for key, content in files.items():
            store.put(key, content)
        return open_model(store, threads=1)


def scored_by_ray(stream: Stream, scorer: RowScorer, bundle: Store) -> Iterator[pa.Table]:
    """The rows with their predictions, in the order of the source.

    Raises:
        RequestInvalid: as `RowScorer.score`.
        DataUnsuitable: a file cannot be read to its end.
        RayUnavailable: Ray was lost.
    """
    record = read_manifest(bundle).model
    keys = [MANIFEST_FILE, *(record.files if record is not None else ())]
    task = _InTask(scorer, [ray.put({key: bundle.get(key) for key in keys})], carry(added_families()))
    with ray_errors_translated("predicting the table"), _in_order():
        for rows in _scan_of(stream)(task, scorer.wanted):
            if rows.num_columns:
                yield rows


def _scan_of(stream: Stream) -> FileScan | DatasetScan:
    if stream.dataset is not None:
        return DatasetScan(stream.dataset)
    if stream.table is not None:
        starts = range(0, max(1, stream.table.num_rows), _BLOCK_ROWS)
        return DatasetScan(ray.data.from_arrow([stream.table.slice(start, _BLOCK_ROWS) for start in starts]))
    tasks = cut_into_tasks(stream.files, stream.format, stream.extents)
    verbatim = tuple(tuple(replace(piece, verbatim=True) for piece in task) for task in tasks)
    return FileScan(verbatim, stream.columns, stream.reach)


@contextmanager
def _in_order() -> Iterator[None]:
    """Datasets that are made here keep the order of their blocks."""
    options = ray.data.DataContext.get_current().execution_options
    before = options.preserve_order
    options.preserve_order = True
    try:
        yield
    finally:
        options.preserve_order = before
