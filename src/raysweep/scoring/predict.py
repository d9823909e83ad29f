"""A table through a published model: few rows are predicted here, many by Ray, in the order of the source."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from raysweep.bundle.deviations import ColumnDeviation
from raysweep.bundle.load import Model, open_model
from raysweep.config import S3Config
from raysweep.documents import plain_record
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.scoring.place import check_out, plan_out
from raysweep.scoring.predictions import Predictions
from raysweep.scoring.rows import RowScorer, added, plan_rows
from raysweep.scoring.writing import sink_for
from raysweep.stages.source.file_schema import said_of
from raysweep.stages.source.stream import Stream, open_stream, stream_of
from raysweep.storage.store import Store

# What takes less in memory is predicted here, before Ray would have started.
HERE_BYTES: Final = 64 * 1024 * 1024

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What is to be predicted.

    Attributes:
        store: of the bundle.
        data: addresses of the table; or a pandas DataFrame, an Arrow table, a Ray Dataset.
        out: where to.
        columns: of the table, that are kept beside the predictions; None for all.
        format: of what is written; None for what the name of `out` says, else that of the table.
        overwrite: an earlier prediction may be replaced.
        s3: how to reach `s3://` addresses.
        progress: told how many rows are predicted, and of how many, where that is known.
    """

    store: Store
    data: object
    out: str
    columns: Sequence[str] | None = None
    format: str | None = None
    overwrite: bool = False
    s3: S3Config = field(default_factory=S3Config)
    progress: Progress = lambda _done, _all: None


def predict_table(request: PredictRequest) -> Predictions:
    """Predict every row of a table, and write the rows with the predictions.

    Only pieces of the table are in memory at a time. The model is loaded once in each process, and predicts there with
    one thread, so that its predictions do not depend on where they are made.

    Raises:
        NotFound: there is no bundle, or no such table.
        BundleRefused: the bundle holds no model, or one that is not to be trusted.
        RequestInvalid: a column is missing or clashes, a value is of another kind, or the place is no good.
        DataUnsuitable: a file cannot be read.
        StorageFailed: the place does not take what is written; nothing of it stands there.
    """
    started = time.perf_counter()
    model, digest = open_model(request.store, threads=1), _manifest_digest(request.store)
    with ExitStack() as running, said_of("DATA"):
        sources, stream = _open(request, running)
        out = plan_out(request.out, request.format, stream.format, request.s3)
        kept = plan_rows(stream.columns, model.signature, request.columns, place=stream.address)
        files = tuple(file.address for file in stream.files)
        check_out(out, sources, files, request.store.address(), overwrite=request.overwrite)
        keep_text = stream.is_text and out.format == "csv"
        scorer = RowScorer(model.signature, kept, stream.is_text, keep_text, files)
        rows, deviations = 0, dict[str, ColumnDeviation]()
        with sink_for(out, scorer.schema, overwrite=request.overwrite) as sink:
            for scored in _scored(request, stream, scorer, model, running):
                ready, counts = scorer.tallied(scored)
                sink.write(ready)
                rows += ready.num_rows
                deviations |= {name: added(deviations.get(name), one) for name, one in counts.items()}
                request.progress(rows, stream.rows)
            about = {
                "bundle": request.store.address(),
                "manifest_sha256": digest,
                "columns": scorer.schema.names,
                "deviations": plain_record(deviations),
            }
            written = sink.finish(about)
    return Predictions(
        bundle=request.store.address(),
        manifest_sha256=digest,
        verdict=model.verdict,
        out=out.address,
        format=out.format,
        columns=tuple(scorer.schema.names),
        rows=rows,
        files=written,
        deviations=dict(sorted(deviations.items())),
        seconds=time.perf_counter() - started,
    )


def _open(request: PredictRequest, running: ExitStack) -> tuple[tuple[str, ...], Stream]:
    """What the user has named, and what there is to read."""
    data = request.data
    if isinstance(data, str | Path):
        data = [data]
    if isinstance(data, list | tuple) and data and all(isinstance(one, str | Path) for one in data):
        sources = tuple(str(one) if "://" in str(one) else str(Path(one).expanduser().absolute()) for one in data)
        return sources, open_stream(sources, request.s3)
    if type(data).__module__.startswith("ray.data"):
        return (), _ray(running).stream_of_dataset(data)
    return (), stream_of(data)


def _scored(
    request: PredictRequest, stream: Stream, scorer: RowScorer, model: Model, running: ExitStack
) -> Iterator[pa.Table]:
    if stream.dataset is None and stream.held_bytes <= HERE_BYTES:
        for block in stream.blocks(scorer.wanted):
            yield from scorer.score(block, model)
    else:
        yield from _ray(running).scored_by_ray(stream, scorer, request.store)


def _ray(running: ExitStack) -> Any:
    """Ray, started where it does not run, and what uses it: loaded where it is needed, since it takes its time."""
    from raysweep.runtime.ray_session import ray_session

    running.enter_context(ray_session(None))
    from raysweep.scoring import ray_predict

    return ray_predict


def _manifest_digest(store: Store) -> str:
    return hashlib.sha256(store.get(MANIFEST_FILE)).hexdigest()
