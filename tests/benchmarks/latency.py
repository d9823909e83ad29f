"""What `load_model` adds to a prediction of one row: its time over that of the bare pipeline, for every family.

    python tests/benchmarks/latency.py

Both predict the same row in turns, so that a busy machine slows both; the ratio is that of the medians.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pyarrow as pa

from fitted_models import fitted_model, source_frame
from raysweep.bundle.inputs import features_of
from raysweep.bundle.load import Model
from raysweep.config import TaskKind
from raysweep.training.families import families

LIMIT = 1.5


def ratio(one: Callable[[], Any], other: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """The median seconds of `one` over those of `other`, and those of `other`."""
    spent: tuple[list[float], list[float]] = ([], [])
    for call, _ in ((one, 0), (other, 0)) * 5:
        call()
    for _ in range(repeats):
        for call, seconds in zip((one, other), spent, strict=True):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
    medians = [statistics.median(seconds) for seconds in spent]
    return medians[0] / medians[1], medians[1]


def ratios(name: str, kind: TaskKind, repeats: int) -> dict[str, tuple[float, float]]:
    """The kind of row that is handed in -> the ratio, and the bare pipeline's seconds."""
    model = fitted_model(name, kind)
    frame = source_frame(kind).iloc[[3]]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    ready = features_of(table, model.signature)
    pipeline = model._pipeline
    rows: dict[str, Any] = {"frame": frame, "Arrow": table, "dict": frame.to_dict("records")[0]}
    return {
        said: ratio(lambda row=row: predict(model, row), lambda: pipeline.predict(ready), repeats)
        for said, row in rows.items()
    }


def predict(model: Model, row: Any) -> Any:
    """As a service calls it."""
    return model.predict(row) if model.signature.task is TaskKind.REGRESSION else model.predict_proba(row)


def main() -> None:
    """Print a line for each family; exit code 1 where one is over the limit."""
    warnings.simplefilter("ignore")
    worst = 0.0
    for name, family in families().items():
        kind = TaskKind.BINARY if TaskKind.BINARY in family.tasks else TaskKind.REGRESSION
        found = ratios(name, kind, 400)
        worst = max(worst, *(one for one, _ in found.values()))
        said = ", ".join(f"{row} {one:.2f}" for row, (one, _) in found.items())
        print(f"{name:24} bare {1e6 * next(iter(found.values()))[1]:7.0f} us   times {said}")
    print(f"worst {worst:.2f}, limit {LIMIT}")
    raise SystemExit(worst > LIMIT)


if __name__ == "__main__":
    main()
