"""trials.parquet: one row a trial and rung, nothing recorded by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.config import PriceConfig
from raysweep.documents import canonical_json
from raysweep.records.trial import RungReport, Trial

_SCHEMA: Final = pa.schema(
    [
        ("trial", pa.int64()),
        ("rung", pa.int64()),
        ("effort", pa.float64()),
        ("rounds", pa.int64()),
        ("is_whole", pa.bool_()),
        ("family", pa.string()),
        ("params", pa.string()),
        ("params_digest", pa.string()),
        ("origin", pa.string()),
        ("seed", pa.int64()),
        ("state", pa.string()),
        ("score", pa.float64()),
        ("metric", pa.string()),
        ("metrics", pa.string()),
        ("part", pa.string()),
        ("started", pa.timestamp("us", "UTC")),
        ("seconds", pa.float64()),
        ("core_seconds", pa.float64()),
        ("gpu_seconds", pa.float64()),
        ("cost", pa.float64()),
        ("memory_bytes", pa.int64()),
        ("node", pa.string()),
        ("attempt", pa.int64()),
        ("reason", pa.string()),
        ("error", pa.string()),
    ]
)


def write_trials(path: Path, trials: Sequence[Trial], *, metric: str, part: str, price: PriceConfig | None) -> None:
    """Write every trial and every rung that it reported; a trial without a rung has one row without scores.

    Core-seconds, GPU-seconds and cost are those until the rung; in a trial's last row all that it took, with attempts
    that came to nothing, so that the last rows add up to what all trials took.

    Args:
        path: of the file.
        trials: all of them.
        metric: the name of what the scores are.
        part: what they were measured on.
        price: of an hour of a core and of a GPU; None where it is not known.
    """
    rows = [
        _row(trial, report, metric=metric, part=part, price=price)
        for trial in trials
        for report in (trial.rungs or (None,))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), path)


def _row(
    trial: Trial, report: RungReport | None, *, metric: str, part: str, price: PriceConfig | None
) -> dict[str, Any]:
    candidate = trial.candidate
    row: dict[str, Any] = {
        "trial": candidate.number,
        "family": candidate.family,
        "params": canonical_json(dict(candidate.params)).decode(),
        "params_digest": candidate.digest,
        "origin": candidate.origin,
        "seed": candidate.seed,
        "state": trial.state.value,
        "metric": metric,
        "part": part,
        "started": datetime.fromtimestamp(trial.started, UTC),
        "node": trial.node,
        "attempt": trial.attempts,
        "reason": trial.reason,
        "error": trial.error,
    }
    if report is None:
        return row | _used(trial.core_seconds, trial.gpu_seconds, price)
    if report is trial.rungs[-1]:
        row |= _used(trial.core_seconds, trial.gpu_seconds, price)
    else:
        row |= _used(report.seconds * trial.slot.cpus, report.seconds * trial.slot.gpus, price)
    return row | {
        "rung": report.rung,
        "effort": report.effort,
        "rounds": report.rounds,
        "is_whole": report.is_whole,
        "score": report.score,
        "metrics": canonical_json(dict(report.metrics)).decode(),
        "seconds": report.seconds,
        "memory_bytes": report.memory_bytes,
    }


def _used(core_seconds: float, gpu_seconds: float, price: PriceConfig | None) -> dict[str, float | None]:
    cost = None if price is None else (core_seconds * price.cpu + gpu_seconds * price.gpu) / 3600
    return {"core_seconds": core_seconds, "gpu_seconds": gpu_seconds, "cost": cost}
